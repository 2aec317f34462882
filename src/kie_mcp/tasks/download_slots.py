"""Limit the downloads that run at once, in total and from one host, so that a slow host does not delay other hosts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio

CONCURRENT_DOWNLOADS = 8
CONCURRENT_DOWNLOADS_PER_HOST = 6
"""Maximum number of downloads at once from one host; the other slots are kept for other hosts."""


class DownloadSlots:
    """Limits how many downloads run at once, in total and from one host."""

    def __init__(self) -> None:
        self._all = anyio.CapacityLimiter(CONCURRENT_DOWNLOADS)
        # The entry of a host is deleted when no download from this host runs or waits.
        self._hosts: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()

    @asynccontextmanager
    async def acquire(self, host: str) -> AsyncIterator[None]:
        """Wait for a slot for a download from a host, and keep it until the `async with` block ends."""
        limiter = self._hosts.setdefault(host, anyio.CapacityLimiter(CONCURRENT_DOWNLOADS_PER_HOST))
        # The slot of the host is acquired first. Otherwise, downloads that wait for a slow host would occupy the slots
        # that all hosts share.
        async with limiter, self._all:
            yield
