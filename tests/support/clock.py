"""A clock for tests: time jumps to the next deadline when all tasks of the event loop wait for time."""

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
"""Real seconds that a sleeper waits in each step, so that sockets and other processes can work."""


PATIENCE_SECONDS = 60.0
"""Real seconds after which a test gives up waiting; a passing test waits only as long as it has to."""


async def let_others_run() -> None:
    """Let other tasks run for a moment. A test that polls has to await this, because time never passes otherwise."""
    await anyio.sleep(MOMENT)


async def wait_until(happened: Callable[[], bool]) -> None:
    """Wait until a condition is true that a background task fulfils without time passing."""
    # What travels over a socket, through PostgreSQL or another process takes real time, in which the clock would jump.
    with JumpingClock.hold(), anyio.fail_after(PATIENCE_SECONDS):
        while not happened():
            await let_others_run()


async def pass_time_until(happened: Callable[[], bool], clock: "JumpingClock", step: float = 1) -> None:
    """Let time pass until a condition is true.

    Args:
        happened: Returns whether the condition is true.
        clock: The clock whose time passes.
        step: Seconds of the clock between two looks; all tasks have done what they can before each look.
    """
    with anyio.fail_after(PATIENCE_SECONDS):
        while not happened():
            await clock.sleep(step)


class JumpingClock(Clock):
    """A clock that no test has to wait for.

    A sleeper does not wait for real seconds. The clock jumps to the earliest deadline when no task is ready to run, no
    ledger connection, worker thread or child process is in use, and no `hold()` block is open. All clocks of a process
    share its connections, so these counts belong to the class.
    """

    busy: ClassVar[int] = 0
    """Number of ledger connections in use plus number of open `hold()` blocks; time passes only if this is 0."""
    checking: ClassVar[int] = 0
    """Number of alarms that are checking at this moment whether all tasks wait."""
    newest: "ClassVar[JumpingClock | None]" = None
    """The clock that was created last; the tests' PostgreSQL server uses its time."""

    def __init__(self) -> None:
        JumpingClock.newest = self
        self.now = 1_800_000_000.0
        """Seconds since 1970; a test may set it."""
        self._wake_times: list[float] = []
        self._idle_times: list[float] = []
        """Deadlines of the sleepers in `idle()`."""

    @classmethod
    @contextmanager
    def hold(cls) -> Iterator[None]:
        """Let no time pass inside the block, as if its work took no time."""
        cls.busy += 1
        try:
            yield
        finally:
            cls.busy -= 1

    def time(self) -> float:
        """Return the clock's time in seconds since 1970."""
        return self.now

    def monotonic(self) -> float:
        """Return the same as `time()`."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Sleep; when all tasks wait, the sleeper with the earliest deadline moves the clock to its deadline."""
        wake_time = self.now + seconds
        self._wake_times.append(wake_time)
        try:
            await _Alarm(self, wake_time, moves_clock=True).wait()
        finally:
            self._wake_times.remove(wake_time)

    def is_first(self, wake_time: float) -> bool:
        """Return whether the clock may jump to this deadline next."""
        # A background loop whose time has come goes on before the clock jumps again.
        return wake_time == min(self._wake_times) and min(self._idle_times, default=wake_time) > self.now

    async def idle(self, seconds: float) -> None:
        """Sleep in a background loop: wake up when other sleepers have moved the clock, but never move it."""
        wake_time = self.now + seconds
        self._idle_times.append(wake_time)
        try:
            await _Alarm(self, wake_time, moves_clock=False).wait()
        finally:
            self._idle_times.remove(wake_time)


class WallClock(JumpingClock):
    """A clock whose time of day can be set without a change of its monotonic time."""

    ahead = 0.0
    """Seconds by which the time of day is ahead of the right time."""

    def time(self) -> float:
        return self.now + self.ahead


