"""Rate limits: sliding windows for this process's status reads, and a protocol for the limit of create requests.

These limits keep requests below KIE's limits. If KIE answers 429 nevertheless, `client.py` retries the request. A
status read is not retried there, because the caller polls again anyway.
"""

from collections import deque
from typing import Any, Protocol

import anyio

from kie_mcp.clock import Clock

CREATE_LIMIT = (20, 11.0)
"""Maximum number of create requests of an account in a period, and the length of the period in seconds.

KIE's limit is 20 create requests in 10 s, and KIE counts a request when it arrives. One second is added, because some
requests take longer than others: requests that are sent 10 s apart may arrive less than 10 s apart.
"""


class CreateLimiter(Protocol):
    """The rate limit of create requests; all server processes that use the same account share it."""

    async def acquire(self, account: str, task: Any) -> float:
        """Acquire a slot for a create request.

        Args:
            account: The account's name, as in `KieClient.account`; it is not the API key.
            task: The caller's record of the task, which the client's caller passed as `task`.

        Returns:
            0 when the slot was acquired, otherwise the seconds to wait before the next attempt.
        """
        ...


class SlidingWindow:
    """A rate limit: at most `slots` requests in any period of `seconds`."""

    def __init__(self, slots: int, seconds: float) -> None:
        self.slots = slots
        self._seconds = seconds
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Return the seconds from `now` until the next request is allowed; 0 if it is allowed at once."""
        since = now - self._seconds
        while self._taken and self._taken[0] <= since:
            self._taken.popleft()
        return self._taken[-self.slots] - since if len(self._taken) >= self.slots else 0

    def take(self, now: float) -> None:
        """Record a request at the time `now`."""
        self._taken.append(now)


class RateLimiter:
    """A rate limiter for one kind of request; requests wait in order until every sliding window has a free slot."""

    def __init__(self, clock: Clock, *windows: SlidingWindow) -> None:
        """Store the clock and the sliding windows; a window may belong to several limiters at once."""
        self._clock = clock
        self._windows = windows
        self._order = anyio.Lock()

    async def acquire(self) -> None:
        """Wait until all sliding windows have a free slot, then use one slot of each window."""
        async with self._order:
            while (wait := max(window.wait(self._clock.monotonic()) for window in self._windows)) > 0:
                await self._clock.sleep(wait)
            now = self._clock.monotonic()
            for window in self._windows:
                window.take(now)
