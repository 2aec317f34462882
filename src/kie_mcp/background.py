"""Background: starts functions that run independently of the server's calls, until the server ends."""

import math
from collections.abc import Callable, Coroutine
from typing import Any

from anyio.abc import TaskGroup

from kie_mcp.deadline import use_deadline


class Background:
    """Starts functions in a task group until the server begins to end.

    A call from outside the group, such as a request over HTTP, may still run while the group is being cancelled. If
    such a call then started a function in the group, AnyIO would not cancel the function, and the group could not end
    before the function does. On asyncio, a function that acquires a lock would even use 100 % CPU and never end.
    """

    def __init__(self, group: TaskGroup) -> None:
        """Store the task group in which the functions will run."""
        self._group = group
        self._ends = False

    @property
    def is_ending(self) -> bool:
        """Whether the server is ending or has ended."""
        return self._ends or self._group.cancel_scope.cancel_called

    def end(self) -> None:
        """Let `start()` refuse all functions from now on; this does not stop functions that already run."""
        self._ends = True

    def start(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> bool:
        """Start a function; if the server is ending, start nothing and return False.

        The function has time without limit, also if a call with a deadline starts it.
        """
        if self.is_ending:
            return False
        with use_deadline(math.inf):
            self._group.start_soon(function, *arguments)
        return True
