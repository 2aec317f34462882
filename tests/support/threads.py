"""Run code in a worker thread of an event loop, as the server does, because the code expects this."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

Given = TypeVarTuple("Given")
T = TypeVar("T")


def run_in_thread(function: Callable[[*Given], T], *arguments: *Given) -> T:
    """Run a function in a worker thread of an event loop, and return what it returns."""
    return anyio.run(anyio.to_thread.run_sync, function, *arguments)
