"""A hostile agent and money: one yes pays for one task, a runaway is stopped, a cheap call lowers nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitRequestParams, ElicitResult
from support.answers import answer, text
from support.clients import connect
from support.clock import JumpingClock
from support.new_model import NEW

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

CLIP: dict[str, Any] = {"prompt": "a fox"}
"""60 credits' worth of Veo."""
PICTURE_CREDITS = 4
UNASKED = 3
"""Pictures that may be made in an hour before a call needs a confirmation."""
OUTCOMES = {"refused": "code:422", "too few credits": "code:402", "unknown": "reset-after", "failed": "fail"}
"""What may become of a create, with the sandbox's fault that causes it."""


@pytest.fixture
def careful(settings: Settings) -> Settings:
    """Settings under which a clip needs a confirmation and every call is another task."""
    return settings.model_copy(update={"confirm_above": 50, "repeat_window": 0, "save": False})


@pytest.fixture
def hourly(settings: Settings) -> Settings:
    """Settings under which some pictures of one hour need no confirmation, and the next one does."""
    return settings.model_copy(update={"confirm_hourly": UNASKED * PICTURE_CREDITS, "save": False})


@asynccontextmanager
async def two_servers(settings: Settings, sandbox: Sandbox, clock: JumpingClock) -> AsyncIterator[list[Client]]:
    """Connect to two servers on one ledger."""
    async with connect(settings, sandbox.app, clock) as one, connect(settings, sandbox.app, clock) as other:
        yield [one, other]


def find_confirmation(result: CallToolResult) -> str:
    """Return the id in an answer that asks for a confirmation; empty if the answer does not ask."""
    error = answer(result).get("error", {})
    if error.get("category") != "confirmation_needed":
        return ""
    return str(error["next_step"]).partition("confirm: '")[2].partition("'")[0]


async def draw(client: Client, number: int, **more: Any) -> CallToolResult:
    """A picture for 4 credits."""
    return await client.call_tool("nano_banana_image", {"prompt": f"fox {number}", **more})


@pytest.mark.parametrize("window", [0, 600])
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_one_yes_is_one_create_whatever_becomes_of_it(
    careful: Settings, sandbox: Sandbox, clock: JumpingClock, outcome: str, window: int
) -> None:
    async with two_servers(careful.model_copy(update={"repeat_window": window}), sandbox, clock) as servers:
        id_ = find_confirmation(await servers[0].call_tool("veo_video", CLIP))
        sandbox.inject_fault("create", OUTCOMES[outcome])
        first = await servers[0].call_tool("veo_video", CLIP | {"confirm": id_})
        assert not find_confirmation(first)
        if outcome == "failed":
            await servers[0].call_tool("get_task", {"task_ids": [answer(first)["task_id"]], "wait_seconds": 600})
        made = len(sandbox.accepted)
        for client in servers:
            again = await client.call_tool("veo_video", CLIP | {"confirm": id_})
            # Within the repeat window, the same call gets the task whose outcome is unknown.
            assert find_confirmation(again) or answer(again)["status"] == "unknown"
            assert find_confirmation(again) or window
    assert len(sandbox.accepted) == made


@pytest.mark.parametrize("tool", ["veo_video", "run_model"])
async def test_one_yes_is_one_create_for_twenty_calls_at_once_on_two_servers(
    careful: Settings, sandbox: Sandbox, clock: JumpingClock, tool: str
) -> None:
    given = {"model": "veo3_fast", "input": CLIP} if tool == "run_model" else CLIP
    results: list[CallToolResult] = []

    async def make(client: Client, id_: str) -> None:
        results.append(await client.call_tool(tool, given | {"confirm": id_}))

    async with two_servers(careful, sandbox, clock) as servers:
        id_ = find_confirmation(await servers[0].call_tool(tool, given))
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(make, servers[number % 2], id_)
    assert len([each for each in results if find_confirmation(each)]) == 19
    assert len(sandbox.accepted) == 1


