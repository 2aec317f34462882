"""A clock for tests: time jumps to the next deadline when every task waits for time, and stands still otherwise."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import sqlalchemy as sa

from kie_mcp import child_process
from kie_mcp.clock import Clock

MOMENT = 0.002
"""Seconds of the machine's clock that a sleeper gives to sockets and to other processes."""


async def let_others_run() -> None:
    """Let other tasks go on for a moment. A test that polls has to await this, or time never passes."""
    await anyio.sleep(MOMENT)


async def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for something that goes on in the background."""
    with anyio.fail_after(10):
        while not happened():
            await let_others_run()


class JumpingClock(Clock):
    """A clock that no test has to wait for.

    A sleeper does not wait for real seconds. The clock jumps to the earliest deadline when no task can go on, no ledger
    connection, worker thread or child process is in use, and nobody holds the time. All clocks of a process share its
    connections, so these counts belong to the class.
    """

    busy: ClassVar[int] = 0
    """How many ledger connections are in use, plus how many `hold()` blocks are open; no time passes until it is 0."""
    checking: ClassVar[int] = 0
    """How many sleepers are just now checking whether everybody waits."""
    newest: "ClassVar[JumpingClock | None]" = None
    """The clock that was created last in this test: the time of the tests' PostgreSQL server."""

    def __init__(self) -> None:
        JumpingClock.newest = self
        self.now = 1_800_000_000.0
        """Seconds since 1970; a test may set it."""
        self._wake_times: list[float] = []

    @classmethod
    @contextmanager
    def hold(cls) -> Iterator[None]:
        """Keep time from passing inside the block, which stands for work that takes no time."""
        cls.busy += 1
        try:
            yield
        finally:
            cls.busy -= 1

    def time(self) -> float:
        """Return the time that the sleepers have reached."""
        return self.now

    def monotonic(self) -> float:
        """Return the same as `time()`."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Sleep; when everybody waits, the sleeper with the earliest deadline moves the time there."""
        wake_time = self.now + seconds
        self._wake_times.append(wake_time)
        try:
            while self.now < wake_time:
                await let_others_run()
                # Asked twice, because a sleeper with an earlier deadline may come during the check.
                if self._is_first(wake_time) and await _everybody_waits() and self._is_first(wake_time):
                    self.now = max(self.now, wake_time)
        finally:
            self._wake_times.remove(wake_time)

    def _is_first(self, wake_time: float) -> bool:
        return wake_time == min(self._wake_times)

    async def idle(self, seconds: float) -> None:
        """Sleep in a background loop: wake when others have moved the time, but never move it."""
        wake_time = self.now + seconds
        while self.now < wake_time:
            await let_others_run()


class WallClock(JumpingClock):
    """A clock whose time of day can be set; what it measures goes on evenly."""

    ahead = 0.0
    """Seconds by which the time of day is wrong."""

    def time(self) -> float:
        return self.now + self.ahead


def ready_callbacks(loop: object) -> Sized:
    """Return the callbacks that a loop will run next.

    asyncio has no public way to ask whether a task can go on, so this reads CPython's `BaseEventLoop._ready`.

    Raises:
        RuntimeError: When the loop does not keep its callbacks there.
    """
    ready: Sized | None = getattr(loop, "_ready", None)
    if ready is None:
        raise RuntimeError(
            f"The tests' clock cannot work on {type(loop).__qualname__}: it has to know whether a task can go on, and "
            "reads that from CPython's private BaseEventLoop._ready, which is not there. Change ready_callbacks() in "
            "tests/support/clock.py to how this version of Python keeps the callbacks that it runs next."
        )
    return ready


async def _everybody_waits() -> bool:
    """Return whether no task can go on, apart from those that are just checking the same."""
    loop = asyncio.get_running_loop()
    threads = anyio.to_thread.current_default_thread_limiter()
    JumpingClock.checking += 1
    try:
        while not (JumpingClock.busy or threads.borrowed_tokens or child_process.running):
            # Whoever can go on does so during this checkpoint. Each of the others that check is ready again after it.
            await anyio.lowlevel.checkpoint()
            if len(ready_callbacks(loop)) < JumpingClock.checking:
                return not JumpingClock.busy
        return False
    finally:
        JumpingClock.checking -= 1


@sa.event.listens_for(sa.Engine, "do_connect")
def _connect(dialect: sa.Dialect, _: object, arguments: Sequence[Any], named: Mapping[str, Any]) -> object:
    # A connection is taken from its pool only when it is there.
    with JumpingClock.hold():
        return dialect.connect(*arguments, **named)


@sa.event.listens_for(sa.Engine, "before_cursor_execute", retval=True)
def _tell_time(*event: Any) -> tuple[str, Any]:
    """Let the database have the tests' clock, too."""
    _, _, statement, parameters, _, _ = event
    if JumpingClock.newest and "clock_timestamp()" in statement:
        statement = statement.replace("clock_timestamp()", f"to_timestamp({JumpingClock.newest.now!r})")
    return statement, parameters


_taken: set[object] = set()
"""The records of the connections that are in use."""


@sa.event.listens_for(sa.Pool, "checkout")
def _count_taken(_: object, record: object, __: object) -> None:
    _taken.add(record)
    JumpingClock.busy += 1


@sa.event.listens_for(sa.Pool, "checkin")
def _count_returned(_: object, record: object) -> None:
    # A lost connection that nobody could use is returned all the same.
    if record in _taken:
        _taken.remove(record)
        JumpingClock.busy -= 1
