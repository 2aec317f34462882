"""Rate limits: sliding windows for this process's status reads, and the protocol of a client's create limiter.

KIE's own answer 429 is handled elsewhere: `codes.py` says what a 429 means, and `client.py` retries a create after a
429. The client also retries reads after a 429, except status reads, which the caller repeats.
"""

from collections import deque
from typing import Any, Protocol

import anyio

from kie_mcp.clock import Clock

CREATE_LIMIT = (20, 11.0)
"""Slots, and seconds, of the create limiter's sliding window for one account.

KIE's limit is 20 creates in 10 s, and KIE counts a create when it arrives. The window here is one second longer because
a slow create, such as the first over a new connection, may arrive less than 10 s before a fast create that was sent
10 s later.
"""


class CreateLimiter(Protocol):
    """The rate limit of creates, which all server processes of one account share."""

    async def acquire(self, account: str, task: Any) -> float:
        """Acquire a slot to create a task; return 0, or the seconds to wait before the next attempt.

        Args:
            account: The account's name, as in `KieClient.account`; it is not the API key.
            task: The task to create: the value that the client's caller passed as `task`.
        """
        ...


class SlidingWindow:
    """A sliding window: at most `slots` requests in any period of `seconds`."""

    def __init__(self, slots: int, seconds: float) -> None:
        self.slots = slots
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Return the seconds until a slot is free; 0 when a slot is free now."""
        since = now - self._seconds
        while self._taken and self._taken[0] <= since:
            self._taken.popleft()
        return self._taken[-self.slots] - since if len(self._taken) >= self.slots else 0

    def take(self, now: float) -> None:
        """Take a slot at the time `now`."""
        self._taken.append(now)


class RateLimiter:
    """A rate limiter for one kind of request: it lets requests go in order, each when all windows have a free slot."""

    def __init__(self, clock: Clock, *windows: SlidingWindow) -> None:
        """Prepare a limiter on these windows; several limiters may share a window, but each has its own queue."""
        self._clock = clock
        self._windows = windows
        self._order = anyio.Lock()

    async def acquire(self) -> None:
        """Wait until all windows have a free slot, then take one slot in each window."""
        async with self._order:
            while (wait := max(window.wait(self._clock.monotonic()) for window in self._windows)) > 0:
                await self._clock.sleep(wait)
            now = self._clock.monotonic()
            for window in self._windows:
                window.take(now)
