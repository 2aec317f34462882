"""Tenants that pay with one KIE account: a charge that is measured by the fall of the balance is only their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock
from support.runners import model_call, run_to_end
from support.tenants import ANN, ANNS_KEY, BOB, BOBS_KEY, build_app, run_tenants

from kie_mcp.config import Settings
from kie_mcp.ledger.statistics import LATE_SECONDS
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.accounts.caller import Caller
from kie_mcp.server.app import App
from kie_mcp.tasks.order import Order

pytestmark = pytest.mark.anyio

SONG = 12
"""What a song costs; KIE does not state it, so it is measured."""
OPERATOR = (Caller("ann"), Caller("bob"))
PERSONS = {"the operator's key": OPERATOR, "the same key of their own": (ANN, Caller("bob", key=ANN.key))}


@asynccontextmanager
async def open_both(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, persons: tuple[Caller, Caller] = OPERATOR
) -> AsyncIterator[tuple[App, App]]:
    async with (
        run_tenants(build_app(settings, transport, clock)) as tenants,
        tenants.use(persons[0]) as ann,
        tenants.use(persons[1]) as bob,
    ):
        yield ann, bob


async def submit(app: App, tool: str, prompt: str = "x") -> Task:
    return await (await app.runner()).submit(Order(tool, model_call(tool, prompt=prompt)))


async def make(app: App, tool: str, prompt: str = "x") -> Task:
    return await run_to_end(await app.runner(), await submit(app, tool, prompt))


@pytest.mark.parametrize("persons", PERSONS.values(), ids=PERSONS)
async def test_a_song_is_not_charged_what_another_tenant_spends_at_the_same_time(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, persons: tuple[Caller, Caller]
) -> None:
    async with open_both(settings, transport, clock, persons) as (ann, bob):
        song = await submit(ann, "suno_music")
        await submit(bob, "nano_banana_image")
        assert (await run_to_end(await ann.runner(), song)).credits is None


@pytest.mark.parametrize("persons", PERSONS.values(), ids=PERSONS)
async def test_a_song_is_not_charged_what_another_tenant_spent_since_the_balance_was_read(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, persons: tuple[Caller, Caller]
) -> None:
    async with open_both(settings, transport, clock, persons) as (ann, bob):
        await (await ann.runner()).balance.read()
        await clock.sleep(1)
        await make(bob, "nano_banana_image")
        assert (await make(ann, "suno_music")).credits is None


async def test_a_song_that_no_other_tenant_s_task_overlaps_is_measured(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with open_both(settings, transport, clock) as (ann, bob):
        await make(bob, "nano_banana_image")
        await clock.sleep(LATE_SECONDS)
        assert (await make(ann, "suno_music")).credits == SONG


async def test_a_task_of_another_account_does_not_hide_a_charge(settings: Settings, clock: JumpingClock) -> None:
    accounts = {key: Sandbox(key=key, seconds=5, clock=clock.time).app for key in (ANNS_KEY, BOBS_KEY)}

    async def kie(scope: Scope, receive: Receive, send: Send) -> None:
        key = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        await accounts[key](scope, receive, send)

    real = settings.model_copy(update={"sandbox": False})
    async with open_both(real, httpx2.ASGITransport(app=kie), clock, (ANN, BOB)) as (ann, bob):
        song = await submit(ann, "suno_music")
        await submit(bob, "nano_banana_image")
        assert (await run_to_end(await ann.runner(), song)).credits == SONG
