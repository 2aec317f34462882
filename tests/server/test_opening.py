"""Calls that need something that cannot be opened, such as a database, do not wait one after the other."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import httpx2
import pytest
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.deadline import DeadlineReached
from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.rate_limit import ReadLimiters
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.server.accounts.open_by_tenant import OpenByTenant
from kie_mcp.server.app import App
from kie_mcp.server.opening import Opening
from kie_mcp.server.tenancy import Tenancy

pytestmark = pytest.mark.anyio

SECONDS = 5
"""Seconds of each attempt."""
CALLS = 8


class Door:
    """Something that takes `SECONDS` to open, and that cannot be opened while it is stuck."""

    def __init__(self, clock: JumpingClock) -> None:
        self._clock = clock
        self.attempts = 0
        self.is_stuck = True

    async def open(self) -> "Door":
        self.attempts += 1
        await self._clock.sleep(SECONDS)
        if self.is_stuck:
            raise ConfigurationError("It is stuck.", "Try again.", retryable=True)
        return self


async def call_at_once(clock: JumpingClock, open_: Callable[[], Awaitable[object]]) -> list[float]:
    """Make several calls at once, and return after how many seconds each of them was refused."""
    begin, refused = clock.now, []

    async def call() -> None:
        with pytest.raises(ConfigurationError, match=r"^It is stuck.$") as error:
            await open_()
        # What one call adds to its error is not told to the others.
        error.value.message = "It is stuck, and so on."
        refused.append(clock.now - begin)

    async with anyio.create_task_group() as group:
        for _ in range(CALLS):
            group.start_soon(call)
    return refused


async def test_calls_that_wait_for_an_attempt_share_its_error_and_a_later_call_tries_again(clock: JumpingClock) -> None:
    opening, door = Opening(), Door(clock)

    async def open_() -> object:
        async with opening.attempt():
            return await door.open()

    assert await call_at_once(clock, open_) == [SECONDS] * CALLS
    assert door.attempts == 1
    assert await call_at_once(clock, open_) == [SECONDS] * CALLS
    door.is_stuck = False
    assert await open_() is door
    assert door.attempts == 3


async def test_a_call_that_is_cancelled_while_it_tries_refuses_nobody(clock: JumpingClock) -> None:
    opening, door, opened = Opening(), Door(clock), list[object]()
    door.is_stuck = False

    async def open_() -> None:
        async with opening.attempt():
            opened.append(await door.open())

    async with anyio.create_task_group() as group, anyio.create_task_group() as first:
        with JumpingClock.hold():
            first.start_soon(open_)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(open_)
            await anyio.wait_all_tasks_blocked()
        first.cancel_scope.cancel()
    assert (door.attempts, opened) == (2, [door])


async def test_calls_of_a_server_without_its_database_are_refused_at_once_together(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    door = Door(clock)

    async def open_ledger() -> Ledger:
        await door.open()
        raise AssertionError("it is stuck")

    async def has_ledger() -> bool:
        return True

    async def open_limiters() -> ReadLimiters:
        raise AssertionError("the ledger is opened before")

    app = App(settings, local_files=False, transport=transport, clock=clock)
    tenancy = Tenancy("ann", "s", False, has_ledger, open_ledger, open_ledger, open_limiters)
    tenant = app.build_tenant(settings, tenancy)
    async with tenant.run():
        assert await call_at_once(clock, tenant.runner) == [SECONDS] * CALLS
    places = OpenByTenant[Door](clock, lambda _: clock.sleep(0))

    async def use() -> None:
        async with places.use("ann", door.open):
            raise AssertionError("it is stuck")

    assert await call_at_once(clock, use) == [SECONDS] * CALLS


async def test_a_call_that_had_too_little_time_does_not_end_those_that_have_more(clock: JumpingClock) -> None:
    opening, told = Opening(), list[str]()

    async def call(name: str, error: Exception | None) -> None:
        with suppress(DeadlineReached):
            async with opening.attempt():
                await clock.sleep(SECONDS)
                if error:
                    raise error
                told.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(call, "in a hurry", DeadlineReached("KIE has not answered in time."))
        group.start_soon(call, "patient", None)
    assert told == ["patient"]
