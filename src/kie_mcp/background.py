"""Background: start functions in a task group that may be ending at that moment."""

from collections.abc import Callable, Coroutine
from typing import Any

from anyio.abc import TaskGroup


def start_unless_ending(group: TaskGroup, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> bool:
    """Start a function in a task group; if the group is ending, start nothing and return False.

    A call from outside the group, such as a request over HTTP, may still be at work while the group is cancelled. AnyIO
    does not cancel what such a call starts then: the new task runs on, and the end of the group waits for it. On
    asyncio, a new task that acquires a lock even uses the processor fully and never ends.
    """
    if group.cancel_scope.cancel_called:
        return False
    group.start_soon(function, *arguments)
    return True
