"""Objects of tenants, such as their apps: the first use opens a tenant's object, and an idle object is closed later.

Requests of different tenants never wait for each other, with one exception: a request that has to open an object beyond
the limit waits until an idle object is closed.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio

from kie_mcp.clock import Clock
from kie_mcp.errors import ConfigurationError
from kie_mcp.server.opening import Opening

logger = logging.getLogger(__name__)

MAX_OPEN = 1000
"""Maximum number of objects of one kind that are open at the same time."""

T = TypeVar("T")


class _Place(Generic[T]):
    """The entry for one tenant, whose object may be open, about to be opened, or about to be closed."""

    def __init__(self) -> None:
        self.lock = anyio.Lock()
        """Held while the object is opened or closed."""
        self.opening = Opening()
        self.opened: T | None = None
        self.users = 0
        """Number of requests that use the object or wait for it."""
        self.used = 0.0
        """Monotonic time of the end of the last use, in seconds."""


class OpenByTenant(Generic[T]):
    """The open objects of one kind: at most one for each tenant."""

    def __init__(
        self, clock: Clock, close: Callable[[T], Awaitable[None]], is_idle: Callable[[T], bool] = lambda _: True
    ) -> None:
        """Store the arguments.

        Args:
            clock: The source of time.
            close: Closes an object.
            is_idle: Returns whether an object that no request uses may be closed.
        """
        self._clock = clock
        self._close_object = close
        self._is_idle = is_idle
        self._places: dict[str, _Place[T]] = {}

    @asynccontextmanager
    async def use(
        self, name: str, open_: Callable[[], Awaitable[T]], fits: Callable[[T], bool] = lambda _: True
    ) -> AsyncIterator[T]:
        """Yield a tenant's object; until the `async with` block ends, the object does not count as idle.

        If the open object does not fit this call, such as a call with another KIE key, the object is closed at once,
        even while other calls of the tenant use it, and a new object is opened.

        Args:
            name: The tenant's name.
            open_: Opens the object; called if the object is not open.
            fits: Returns whether the open object can be used; if not, it is closed, and `open_` is called.

        Raises:
            ConfigurationError: When too many objects are open.
        """
        place = self._places.setdefault(name, _Place())
        place.users += 1
        try:
            async with place.opening.attempt(), place.lock:
                if place.opened and not fits(place.opened):
                    await self._close(place)
                if not place.opened:
                    await self._make_room()
                    place.opened = await open_()
                opened = place.opened
            yield opened
        finally:
            place.users -= 1
            place.used = self._clock.monotonic()
            self._forget_empty(name)

    def find(self, name: str) -> T | None:
        """Return the object (an app or a ledger) that is open for a tenant; None if there is none."""
        place = self._places.get(name)
        return place.opened if place else None

    def list_open(self) -> list[T]:
        """Return the open objects of all tenants."""
        return [place.opened for place in [*self._places.values()] if place.opened is not None]

    def touch(self, name: str) -> T | None:
        """Return the object that is open for a tenant, if any, and count this as a use of the object."""
        if (place := self._places.get(name)) and place.opened:
            place.used = self._clock.monotonic()
            return place.opened
        return None

    async def close_idle(self, seconds: float = 0) -> None:
        """Close the idle objects whose last use was at least this many seconds ago, one after the other."""
        before = self._clock.monotonic() - seconds
        for name, place in [*self._places.items()]:
            if place.used <= before and self._may_close(place):
                await self._close_unused(name)

    async def _make_room(self) -> None:
        """If more than `MAX_OPEN` tenants have an entry, close the idle object whose last use was longest ago.

        Raises:
            ConfigurationError: When there are too many entries, and no object is idle.
        """
        if len(self._places) <= MAX_OPEN:
            return
        closable = [name for name, place in self._places.items() if self._may_close(place)]
        if not closable:
            raise ConfigurationError("Too many callers are served at this moment.", "Try again in a minute.")
        await self._close_unused(min(closable, key=lambda name: self._places[name].used))

    def _may_close(self, place: _Place[T]) -> bool:
        is_unused = not place.users and not place.lock.statistics().locked
        return bool(is_unused and place.opened and self._is_idle(place.opened))

    async def _close_unused(self, name: str) -> None:
        place = self._places[name]
        # There is no `await` between the check in the calling function and this line, so nobody can begin to use the
        # object in between.
        place.lock.acquire_nowait()
        try:
            await self._close(place)
        finally:
            place.lock.release()
            self._forget_empty(name)

    async def _close(self, place: _Place[T]) -> None:
        assert place.opened is not None  # noqa: S101 - the callers have checked that
        opened, place.opened = place.opened, None
        # The shield lets the closing finish even if this call is cancelled: only a closed object may be opened again.
        with anyio.CancelScope(shield=True):
            try:
                await self._close_object(opened)
            except Exception:
                # The error is only logged, because it must not end the requests and apps of other tenants.
                logger.exception("What a tenant had open cannot be closed.")

    def _forget_empty(self, name: str) -> None:
        place = self._places.get(name)
        if place and not place.users and place.opened is None and not place.lock.statistics().locked:
            del self._places[name]
