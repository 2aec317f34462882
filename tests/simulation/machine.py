"""A machine on which nothing happens by chance: its time jumps, it has no threads, and it draws from one seed."""

import asyncio
import random
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiosqlite.core
import anyio
import anyio.lowlevel
import anyio.to_thread

from kie_mcp.clock import Clock

EPOCH = 1_800_000_000.0
SHORTEST_PAUSE = 1e-6
MAX_TURNS = 100_000
"""Turns of the event loop after which a run counts as hanging; a usual run takes a few thousand."""


class JumpingSelector(selectors.DefaultSelector):
    """Waits for no socket: when every task waits for time, the time jumps to the earliest deadline."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turns += 1
        if timeout is None or self._turns > MAX_TURNS:
            raise RuntimeError("Every task waits for ever." if timeout is None else "The run does not end.")
        self.now += max(timeout, 0)
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when every task waits for time."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class MachineClock(Clock):
    """The clock of the simulated machine; its time of day may be set, its monotonic time may not."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds by which the time of day is wrong."""

    def time(self) -> float:
        return self.true_time() + self.ahead

    def true_time(self) -> float:
        """Return the time of everybody else's clocks."""
        return EPOCH + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        # Time does not pass by itself, so the rest that rounding leaves of a pause would never be over.
        await anyio.sleep(max(seconds, SHORTEST_PAUSE) if seconds > 0 else 0)


class _NoThread:
    """Stands for the thread of a ledger connection."""

    daemon = True

    def __init__(self, **_: object) -> None: ...

    def start(self) -> None: ...


class _DoneAtOnce:
    """Stands for the queue of that thread: what is put into it is done at once."""

    def put_nowait(self, item: tuple["asyncio.Future[Any] | None", Callable[[], Any]]) -> None:
        future, function = item
        future = future or asyncio.Future()
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001 - whoever awaits the future gets it
            future.set_exception(error)


async def _run_at_once(function: Callable[..., Any], *arguments: Any, **_: object) -> Any:
    await anyio.lowlevel.checkpoint()
    return function(*arguments)


@contextmanager
def without_threads() -> Iterator[None]:
    """Do at once what threads would do, because nobody can say which thread is faster."""
    core: Any = aiosqlite.core
    threads: Any = anyio.to_thread
    run, queue, thread = threads.run_sync, core.SimpleQueue, core.Thread
    threads.run_sync, core.SimpleQueue, core.Thread = _run_at_once, _DoneAtOnce, _NoThread
    try:
        yield
    finally:
        threads.run_sync, core.SimpleQueue, core.Thread = run, queue, thread


def run(function: Callable[..., Any], *arguments: Any, seed: int) -> Any:
    """Run an asynchronous function on such a machine, and return its result."""
    state = random.getstate()
    # The pauses between retries are drawn from here.
    random.seed(seed)
    try:
        with without_threads():
            return anyio.run(function, *arguments, backend_options={"loop_factory": JumpingLoop})
    finally:
        random.setstate(state)
