"""Wake the callers that wait for a task of another process, as soon as the other process changes the task's row."""

from collections import defaultdict
from collections.abc import Callable

import anyio

ANY_TASK = ""
"""The id with which a caller waits for a change of any task."""
CALLBACK_PREFIX = "call "
"""Prefix of a message that reports a callback from KIE; the rest of the message is the id of the task."""


class Changes:
    """The callers of this process that wait for changes of tasks."""

    def __init__(self) -> None:
        self.are_reported = False
        """Whether the database reports changes by other processes; if not, waiting callers have to poll the ledger."""
        self.on_callback: Callable[[str], object] = lambda _: None
        """A function that is called with a task's id when another process has received KIE's callback for the task."""
        self._waiting: defaultdict[str, list[anyio.Event]] = defaultdict(list)

    async def wait(self, id_: str) -> None:
        """Wait until another process has changed the task with this id, or until `wake_all()` is called.

        Args:
            id_: The id of a task, or `ANY_TASK`.
        """
        event = anyio.Event()
        self._waiting[id_].append(event)
        try:
            await event.wait()
        finally:
            self._waiting[id_].remove(event)
            if not self._waiting[id_]:
                del self._waiting[id_]

    def wake(self, id_: str) -> None:
        """Wake all callers who wait for the task with this id."""
        for event in self._waiting.get(id_, ()):
            event.set()

    def receive(self, payload: str) -> None:
        """Handle a message from another process: the id of a changed task, or `CALLBACK_PREFIX` and a task's id."""
        if payload.startswith(CALLBACK_PREFIX):
            self.on_callback(payload.removeprefix(CALLBACK_PREFIX))
        else:
            self.wake(payload)
            self.wake(ANY_TASK)

    def wake_all(self) -> None:
        """Wake all waiting callers; used when it is unknown which tasks have changed."""
        for id_ in self._waiting:
            self.wake(id_)
