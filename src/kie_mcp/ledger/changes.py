"""Changes: who waits for a task that another process watches is woken when that process writes to the ledger."""

from collections import defaultdict
from collections.abc import Callable

import anyio


class Changes:
    """The waits for changes of tasks."""

    def __init__(self) -> None:
        self.are_told = False
        """Whether changes by other processes are told; otherwise, whoever waits has to look."""
        self.hear_call: Callable[[str], object] = lambda _: None
        """A function that is called with the id of a task for which KIE has called another process."""
        self._waiting: defaultdict[str, list[anyio.Event]] = defaultdict(list)

    async def wait(self, id_: str) -> None:
        """Wait until another process has changed the task with this id, or may have."""
        event = anyio.Event()
        self._waiting[id_].append(event)
        try:
            await event.wait()
        finally:
            self._waiting[id_].remove(event)
            if not self._waiting[id_]:
                del self._waiting[id_]

    def tell(self, id_: str) -> None:
        """Wake whoever waits for the task with this id."""
        for event in self._waiting.get(id_, ()):
            event.set()

    def tell_all(self) -> None:
        """Wake everybody, because nobody knows what has changed."""
        for id_ in self._waiting:
            self.tell(id_)
