"""Changes: wake callers who wait for a task that another process watches, when that process writes to the ledger."""

from collections import defaultdict
from collections.abc import Callable

import anyio

CALL = "call "
"""Beginning of a message that has the id of a task for which KIE has called another process."""


class Changes:
    """The callers of this process that wait for changes of tasks."""

    def __init__(self) -> None:
        self.are_told = False
        """Whether the database reports changes by other processes; if not, waiting callers have to read the row."""
        self.hear_call: Callable[[str], object] = lambda _: None
        """A function that is called with the id of a task for which KIE has called another process."""
        self._waiting: defaultdict[str, list[anyio.Event]] = defaultdict(list)

    async def wait(self, id_: str) -> None:
        """Wait until another process has changed the task with this id, or may have changed it."""
        event = anyio.Event()
        self._waiting[id_].append(event)
        try:
            await event.wait()
        finally:
            self._waiting[id_].remove(event)
            if not self._waiting[id_]:
                del self._waiting[id_]

    def tell(self, id_: str) -> None:
        """Wake all callers who wait for the task with this id."""
        for event in self._waiting.get(id_, ()):
            event.set()

    def receive(self, payload: str) -> None:
        """Handle what another process has sent: the id of a task that has changed, or that KIE has called for."""
        if payload.startswith(CALL):
            self.hear_call(payload.removeprefix(CALL))
        else:
            self.tell(payload)

    def tell_all(self) -> None:
        """Wake all callers, because it is unknown which tasks have changed."""
        for id_ in self._waiting:
            self.tell(id_)
