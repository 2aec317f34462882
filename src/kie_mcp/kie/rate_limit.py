"""Rate limits: sliding windows for status reads in this process, and the limiter of creates that a client is given."""

from collections import deque
from typing import Any, Protocol

import anyio

from kie_mcp.clock import Clock

CREATE_LIMIT = (20, 11.0)
"""Slots and seconds of the create limiter's window, per account. KIE's limit is 20 in 10 s by its own clock: a create
that was on its way for longer than the 21st after it, such as the first ones over new connections, counts later there
than here."""


class CreateLimiter(Protocol):
    """The rate limit of creates, which all server processes of one account share."""

    async def acquire(self, account: str, task: Any) -> float:
        """Acquire a slot to create a task; return 0, or the seconds to wait before the next attempt.

        Args:
            account: The account's name, which is not its key.
            task: The task to create, as the caller of the client knows it.
        """
        ...


class SlidingWindow:
    """A sliding window: so many slots in so many seconds."""

    def __init__(self, slots: int, seconds: float) -> None:
        self.slots = slots
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Return the seconds until a slot is free."""
        since = now - self._seconds
        while self._taken and self._taken[0] <= since:
            self._taken.popleft()
        return self._taken[-self.slots] - since if len(self._taken) >= self.slots else 0

    def take(self, now: float) -> None:
        """Take a slot."""
        self._taken.append(now)


class RateLimiter:
    """A rate limiter for requests of one kind: they leave in their order, each once all windows have a free slot."""

    def __init__(self, clock: Clock, *windows: SlidingWindow) -> None:
        """Use these windows; other limiters may share some of them, and no limiter waits behind another."""
        self._clock = clock
        self._windows = windows
        self._order = anyio.Lock()

    async def acquire(self) -> None:
        """Wait until all windows have a free slot, and take one in each at once."""
        async with self._order:
            while (wait := max(window.wait(self._clock.monotonic()) for window in self._windows)) > 0:
                await self._clock.sleep(wait)
            now = self._clock.monotonic()
            for window in self._windows:
                window.take(now)
