"""Rate limits: `ReadLimiter` limits status reads, and the interface `CreateLimiter` limits create requests.

These limits keep requests below KIE's limits. If KIE answers 429 nevertheless, `client.py` retries the request. A
status read is not retried there, because the caller polls again anyway.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol
from weakref import WeakValueDictionary

import anyio

from kie_mcp.clock import Clock

CREATE_LIMIT = (20, 11.0)
"""Maximum number of create requests of an account in a period, and the length of the period in seconds.

KIE's limit is 20 create requests in 10 s, and KIE counts a request when it arrives. One second is added, because some
requests take longer than others: requests that are sent 10 s apart may arrive less than 10 s apart.
"""
STATUS_READS = 10
"""Status reads per second that KIE allows for most models."""
SLOW_READS = 3
"""Status reads per second that KIE allows for Suno; the limit for 4o images is separate, but has the same value."""
SLOW_PATHS = {
    "suno": re.compile("/v1/(generate|lyrics|wav|mp4|vocal-removal|midi|suno|voice)/"),
    "4o": re.compile("/gpt4o-"),
}
PERIOD_SECONDS = 1.0
"""Period of the rate limits for status reads, in seconds; each slot may be used once in a period."""
ASK_SECONDS = 1.0
"""Seconds after which a read limiter asks its lender for slots again.

It asks earlier if it has no slot, or if it needs more slots than before.
"""


class CreateLimiter(Protocol):
    """The rate limit of create requests; all server processes that use the same account share it."""

    async def acquire(self, account: str, task: Any) -> float:
        """Acquire a slot for a create request.

        Args:
            account: The account's name, as in `KieClient.account`; it is not the API key.
            task: The argument `task` of `KieClient.create_task()` or `create_and_read()`.

        Returns:
            0 when the slot was acquired, otherwise the seconds to wait before the next attempt.
        """
        ...

    async def note_refusal(self, task: Any) -> None:
        """Note that KIE has made no task from a create request, which may be sent again after a while.

        Args:
            task: The argument `task` of `acquire()`.
        """
        ...


@dataclass(slots=True)
class Slot:
    """The lease of a slot for status reads: the right to send one status read in each period until the lease ends."""

    number: int
    start: float
    """Monotonic time at which the lease begins, in seconds."""
    end: float = inf
    """Monotonic time at which the lease ends, in seconds."""
    used: float = -inf
    """Monotonic time of the last status read, in seconds."""

    @property
    def ready(self) -> float:
        """Monotonic time from which the slot may be used again, in seconds."""
        return max(self.start, self.used + PERIOD_SECONDS)


class SlotLender(Protocol):
    """Lends slots for status reads to the read limiters of one account; each slot is lent to one limiter at a time."""

    async def lend(self, kind: str, slots: int, wanted: int) -> Sequence[Slot]:
        """Lend slots for some seconds.

        Args:
            kind: Name of the limit, such as `suno`.
            slots: Total number of slots of this limit.
            wanted: Number of slots that the limiter can use, including those that it has already.

        Returns:
            The slots that were lent; there may be fewer than `wanted`, and some leases may begin later.
        """
        ...


class _EverySlot:
    """A lender for an account that only this process uses: it lends all slots, and the leases never end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def lend(self, kind: str, slots: int, wanted: int) -> Sequence[Slot]:
        del kind, wanted
        return [Slot(number, self._clock.monotonic()) for number in range(slots)]


