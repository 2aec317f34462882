"""Time as everything here sees it, so that tests can bring their own."""

import time

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
