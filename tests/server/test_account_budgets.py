"""The budget of a person for a day is a claim in the access token, which the provider's administrators assign."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.accounts import claims_for, connect_account, make_key, needs_provider, run_provider, serve_accounts, sign
from support.answers import answer
from support.clock import JumpingClock, wait_until

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App

pytestmark = [pytest.mark.anyio, needs_provider]

CLAIM = "kie_credits_per_day"
CAP = 20
"""Credits that the settings allow a person without the claim."""
BROKEN = ["lots", "", "nan", "inf", "-1", "1,000", -1, -0.5, True, None, [500], {"credits": 500}, 10**400]
PAID: list[tuple[str, dict[str, Any]]] = [
    ("nano_banana_image", {"prompt": "a fox"}),
    ("run_model", {"model": "z-image", "input": {"prompt": "a fox"}}),
    ("compare_models", {"models": ["z-image", "nano-banana-2-1"], "prompt": "a fox", "max_credits": 100}),
    ("make_batch", {"model": "z-image", "prompts": ["a fox", "a hare"], "max_credits": 100}),
]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A real OpenID provider, which gives the intern and the studio a budget, and the guest none."""
    claims: dict[str, dict[str, object]] = {
        "intern": {CLAIM: 10},
        "studio": {CLAIM: "20000"},
        "broken": {CLAIM: "lots"},
    }
    with run_provider(make_key("one"), claims=claims) as address:
        yield address


@pytest.fixture
async def url(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> AsyncIterator[str]:
    """The endpoint of a server that reads the budget from the claim."""
    async with serve(settings, transport, clock, issuer) as address:
        yield address


@asynccontextmanager
async def serve(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str, **changed: Any
) -> AsyncIterator[str]:
    app = App(settings.model_copy(update={"save": False}), local_files=False, transport=transport, clock=clock)
    known = {"budget_claim": CLAIM, "max_credits_per_day": CAP, "repeat_window": 0} | changed
    async with serve_accounts(app, issuer, **known) as address:
        yield address


@asynccontextmanager
async def connect(url: str, issuer: str, **claims: object) -> AsyncIterator[Client]:
    """Connect a client of one person, whose token has these claims besides the usual ones."""
    headers = {"Authorization": f"Bearer {sign(make_key('one'), **(claims_for(issuer, url) | claims))}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def make(client: Client) -> dict[str, Any]:
    return answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))


async def make_until_refused(client: Client, most: int = 6) -> dict[str, Any] | None:
    """Make pictures; return the error of the first one that is refused, or None if so many could be made."""
    for _ in range(most):
        made = await make(client)
        if "error" in made:
            error: dict[str, Any] = made["error"]
            return error
    return None


async def read_cap(client: Client) -> object:
    return answer(await client.call_tool("get_credits"))["caps"][0]["cap"]


@pytest.mark.parametrize("token", ["signed", "opaque"])
async def test_one_person_reaches_their_budget_and_another_does_not(url: str, sandbox: Sandbox, token: str) -> None:
    async with (
        connect_account(url, "intern", name=token) as intern,
        connect_account(url, "studio", name=token) as studio,
    ):
        error = await make_until_refused(intern)
        assert error
        assert (error["category"], error["billed"]) == ("cap_reached", False)
        assert f"of the 10 credits a day are left (the claim {CLAIM} in the caller's access token" in error["message"]
        assert "KIE_MCP" not in error["message"]
        assert "administrator" in error["next_step"]
        spent = 1000 - sandbox.balance
        assert 0 < spent <= 10
        told = answer(await intern.call_tool("get_credits"))["caps"]
        assert told == [{"per": "day", "left": 10 - spent, "cap": 10}]
        assert await make_until_refused(studio) is None
        assert 1000 - sandbox.balance - spent > CAP
        assert await read_cap(studio) == 20000


async def test_without_the_claim_the_cap_in_the_settings_holds(url: str, sandbox: Sandbox) -> None:
    async with connect_account(url, "guest") as guest:
        error = await make_until_refused(guest)
        assert error
        assert f"of the {CAP} credits a day are left (KIE_MCP_MAX_CREDITS_PER_DAY;" in error["message"]
        assert 0 < 1000 - sandbox.balance <= CAP
        assert await read_cap(guest) == CAP


