"""So many requests in so much time, and no more."""

from collections import deque

import anyio

from kie_mcp.clock import Clock


class Window:
    """At most so many in so many seconds, in the order in which they come."""

    def __init__(self, most: int, seconds: float, clock: Clock) -> None:
        self.most = most
        self._seconds = seconds
        self._clock = clock
        self._begun: deque[float] = deque()
        self._queue = anyio.Lock()

    async def turn(self) -> None:
        """Wait until there is room for one more."""
        async with self._queue:
            while (wait := self._wait()) > 0:
                await self._clock.sleep(wait)
            self._begun.append(self._clock.monotonic())

    def _wait(self) -> float:
        since = self._clock.monotonic() - self._seconds
        while self._begun and self._begun[0] <= since:
            self._begun.popleft()
        return self._begun[-self.most] - since if len(self._begun) >= self.most else 0
