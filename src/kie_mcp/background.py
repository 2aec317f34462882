"""Background: the functions that run beside the calls of a server, until the server ends."""

from collections.abc import Callable, Coroutine
from typing import Any

from anyio.abc import TaskGroup


class Background:
    """Starts functions in a task group, as long as the server does not end.

    A call from outside the group, such as a request over HTTP, may still be at work while the group is cancelled. AnyIO
    does not cancel what such a call starts then: the new task runs on, and the end of the group waits for it. On
    asyncio, a new task that acquires a lock even takes the whole processor and never ends.
    """

    def __init__(self, group: TaskGroup) -> None:
        """Store the task group, in which the functions run."""
        self._group = group
        self._ends = False

    @property
    def is_ending(self) -> bool:
        """Whether the server is ending or has ended."""
        return self._ends or self._group.cancel_scope.cancel_called

    def end(self) -> None:
        """Start no function any more; those that run go on until the task group is cancelled."""
        self._ends = True

    def start(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> bool:
        """Start a function; if the server is ending, start nothing and return False."""
        if self.is_ending:
            return False
        self._group.start_soon(function, *arguments)
        return True