async def test_without_the_setting_a_claim_of_this_name_says_nothing(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> None:
    async with (
        serve(settings, transport, clock, issuer, budget_claim="") as url,
        connect(url, issuer, **{CLAIM: 20000}) as client,
    ):
        assert await read_cap(client) == CAP


@pytest.mark.parametrize("token", ["signed", "opaque"])
async def test_with_a_broken_claim_a_person_can_look_and_make_nothing(url: str, sandbox: Sandbox, token: str) -> None:
    async with connect_account(url, "broken", name=token) as client:
        for tool, given in (*PAID, ("get_credits", {})):
            error = answer(await client.call_tool(tool, given))["error"]
            assert (error["category"], error["billed"]) == ("configuration", False), tool
            assert f"The claim {CLAIM}" in error["message"]
            assert "lots" not in error["message"]
        assert answer(await client.call_tool("list_tasks"))["tasks"] == []
        assert answer(await client.call_tool("nano_banana_image", {"prompt": "a fox", "quote": True}))
    assert sandbox.accepted == []


async def test_no_broken_claim_counts_as_no_cap(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str, sandbox: Sandbox
) -> None:
    async with serve(settings, transport, clock, issuer, max_credits_per_day=None) as url:
        for value in BROKEN:
            async with connect(url, issuer, **{CLAIM: value}) as client:
                assert (await make(client))["error"]["category"] == "configuration", value
    assert sandbox.accepted == []


async def test_a_budget_is_a_number_or_a_text_with_one(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> None:
    value: object
    async with serve(settings, transport, clock, issuer, max_credits_per_day=None) as url:
        for value, cap in ((0, 0), (500, 500), (500.5, 500.5), ("500", 500), (" 5e2 ", 500)):
            async with connect(url, issuer, **{CLAIM: value}) as client:
                assert await read_cap(client) == cap, value
                assert ("error" in await make(client)) == (cap == 0), value


async def test_each_call_goes_by_the_budget_in_its_own_token(url: str, issuer: str) -> None:
    async with connect(url, issuer, **{CLAIM: 0}) as before, connect(url, issuer, **{CLAIM: 500}) as after:
        assert (await make(before))["error"]["category"] == "cap_reached"
        assert (await make(after))["status"] == "succeeded"
        assert (await make(before))["error"]["category"] == "cap_reached"
        assert await read_cap(after) == 500


async def test_a_batch_that_was_begun_within_a_budget_goes_on_after_it_was_lowered(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str, sandbox: Sandbox
) -> None:
    """KIE takes 20 creates in 10 seconds, so the other items are started later, here by another server."""
    given = {"model": "z-image", "prompts": [f"fox {n}" for n in range(22)], "max_credits": 100}
    with JumpingClock.hold():
        async with (
            serve(settings, transport, clock, issuer, wait_seconds=0) as url,
            connect(url, issuer, **{CLAIM: 500}) as client,
        ):
            batch = answer(await client.call_tool("make_batch", given))
            await wait_until(lambda: len(sandbox.accepted) == 20)
    async with (
        serve(settings, transport, clock, issuer, oidc_audience=url) as other,
        connect(other, issuer, **{"aud": url, CLAIM: 0}) as client,
    ):
        asked = {"task_ids": [batch["task_id"]], "wait_seconds": 600}
        assert answer(await client.call_tool("get_task", asked))["status"] == "succeeded"
        assert (await make(client))["error"]["category"] == "cap_reached"
    assert len(sandbox.accepted) == 22


@pytest.mark.parametrize(
    ("cap", "named"),
    [
        ("max_credits_per_task", "KIE_MCP_MAX_CREDITS_PER_TASK"),
        ("max_credits_per_session", "KIE_MCP_MAX_CREDITS_PER_SESSION"),
        ("max_credits_per_day_all", "KIE_MCP_MAX_CREDITS_PER_DAY_ALL"),
    ],
)
async def test_the_other_caps_stay(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str, cap: str, named: str
) -> None:
    async with (
        serve(settings, transport, clock, issuer, **{cap: 1}) as url,
        connect(url, issuer, **{CLAIM: 20000}) as client,
    ):
        error = (await make(client))["error"]
        assert error["category"] == "cap_reached"
        assert named in error["message"]