def ready_callbacks(loop: object) -> Sized:
    """Return the callbacks that a loop will run next.

    asyncio has no public way to see whether a task is ready to run, so this reads CPython's `BaseEventLoop._ready`.

    Raises:
        RuntimeError: When the loop does not have the attribute `_ready`.
    """
    ready: Sized | None = getattr(loop, "_ready", None)
    if ready is None:
        raise RuntimeError(
            f"The tests' clock cannot work on {type(loop).__qualname__}: it has to know whether a task can go on, and "
            "reads that from CPython's private BaseEventLoop._ready, which is not there. Change ready_callbacks() in "
            "tests/support/clock.py to how this version of Python keeps the callbacks that it runs next."
        )
    return ready


class _Alarm:
    """Wakes one sleeper of a clock.

    A server has several background loops, and each sleeps most of the time. So looking at the clock is a callback of
    the event loop: it takes a tenth of the time that a task takes that sleeps for a moment.
    """

    def __init__(self, clock: JumpingClock, wake_time: float, *, moves_clock: bool) -> None:
        self._clock = clock
        self._wake_time = wake_time
        self._moves_clock = moves_clock
        self._rings = anyio.Event()
        self._loop = asyncio.get_running_loop()
        self._ready = ready_callbacks(self._loop)
        self._threads = anyio.to_thread.current_default_thread_limiter()
        self._handle: asyncio.Handle | None = None
        self._is_checking = False

    async def wait(self) -> None:
        """Wait until the clock has reached the deadline."""
        if self._clock.now >= self._wake_time:
            return
        self._look_later()
        try:
            await self._rings.wait()
        finally:
            self._set_checking(False)
            if self._handle:
                self._handle.cancel()

    def _look_later(self) -> None:
        # All alarms look at the same moments, so that the event loop wakes up only once for all of them.
        moment = (self._loop.time() // MOMENT + 1) * MOMENT
        self._handle = self._loop.call_at(moment, self._look)

    def _look(self) -> None:
        if self._clock.now >= self._wake_time:
            self._rings.set()
        elif self._may_jump():
            self._set_checking(True)
            self._handle = self._loop.call_soon(self._check)
        else:
            self._look_later()

    def _check(self) -> None:
        """Let the clock jump if no task is ready to run; callbacks of other alarms that are in this check do not count.

        Tasks that became ready before this callback was scheduled have run, and so have those that a socket made ready.
        """
        everybody_waits = len(self._ready) < JumpingClock.checking
        # This is asked twice, because a sleeper with an earlier deadline may start during the check.
        if not self._may_jump():
            self._set_checking(False)
            self._look_later()
        elif everybody_waits:
            self._set_checking(False)
            self._clock.now = max(self._clock.now, self._wake_time)
            self._rings.set()
        else:
            self._handle = self._loop.call_soon(self._check)

    def _may_jump(self) -> bool:
        works = JumpingClock.busy or self._threads.borrowed_tokens or child_process.running
        return self._moves_clock and not works and self._clock.is_first(self._wake_time)

    def _set_checking(self, is_checking: bool) -> None:
        JumpingClock.checking += is_checking - self._is_checking
        self._is_checking = is_checking


@sa.event.listens_for(sa.Engine, "do_connect")
def _connect(dialect: sa.Dialect, _: object, arguments: Sequence[Any], named: Mapping[str, Any]) -> object:
    # The pool counts a connection as in use only after connecting, so connecting is counted here.
    with JumpingClock.hold():
        return dialect.connect(*arguments, **named)


@sa.event.listens_for(sa.Engine, "before_cursor_execute", retval=True)
def _tell_time(*event: Any) -> tuple[str, Any]:
    """Replace the database's own time in a statement by the time of the tests' clock."""
    _, _, statement, parameters, _, _ = event
    if JumpingClock.newest and "clock_timestamp()" in statement:
        statement = statement.replace("clock_timestamp()", f"to_timestamp({JumpingClock.newest.time()!r})")
    return statement, parameters


_taken: set[object] = set()
"""The pool records of the ledger connections that are in use."""


@sa.event.listens_for(sa.Pool, "checkout")
def _count_taken(_: object, record: object, __: object) -> None:
    _taken.add(record)
    JumpingClock.busy += 1


@sa.event.listens_for(sa.Pool, "checkin")
def _count_returned(_: object, record: object) -> None:
    # The pool also returns a lost connection that was never counted as in use.
    if record in _taken:
        _taken.remove(record)
        JumpingClock.busy -= 1