class _Window:
    """One limit of a read limiter: the slots that are leased at the moment, and the number of waiting requests."""

    def __init__(self, clock: Clock, lender: SlotLender, kind: str, slots: int) -> None:
        self._clock = clock
        self._lender = lender
        self._kind, self._slots = kind, slots
        self.waiting = 0
        """Number of requests that wait for a slot."""
        self._held: list[Slot] = []
        self._asked = -inf
        self._wanted = 0
        self._asking = anyio.Lock()

    def wait(self) -> float:
        """Return the seconds until a slot is free; infinity if no slot is leased."""
        return max(min((slot.ready for slot in self._find_usable()), default=inf) - self._clock.monotonic(), 0)

    def take(self) -> None:
        """Use the slot that has been free for the longest time."""
        # The lease of the only free slot may have ended since `wait()`. Then a slot whose lease has ended is used.
        min(self._find_usable() or self._held, key=lambda slot: slot.ready).used = self._clock.monotonic()

    async def refill(self) -> None:
        """Ask the lender for more slots if there are more waiting requests than free slots."""
        if not self._count_wanted():
            return
        async with self._asking:
            # Meanwhile, another request may have asked the lender, so the number is computed again.
            if wanted := self._count_wanted():
                self._asked, self._wanted = self._clock.monotonic(), wanted
                for slot in await self._lender.lend(self._kind, self._slots, wanted):
                    self._keep(slot)

    def _count_wanted(self) -> int:
        """Return how many slots to ask for now, including those that were lent before; 0 to ask for none."""
        now, usable = self._clock.monotonic(), self._find_usable()
        has, free = len(usable), sum(slot.ready <= now for slot in usable)
        recent = sum(slot.used > now - PERIOD_SECONDS for slot in self._held)
        wanted = min(max(has + self.waiting, recent), self._slots)
        is_early = has and wanted <= self._wanted and now < self._asked + ASK_SECONDS
        return 0 if free >= self.waiting or has >= self._slots or is_early else wanted

    def _keep(self, slot: Slot) -> None:
        """Add a lease; if this slot is leased already, extend that lease instead, so that its `used` is kept."""
        now = self._clock.monotonic()
        self._held = [each for each in self._held if each.end + PERIOD_SECONDS > now]
        latest = next((each for each in reversed(self._held) if each.number == slot.number), None)
        if latest and slot.start <= max(latest.start, now):
            latest.end = slot.end
        else:
            self._held.append(slot)

    def _find_usable(self) -> list[Slot]:
        """Return the slots that may be used, now or later, before their lease ends."""
        now = self._clock.monotonic()
        return [slot for slot in self._held if max(slot.ready, now) < slot.end]


class _Queue:
    """The status reads of one kind, such as those for Suno: they wait in order until every window has a free slot."""

    def __init__(self, clock: Clock, *windows: _Window) -> None:
        self._clock = clock
        self._windows = windows
        self._order = anyio.Lock()

    async def acquire(self) -> None:
        with self._wait_for(1):
            async with self._order:
                while True:
                    for window in self._windows:
                        await window.refill()
                    if (wait := max(window.wait() for window in self._windows)) <= 0:
                        break
                    await self._clock.sleep(min(wait, ASK_SECONDS))
                for window in self._windows:
                    window.take()

    async def expect(self, requests: int) -> None:
        """Lease enough slots for this number of requests before the requests are sent."""
        with self._wait_for(requests):
            for window in self._windows:
                await window.refill()

    @contextmanager
    def _wait_for(self, requests: int) -> Iterator[None]:
        """Add `requests` to the number of waiting requests until the `with` block ends."""
        for window in self._windows:
            window.waiting += requests
        try:
            yield
        finally:
            for window in self._windows:
                window.waiting -= requests


class ReadLimiter:
    """The rate limits of an account's status reads: one for all reads, another one for Suno, and one for 4o images."""

    def __init__(self, clock: Clock, lender: SlotLender) -> None:
        all_reads = _Window(clock, lender, "", STATUS_READS)
        self._queue = _Queue(clock, all_reads)
        self._slow = {name: _Queue(clock, _Window(clock, lender, name, SLOW_READS), all_reads) for name in SLOW_PATHS}

    async def acquire(self, path: str) -> None:
        """Wait until a status read of this path may be sent."""
        slow = (queue for name, queue in self._slow.items() if SLOW_PATHS[name].search(path))
        await next(slow, self._queue).acquire()

    async def expect_burst(self) -> None:
        """Lease slots of every limit before many status reads begin, so that the reads need not wait for leases."""
        for queue in (self._queue, *self._slow.values()):
            await queue.expect(STATUS_READS)


class ReadLimiters:
    """The read limiters of this process: one for each account, which all clients of the account share."""

    def __init__(self, clock: Clock, find_lender: Callable[[str], SlotLender] | None = None) -> None:
        """Store the arguments.

        Args:
            clock: The source of time.
            find_lender: Function that takes the name of an account and returns a new lender for its slots. If left
                out, this process uses all slots of each account, as if there were no other process.
        """
        self._clock = clock
        self._find_lender = find_lender or (lambda _: _EverySlot(clock))
        self._open: WeakValueDictionary[str, ReadLimiter] = WeakValueDictionary()

    def find(self, account: str) -> ReadLimiter:
        """Return the read limiter of an account."""
        found = self._open.get(account) or ReadLimiter(self._clock, self._find_lender(account))
        self._open[account] = found
        return found
