"""A caller without the scope `kie:spend` pays for nothing, whatever it calls, and learns which scope it lacks."""

from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from support.accounts import Memory, claims_for, connect_account, make_key, needs_provider, sign
from support.answers import answer
from support.clock import JumpingClock
from support.example_calls import ARGUMENTS, GIVEN

from kie_mcp.catalog.registry import FAMILIES
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.tasks.permission import Permission

pytestmark = pytest.mark.anyio

PICTURE: dict[str, Any] = {"model": "z-image", "input": {"prompt": "a fox"}}
BATCH: dict[str, Any] = {"model": "z-image", "prompts": ["a fox", "a hare"], "max_credits": 100}
PAID: list[tuple[str, dict[str, Any]]] = [
    ("run_model", PICTURE),
    ("run_model", {**PICTURE, "variation": 2, "anyway": True, "confirm": "c_1"}),
    ("nano_banana_image", {"prompt": "a fox"}),
    ("kling_video", {"prompt": "a fox"}),
    ("suno_music", {"prompt": "a fox"}),
    ("suno_lyrics", {"prompt": "a fox"}),
    ("compare_models", {"models": ["z-image", "nano-banana-2-1"], "prompt": "a fox", "max_credits": 100}),
    ("make_batch", BATCH),
    ("resolve_task", {"task_id": "t_1", "outcome": "not created"}),
    ("make_batch", {"items": [PICTURE, PICTURE], "max_credits": 100}),
]


def find_files(value: Any) -> Any:
    """Replace the file names of examples by addresses."""
    match value:
        case str() if value.count(".") == 1 and " " not in value:
            return f"https://files.example/{value}"
        case list():
            return [find_files(each) for each in value]
        case dict():
            return {name: find_files(each) for name, each in value.items()}
    return value


async def test_no_family_runs_for_a_caller_who_may_not_spend(app: App, sandbox: Sandbox) -> None:
    refused = []
    with Permission(may_spend=False, missing_right="the scope x").apply():
        async with Client(build_server(app), raise_exceptions=True) as client:
            for family in FAMILIES:
                model = family.models[0]
                required = [name for name, field in model.model_fields.items() if field.is_required()]
                given = {name: GIVEN[name] for name in required} | ARGUMENTS.get(model.id, {})
                called = {"model": model.id, "input": find_files(given), "anyway": True}
                told = answer(await client.call_tool("run_model", called))
                refused += [model.id] if told["error"]["category"] == "not_allowed" else []
                assert told["error"]["category"] in ("not_allowed", "invalid_call"), told
            for tool, given in PAID:
                told = answer(await client.call_tool(tool, given))
                assert (told["error"]["category"], told["error"]["billed"]) == ("not_allowed", False), tool
                assert "the scope x" in told["error"]["message"]
    # The others name earlier tasks, which are not there.
    assert len(refused) > 0.8 * len(FAMILIES)
    assert sandbox.accepted == []


async def test_what_was_begun_with_permission_goes_on_for_a_caller_without(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, sandbox: Sandbox
) -> None:
    """A batch starts its items one after the other, and another process may take it over at any time."""
    app = App(settings, transport=transport, clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        made = answer(await client.call_tool("make_batch", {**BATCH, "prompts": [f"fox {n}" for n in range(9)]}))
    again = App(settings, transport=transport, clock=clock)
    with Permission(may_spend=False, missing_right="the scope x").apply():
        async with Client(build_server(again), raise_exceptions=True) as client:
            asked = {"task_ids": [made["task_id"]], "wait_seconds": 600}
            assert answer(await client.call_tool("get_task", asked))["status"] == "succeeded"
    assert len(sandbox.accepted) == 9


@needs_provider
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_paid_call_without_the_scope_is_answered_with_403(
    accounts_url: str, issuer: str, sandbox: Sandbox, era: Any
) -> None:
    token = sign(make_key("one"), **claims_for(issuer, accounts_url, scope="kie:read"))
    seen: list[httpx2.Response] = []

    async def see(response: httpx2.Response) -> None:
        seen.append(response)

    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, event_hooks={"response": [see]}) as http,
        Client(streamable_http_client(accounts_url, http_client=http), mode=era) as client,
    ):
        assert "credits" in answer(await client.call_tool("get_credits"))
        assert answer(await client.call_tool("nano_banana_image", {"prompt": "a fox", "quote": True}))
        assert {each.status_code for each in seen} <= {200, 202}
        for tool, given in PAID:
            with pytest.raises(MCPError):
                await client.call_tool(tool, given)
            refused = seen[-1]
            assert (refused.status_code, refused.headers["content-type"]) == (403, "application/json")
            assert refused.headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')
            assert refused.headers["www-authenticate"].endswith(', scope="kie:spend"')
        assert "credits" in answer(await client.call_tool("get_credits"))
    assert sandbox.accepted == []


@needs_provider
async def test_the_sdks_client_asks_for_the_scope_that_it_lacks(
    accounts_url: str, issuer: str, sandbox: Sandbox
) -> None:
    """Its first token is one from before, with which it may only read."""
    asked: list[str] = []
    memory = Memory()
    async with connect_account(accounts_url, "ann", memory=memory):
        assert memory.tokens
    memory.tokens.access_token = sign(make_key("one"), **claims_for(issuer, accounts_url, scope="kie:read"))
    memory.tokens.scope = "kie:read"
    async with connect_account(accounts_url, "ann", memory=memory, asked=asked) as client:
        assert "credits" in answer(await client.call_tool("get_credits"))
        assert asked == []
        assert answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["status"] == "succeeded"
    assert ["kie:spend" in each.split() for each in asked] == [True]
    assert len(sandbox.accepted) == 1
