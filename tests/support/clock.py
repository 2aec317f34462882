"""A clock for tests: time jumps to the next deadline when all tasks of the event loop wait for time."""

import asyncio
import selectors
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import aiosqlite
import anyio
import anyio.lowlevel
import anyio.to_thread
import sqlalchemy as sa

from kie_mcp import child_process
from kie_mcp.clock import Clock

MOMENT = 0.002
"""Real seconds that a test waits in each step, so that other tasks, threads and processes can work.

After this time without a message on any socket or pipe, the tasks of an event loop count as waiting.
"""


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
    share its connections, so this count belongs to the class.

    It works in the event loops of `JumpingLoop`, which the fixture `anyio_backend` names.
    """

    busy: ClassVar[int] = 0
    """Number of ledger connections in use plus number of open `hold()` blocks; time passes only if this is 0."""
    newest: "ClassVar[JumpingClock | None]" = None
    """The clock that was created last; the tests' PostgreSQL server uses its time."""

    def __init__(self) -> None:
        JumpingClock.newest = self
        self.now = 1_800_000_000.0
        """Seconds since 1970; a test may set it."""
        self.wake_times: list[float] = []
        """The deadlines to which the clock may jump, those of `sleep()`."""

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
        self.wake_times.append(wake_time)
        try:
            await _wait_for_alarm(_Alarm(self, wake_time, moves_clock=True))
        finally:
            self.wake_times.remove(wake_time)

    async def idle(self, seconds: float) -> None:
        """Sleep in a background loop: wake up when other sleepers have moved the clock, but never move it."""
        await _wait_for_alarm(_Alarm(self, self.now + seconds, moves_clock=False))


class WallClock(JumpingClock):
    """A clock whose time of day can be set without a change of its monotonic time."""

    ahead = 0.0
    """Seconds by which the time of day is ahead of the right time."""

    def time(self) -> float:
        return self.now + self.ahead


class _Alarm:
    """Wakes one sleeper when its clock has reached the deadline."""

    def __init__(self, clock: JumpingClock, wake_time: float, *, moves_clock: bool) -> None:
        self.clock = clock
        self.wake_time = wake_time
        self.moves_clock = moves_clock
        self.rings = anyio.Event()

    def ring_if_due(self) -> bool:
        """Wake the sleeper if its time has come, and return whether that is so."""
        if self.clock.now >= self.wake_time:
            self.rings.set()
        return self.rings.is_set()

    def jump_if_first(self) -> bool:
        """Move the clock to this deadline if it is the earliest one, and return whether that was so."""
        is_first = self.moves_clock and self.wake_time == min(self.clock.wake_times)
        if is_first:
            self.clock.now = max(self.clock.now, self.wake_time)
        return is_first


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets, and lets the clocks jump when no task of the event loop can go on without time passing.

    The event loop asks for sockets before each of its turns. With a timeout of 0, a task or a callback is ready to run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alarms: list[_Alarm] = []
        self.threads: anyio.CapacityLimiter | None = None
        """anyio's limit of worker threads, which knows how many of them work for this event loop."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.alarms or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        if self._ring():
            return super().select(0)
        # The loop itself always has one socket, with which threads wake it up.
        if found := super().select(MOMENT if len(self.get_map()) > 1 else 0):
            return found
        if not self._is_busy() and any(alarm.jump_if_first() for alarm in self.alarms):
            self._ring()
            return []
        # What the clocks wait for may end in another thread.
        return super().select(MOMENT if timeout is None else min(timeout, MOMENT))

    def _ring(self) -> bool:
        rung = [alarm for alarm in self.alarms if alarm.ring_if_due()]
        return bool(rung)

    def _is_busy(self) -> bool:
        has_worker = self.threads is not None and self.threads.borrowed_tokens > 0
        return bool(JumpingClock.busy or has_worker or child_process.running)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop in which `JumpingClock` works."""

    def __init__(self) -> None:
        self.jumping = _JumpingSelector()
        super().__init__(self.jumping)


async def _wait_for_alarm(alarm: _Alarm) -> None:
    """Wait until an alarm rings.

    Raises:
        TypeError: When the event loop is not a `JumpingLoop`.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, JumpingLoop):
        raise TypeError(
            "The tests' clock has to know whether a task can go on, and only the loop support.clock.JumpingLoop shows "
            'that. Pass backend_options={"loop_factory": JumpingLoop} to anyio.run().'
        )
    if alarm.ring_if_due():
        return
    loop.jumping.threads = anyio.to_thread.current_default_thread_limiter()
    loop.jumping.alarms.append(alarm)
    try:
        await alarm.rings.wait()
    finally:
        loop.jumping.alarms.remove(alarm)


async def _execute(connection: aiosqlite.Connection, *call: Any, **named: Any) -> Any:
    # A new connection also works before the pool counts it as in use, when its options are set.
    with JumpingClock.hold():
        return await _execute_in_thread(connection, *call, **named)  # type: ignore[no-untyped-call]


_execute_in_thread = aiosqlite.Connection._execute
aiosqlite.Connection._execute = _execute  # type: ignore[assignment,method-assign]


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
