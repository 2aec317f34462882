"""End downloads that are too slow, so that a slow host does not occupy a download slot for long."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import httpx2

from kie_mcp.clock import Clock
from kie_mcp.errors import KieMcpError

T = TypeVar("T")

WINDOW_SECONDS = 30
"""Seconds between two checks of a download's speed.

Since the previous check, the host must have sent at least `LOWEST_SPEED` bytes a second. The time until the first check
includes the wait for the first byte.
"""
LOWEST_SPEED = 1_000
SECONDS_FREE = 300
"""A download may last this number of seconds plus the time that its bytes need at the speed `LOWEST_AVERAGE`."""
LOWEST_AVERAGE = 50_000
"""Minimum average speed of a whole download, in bytes a second; see `SECONDS_FREE`."""


class Pace:
    """Counts the received bytes of one download, and ends the download if the bytes arrive too slowly.

    A host that sends one byte every few seconds never causes a timeout of httpx2. This class ends such a download, even
    while the host still sends the headers.
    """

    def __init__(self, clock: Clock) -> None:
        """Store the source of time."""
        self._clock = clock
        self.received = 0
        """Number of bytes received so far; the download updates this number."""

    async def run(self, download: Callable[[], Awaitable[T]]) -> T:
        """Run `download`, and return its result.

        Raises:
            TimeoutError: When the download is too slow.
        """
        done: list[T] = []
        failure: Exception | None = None
        too_slow = ""
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                nonlocal too_slow
                too_slow = await self._wait_until_too_slow()
                group.cancel_scope.cancel()

            group.start_soon(watch)
            try:
                done.append(await download())
            except (OSError, httpx2.HTTPError, KieMcpError) as error:
                # The error is raised below. Here, inside the task group, it would be wrapped into an ExceptionGroup.
                failure = error
            group.cancel_scope.cancel()
        if failure:
            raise failure
        if not done:
            raise TimeoutError(too_slow)
        return done[0]

    async def _wait_until_too_slow(self) -> str:
        """Wait until the download is too slow; return a message that says how slow the download is."""
        begin, before = self._clock.monotonic(), 0
        while True:
            await self._clock.idle(WINDOW_SECONDS)
            if self.received - before < LOWEST_SPEED * WINDOW_SECONDS:
                return f"the host sent less than {LOWEST_SPEED / 1000:g} kB a second for {WINDOW_SECONDS} s"
            before = self.received
            seconds = self._clock.monotonic() - begin
            if seconds > SECONDS_FREE + self.received / LOWEST_AVERAGE:
                return f"the download brought only {self.received / 1e6:.1f} MB in {seconds:.0f} s"