async def test_a_used_confirmation_says_so(careful: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    async with connect(careful, sandbox.app, clock) as client:
        id_ = find_confirmation(await client.call_tool("veo_video", CLIP))
        await client.call_tool("veo_video", CLIP | {"confirm": id_})
        again = await client.call_tool("veo_video", CLIP | {"confirm": id_})
    assert "That confirmation has expired, was used already, or was for another call." in text(again)


async def test_one_yes_is_one_comparison(careful: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    given = {"prompt": "a fox", "models": ["nano-banana-2-1", "nano-banana-pro"], "max_credits": 100}
    results: list[CallToolResult] = []

    async def compare(client: Client, **more: str) -> None:
        results.append(await client.call_tool("compare_models", given | more))

    async with two_servers(careful.model_copy(update={"confirm_above": 5}), sandbox, clock) as servers:
        await compare(servers[0])
        id_ = find_confirmation(results.pop())
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(lambda client: compare(client, confirm=id_), servers[number % 2])
    assert len([each for each in results if find_confirmation(each)]) == 5
    assert len(sandbox.accepted) == 2


async def test_some_pictures_are_made_unasked_and_the_next_one_is_asked_about(
    hourly: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with connect(hourly, sandbox.app, clock) as client:
        for number in range(UNASKED):
            assert not (await draw(client, number)).is_error
        refused = await draw(client, UNASKED)
        for words in (
            "nano-banana-2-1 may cost 4 credits ($0.02",
            "12 credits ($0.06) were spent in the last hour without asking.",
            "Above 12 in an hour, the next call needs the user's word.",
            "The balance is 988 credits ($4.94).",
            "only the operator can raise KIE_MCP_CONFIRM_HOURLY",
        ):
            assert words in text(refused)
        assert len(sandbox.accepted) == UNASKED
        # A yes lets counting begin anew.
        assert not (await draw(client, UNASKED, confirm=find_confirmation(refused))).is_error
        for number in range(UNASKED):
            assert not (await draw(client, 10 + number)).is_error
        assert find_confirmation(await draw(client, 20))


async def test_an_hour_later_counting_begins_anew(hourly: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    async with connect(hourly, sandbox.app, clock) as client:
        for number in range(UNASKED):
            await draw(client, number)
        assert find_confirmation(await draw(client, UNASKED))
        clock.now += 3600
        assert not (await draw(client, UNASKED)).is_error


async def test_fifty_calls_at_once_on_two_servers_stop_at_the_same_sum(
    hourly: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    results: list[CallToolResult] = []

    async def make(client: Client, number: int) -> None:
        results.append(await draw(client, number))

    async with two_servers(hourly, sandbox, clock) as servers, anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(make, servers[number % 2], number)
    assert len(sandbox.accepted) == UNASKED
    assert len([each for each in results if find_confirmation(each)]) == 50 - UNASKED


async def test_no_argument_gets_around_the_sum(hourly: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    compared = {"prompt": "x", "models": ["google/nano-banana", "nano-banana-2"], "max_credits": 100}
    how: dict[str, Any]
    async with connect(hourly, sandbox.app, clock) as client:
        for number in range(UNASKED):
            await draw(client, number)
        for how in ({"anyway": True}, {"variation": 2}, {"confirm": "c_abcdefghjkmn"}):
            assert find_confirmation(await draw(client, UNASKED, **how)), how
            assert find_confirmation(await client.call_tool("compare_models", compared | how)), how
        # What costs nothing is not asked about: a quote, a repeated call, a free model.
        assert answer(await draw(client, UNASKED, quote=True))["status"] == "quoted"
    assert len(sandbox.accepted) == UNASKED


async def test_a_client_that_can_ask_shows_what_was_spent(
    hourly: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    asked: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        assert isinstance(params, ElicitRequestFormParams)
        asked.append(params.message)
        return ElicitResult(action="accept", content={"spend": True})

    for era in ("legacy", "auto"):
        async with connect(hourly, sandbox.app, clock, era=era, on_elicitation=agree) as client:
            for number in range(UNASKED + 1):
                assert not (await draw(client, number, variation=len(asked) + 1)).is_error
        clock.now += 3600
    assert len(asked) == 2
    assert "12 credits ($0.06) were spent in the last hour without asking." in asked[0]
    assert "The balance is 988 credits ($4.94)." in asked[0]


async def test_a_yes_to_one_dear_call_counts_for_the_hour_too(
    hourly: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with connect(hourly, sandbox.app, clock, confirm_above=50) as client:
        for number in range(UNASKED - 1):
            await draw(client, number)
        refused = await client.call_tool("veo_video", CLIP)
        # The user sees what else was spent.
        assert "8 credits ($0.04) were spent in the last hour without asking." in text(refused)
        assert "KIE_MCP_CONFIRM_ABOVE" in text(refused)
        await client.call_tool("veo_video", CLIP | {"confirm": find_confirmation(refused)})
        for number in range(10, 10 + UNASKED):
            assert not (await draw(client, number)).is_error


async def test_nothing_is_counted_at_0(settings: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    assert Settings.model_fields["confirm_hourly"].default == 300
    async with connect(settings, sandbox.app, clock, confirm_hourly=0, wait_seconds=0) as client:
        for number in range(6):
            assert not (await client.call_tool("veo_video", {"prompt": f"fox {number}"})).is_error


async def test_a_cheap_call_lowers_no_cap_for_a_dear_one(
    settings: Settings, new_model: Sandbox, clock: JumpingClock
) -> None:
    """KIE charges 1 credit for the first call; the fields of the next one ask for a thousand times as much."""
    given: dict[str, Any] = {"model": NEW, "input": {"prompt": "x"}}
    async with connect(settings, new_model.app, clock) as client:
        made = await client.call_tool("run_model", given)
        new_model.accepted[-1].credits = 1
        await client.call_tool("get_task", {"task_ids": [answer(made)["task_id"]], "wait_seconds": 600})
    async with connect(settings, new_model.app, clock, confirm_above=2, repeat_window=0) as client:
        assert find_confirmation(await client.call_tool("run_model", given | {"variation": 2}))
