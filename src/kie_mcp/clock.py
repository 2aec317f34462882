"""The clock of the whole package: time of day, monotonic time and sleep. Tests replace it with a clock of their own."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import anyio

LAST_SECOND = 253_402_214_400.0
"""The start of the last day of the year 9999, in seconds since 1970; `datetime` cannot express later years."""


def to_utc(seconds: float) -> datetime:
    """Convert seconds since 1970 to a time in UTC; a value outside the range 0 to `LAST_SECOND` is clamped to it."""
    return datetime.fromtimestamp(min(max(seconds, 0), LAST_SECOND), UTC)


def to_local_day(seconds: float) -> date:
    """Convert seconds since 1970 to a day in the machine's time zone, with the same limits as `to_utc()`."""
    return to_utc(seconds).astimezone().date()


class Clock:
    """The machine's clock."""

    def time(self) -> float:
        """Return the time of day in seconds since 1970; use it for times that are stored."""
        return time.time()

    def monotonic(self) -> float:
        """Return the seconds of a clock that is never set back; use it to measure how long something takes."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""
        await anyio.sleep(seconds)

    async def idle(self, seconds: float) -> None:
        """Wait for some seconds in a background loop; unlike `sleep()`, this does not advance the clock of a test."""
        await anyio.sleep(seconds)

    async def wait_for_first(
        self, wait: Callable[[], Awaitable[object]], *others: Callable[[], Awaitable[object]]
    ) -> None:
        """Run functions at the same time, wait until the first of them returns, and cancel the other functions."""
        async with anyio.create_task_group() as group:

            async def run(wait: Callable[[], Awaitable[object]]) -> None:
                await wait()
                group.cancel_scope.cancel()

            for other in others:
                group.start_soon(run, other)
            # A task of its own for this function would be one more for each of thousands of waiting watchers.
            await run(wait)
