"""Time as everything here sees it, so that tests can bring their own."""

import time
from collections.abc import Awaitable, Callable

import anyio


class Clock:
    """The machine's clock."""

    def time(self) -> float:
        """Seconds since 1970, for what is written down."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back, for waiting."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)

    async def idle(self, seconds: float) -> None:
        """Wait where nobody waits for the end of it."""
        await anyio.sleep(seconds)

    async def first(self, *waits: Callable[[], Awaitable[object]]) -> None:
        """Wait for whichever of these ends first."""
        async with anyio.create_task_group() as race:

            async def run(wait: Callable[[], Awaitable[object]]) -> None:
                await wait()
                race.cancel_scope.cancel()

            for wait in waits:
                race.start_soon(run, wait)
