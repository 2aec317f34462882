"""End downloads that are too slow, so that a slow host does not keep a slot for long."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import httpx2

from kie_mcp.clock import Clock
from kie_mcp.errors import KieMcpError

T = TypeVar("T")

WINDOW_SECONDS = 30
"""In each window of this length, a download has to bring `LOWEST_SPEED` bytes a second; also before its first byte."""
LOWEST_SPEED = 1_000
SECONDS_FREE = 300
"""Seconds after which a download also has to reach `LOWEST_AVERAGE`; so a larger file may take longer."""
LOWEST_AVERAGE = 50_000
"""Bytes a second since the beginning of a download, not counting its first `SECONDS_FREE` seconds."""


class Pace:
    """Counts the received bytes of one download, and ends the download if they come too slowly.

    A connection that sends one byte every few seconds never reaches a timeout of httpx2. It reaches this limit, also
    while it sends the headers of the answer.
    """

    def __init__(self, clock: Clock) -> None:
        """Store the clock whose seconds count."""
        self._clock = clock
        self.received = 0
        """Number of bytes that have been received; the download counts them here."""

    async def run(self, download: Callable[[], Awaitable[T]]) -> T:
        """Run a download and return what it returns.

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
                # Raised below, because a task group would raise it inside an ExceptionGroup.
                failure = error
            group.cancel_scope.cancel()
        if failure:
            raise failure
        if not done:
            raise TimeoutError(too_slow)
        return done[0]

    async def _wait_until_too_slow(self) -> str:
        """Wait until the download is too slow; return a sentence that says how slow it is."""
        begin, before = self._clock.monotonic(), 0
        while True:
            await self._clock.idle(WINDOW_SECONDS)
            if self.received - before < LOWEST_SPEED * WINDOW_SECONDS:
                return f"the host sent less than {LOWEST_SPEED / 1000:g} kB a second for {WINDOW_SECONDS} s"
            before = self.received
            seconds = self._clock.monotonic() - begin
            if seconds > SECONDS_FREE + self.received / LOWEST_AVERAGE:
                return f"the download brought only {self.received / 1e6:.1f} MB in {seconds:.0f} s"
