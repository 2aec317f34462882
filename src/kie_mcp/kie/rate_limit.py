"""So many requests in so much time, and no more."""

from collections import deque

import anyio

from kie_mcp.clock import Clock


class SlidingWindow:
    """At most so many in so many seconds."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self._seconds = seconds
        self._begun: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until there is room for one more."""
        since = now - self._seconds
        while self._begun and self._begun[0] <= since:
            self._begun.popleft()
        return self._begun[-self.most] - since if len(self._begun) >= self.most else 0

    def take(self, now: float) -> None:
        """Count one more."""
        self._begun.append(now)


class RateLimiter:
    """Requests of one kind, which leave in the order in which they come, each once all its windows have room."""

    def __init__(self, clock: Clock, *windows: SlidingWindow) -> None:
        """Remember the windows; other queues may have some of them too, and none waits behind another."""
        self._clock = clock
        self._windows = windows
        self._order = anyio.Lock()

    async def acquire(self) -> None:
        """Wait until this one may leave, and count it in all windows at once."""
        async with self._order:
            while (wait := max(window.wait(self._clock.monotonic()) for window in self._windows)) > 0:
                await self._clock.sleep(wait)
            now = self._clock.monotonic()
            for window in self._windows:
                window.take(now)
