"""`make_batch`: many calls with one budget, one confirmation and one id."""

from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult, ImageContent, TextContent
from support.answers import answer
from support.cases import for_each
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.errors import InvalidCall
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.tools.make_batch import MAKE_BATCH

pytestmark = pytest.mark.anyio

PROMPTS = [f"a fox in month {number}" for number in range(1, 6)]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Where the same call is the same task."""
    return settings.model_copy(update={"repeat_window": 600})


async def batch(client: Client, **given: Any) -> CallToolResult:
    return await client.call_tool("make_batch", {"max_credits": 1000, **given})


async def pictures(client: Client, *prompts: str, **more: Any) -> CallToolResult:
    return await batch(client, model="z-image", prompts=prompts, **more)


def read_text(result: CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


async def finished(client: Client, result: CallToolResult) -> dict[str, Any]:
    """The answer about a batch once it has ended."""
    id_ = answer(result)["task_id"]
    return answer(await client.call_tool("get_task", {"task_ids": [id_], "wait_seconds": 600}))


async def test_each_prompt_becomes_a_file_that_names_its_item(client: Client, sandbox: Sandbox) -> None:
    result = await pictures(client, *PROMPTS)
    told = answer(result)
    assert told["status"] == "succeeded", read_text(result)
    assert sorted(each.arguments["prompt"] for each in sandbox.accepted) == PROMPTS
    assert [each["label"] for each in told["media"]] == [f"item {n}: {text}" for n, text in enumerate(PROMPTS, 1)]
    assert all([await anyio.Path(each["path"]).is_file() for each in told["media"]])
    assert [(row["n"], row["status"]) for row in told["items"]] == [(n, "succeeded") for n in range(1, 6)]
    assert told["credits"] == round(1000 - sandbox.balance, 2) == round(sum(row["credits"] for row in told["items"]), 2)
    assert told["note"] == "5 of 5 are made."
    assert all(each["path"] in read_text(result) for each in told["media"])
    # A link for each of fifty files would fill an agent's context; the item's own task tells it.
    assert not any("url" in each for each in told["media"])
    assert "http" not in read_text(result)
    assert told["next_step"].endswith("get_task with the id in a file's name tells its web link.")


@pytest.mark.parametrize("text", ["masterpiece, 1girl, sunset", "Your task: draw a fox", "狐狸,雪,夜"])
async def test_a_prompt_with_commas_or_colons_is_one_picture(client: Client, sandbox: Sandbox, text: str) -> None:
    await pictures(client, text, "a fox")
    assert sorted(each.arguments["prompt"] for each in sandbox.accepted) == sorted([text, "a fox"])


async def test_a_caller_on_another_machine_gets_the_links_of_the_files(client: Client, app: App) -> None:
    made = await finished(client, await pictures(client, "a fox", "a crow"))
    assert all("path" in each and "url" not in each for each in made["media"])
    app.local_files = False
    (told,) = [answer(await client.call_tool("get_task", {"task_id": made["task_id"]}))]
    assert all(each["url"].startswith("https://") for each in told["media"])
    assert told["next_step"] == "view_media with this id shows all files."


async def test_items_name_tools_or_models_of_any_kind(client: Client, sandbox: Sandbox) -> None:
    items = [
        {"tool": "nano_banana_image", "input": {"prompt": "a fox", "aspect_ratio": "16:9"}},
        {"model": "z-image", "input": {"prompt": "a heron"}},
        {"tool": "run_model", "model": "elevenlabs/text-to-speech-multilingual-v2", "input": {"text": "Hello."}},
    ]
    told = await finished(client, await batch(client, items=items))
    assert told["status"] == "succeeded", told
    assert [each["path"].rpartition(".")[2] for each in told["media"]] == ["jpg", "png", "mp3"]
    assert any("16:9" in str(each.body) for each in sandbox.accepted)
    rows = answer(await client.call_tool("library", {}))["made"]
    assert sorted(row["prompt"] for row in rows) == ["Hello.", "a fox", "a heron"]


async def test_a_sheet_shows_all_results_of_a_batch(client: Client) -> None:
    told = answer(await pictures(client, *PROMPTS))
    sheet = await client.call_tool("view_media", {"task_id": told["task_id"]})
    assert [type(each) for each in sheet.content] == [ImageContent, TextContent]
    text = sheet.content[1]
    assert isinstance(text, TextContent)
    assert all(prompt in text.text for prompt in PROMPTS)


async def test_one_result_of_a_batch_goes_into_a_later_call(client: Client, sandbox: Sandbox) -> None:
    told = answer(await pictures(client, *PROMPTS[:2]))
    result = await client.call_tool("recraft_remove_background", {"image": f"task:{told['task_id']}#2"})
    assert not result.is_error, read_text(result)
    assert len(sandbox.accepted) == 3


async def test_the_same_batch_again_is_the_same_task_and_pays_nothing(client: Client, sandbox: Sandbox) -> None:
    first, again = answer(await pictures(client, *PROMPTS)), answer(await pictures(client, *PROMPTS))
    assert again["task_id"] == first["task_id"]
    assert "nothing more is paid" in again["note"]
    assert len(sandbox.accepted) == 5
    other = answer(await pictures(client, *PROMPTS, variation=2))
    assert other["task_id"] != first["task_id"]
    assert len(sandbox.accepted) == 10


async def test_what_was_made_before_is_taken_into_a_batch_and_not_paid_again(client: Client, sandbox: Sandbox) -> None:
    alone = answer(await client.call_tool("z_image", {"prompt": PROMPTS[0]}))
    told = answer(await pictures(client, *PROMPTS[:2]))
    assert len(sandbox.accepted) == 2
    assert told["items"][0]["task_id"] == alone["task_id"]
    assert told["credits"] == told["items"][1]["credits"]


async def test_equal_items_are_different_takes(client: Client, sandbox: Sandbox) -> None:
    items = [{"tool": "z_image", "input": {"prompt": "a fox", **more}} for more in ({"variation": 2}, {}, {})]
    told = answer(await batch(client, items=[*items, {"model": "z-image", "input": {"prompt": " a fox\n"}}]))
    assert len({row["task_id"] for row in told["items"]}) == len(sandbox.accepted) == 4
    assert told["credits"] == round(1000 - sandbox.balance, 2)


async def test_every_wrong_item_is_named_before_anything_is_sent(client: Client, sandbox: Sandbox) -> None:
    items = [
        {"model": "z-image", "input": {"prompt": "a fox"}},
        {"model": "z-image", "input": {"prompt": "a fox", "aspect_ratio": "7:1"}},
        {"tool": "edit_media", "input": {"clips": ["a.mp4"]}},
        {"model": "nano-banana-2", "prompt": "a fox"},
        {"model": "recraft/remove-background", "input": {"image": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    result = await batch(client, items=items)
    assert result.is_error
    told = answer(result)["error"]
    assert [f"Item {n}: " in told["message"] for n in range(1, 6)] == [False, True, True, True, True]
    assert told["billed"] is False
    assert "edit_media is free and takes no part in a budget: call it by itself" in told["message"]
    assert sandbox.accepted == []


@for_each("option", [{"quote": True}, {"confirm": "c_1"}, {"anyway": True}])
@for_each("named", [{"tool": "z_image"}, {"model": "z-image"}])
@for_each("shared", [False, True])
async def test_an_option_of_the_batch_is_refused_in_the_input_of_an_item(
    client: Client, sandbox: Sandbox, option: dict[str, Any], named: dict[str, str], shared: bool
) -> None:
    item, everywhere = ({}, option) if shared else (option, {})
    result = await batch(client, items=[{**named, "input": {"prompt": "a fox", **item}}], input=everywhere)
    message = answer(result)["error"]["message"]
    assert f"Item 1: {next(iter(option))}: not a field of" in message
    assert "an argument of make_batch itself" in message
    assert sandbox.accepted == []


async def test_an_item_of_a_tool_may_be_a_variation_and_repeat_the_defaults(client: Client) -> None:
    given = {"prompt": "a fox", "variation": 2, "quote": False, "anyway": False}
    quoted = await batch(client, items=[{"tool": "z_image", "model": None, "input": given}], quote=True)
    assert answer(quoted)["status"] == "quoted", read_text(quoted)


@for_each("named", [{"tool": "z_image"}, {"model": "z-image"}, {"tool": "run_model", "model": "z-image"}])
async def test_an_item_may_be_a_variation_of_an_earlier_one(client: Client, named: dict[str, str]) -> None:
    ids = []
    for more in ({}, {"variation": 1}, {"Variation": "2"}):
        told = answer(await batch(client, items=[{**named, "input": {"prompt": "a fox", **more}}]))
        ids.append(told["items"][0]["task_id"])
    assert ids[0] == ids[1] != ids[2]
    refused = await batch(client, items=[{**named, "input": {"prompt": "a fox", "variation": 0}}])
    assert "Item 1: variation" in answer(refused)["error"]["message"]


@for_each(
    "given",
    [
        {},
        {"prompts": ["a fox"]},
        {"prompts": ["a fox"], "model": "z-image", "items": [{"model": "z-image", "input": {"prompt": "a"}}]},
        {"prompts": ["a fox"] * 51, "model": "z-image"},
        {"retry": "t_222222222222"},
    ],
)
async def test_a_call_that_says_too_little_or_too_much_is_refused(
    client: Client, sandbox: Sandbox, given: dict[str, Any]
) -> None:
    assert (await batch(client, **given)).is_error
    assert sandbox.accepted == []


@pytest.mark.parametrize(
    "given",
    [
        {"retry": "t_222222222222", "model": "nano-banana-2"},
        {"retry": "t_222222222222", "input": {"aspect_ratio": "16:9"}},
        {"retry": "t_222222222222", "input_json": '{"aspect_ratio": "16:9"}'},
        {"retry": "t_222222222222", "variation": 2},
        {"items": [{"model": "z-image", "input": {"prompt": "a fox"}}], "model": "nano-banana-2"},
    ],
    ids=str,
)
def test_what_would_be_ignored_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidCall, match=r"retry makes the missing items as they were|model is for prompts"):
        MAKE_BATCH.check({"max_credits": 1000, **given})


async def test_a_quote_tells_each_price_and_sends_nothing(client: Client, sandbox: Sandbox) -> None:
    told = answer(await pictures(client, *PROMPTS, quote=True))
    assert told["status"] == "quoted"
    assert len(told["models"]) == 5
    assert sandbox.accepted == []


async def test_a_batch_stops_where_its_budget_ends(client: Client, sandbox: Sandbox) -> None:
    price = answer(await pictures(client, PROMPTS[0], quote=True))["counted_credits"]
    told = answer(await pictures(client, *PROMPTS, max_credits=3 * price))
    assert len(sandbox.accepted) == 3
    assert told["status"] == "succeeded"
    assert [row["status"] for row in told["items"]] == ["succeeded"] * 3 + ["left out"] * 2
    assert told["credits"] <= 3 * price
    assert told["note"] == "3 of 5 are made; left out: 4, 5."
    more = answer(await batch(client, retry=told["task_id"]))
    assert [each["label"] for each in more["media"]] == [f"item {n}: {text}" for n, text in enumerate(PROMPTS[3:], 1)]
    assert len(sandbox.accepted) == 5


async def test_a_budget_below_the_cheapest_item_is_refused(client: Client, sandbox: Sandbox) -> None:
    result = await pictures(client, *PROMPTS, max_credits=0.1)
    assert answer(result)["error"]["category"] == "cap_reached"
    assert sandbox.accepted == []


async def test_what_failed_is_told_item_by_item_and_made_again_in_one_call(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "fail", times=2)
    result = await pictures(client, *PROMPTS)
    told = answer(result)
    failed = [row for row in told["items"] if row["status"] == "failed"]
    assert len(failed) == 2
    assert told["status"] == "succeeded"
    assert len(told["media"]) == 3
    for row in failed:
        assert row["error"] in read_text(result)
    assert f"retry: {told['task_id']}" in told["next_step"]
    again = answer(await batch(client, retry=told["task_id"]))
    assert again["note"] == "2 of 2 are made."
    assert len(sandbox.accepted) == 7
    assert answer(await batch(client, retry=told["task_id"]))["task_id"] == again["task_id"]
    assert len(sandbox.accepted) == 7
    nothing = await batch(client, retry=again["task_id"])
    assert not nothing.is_error
    assert answer(nothing)["note"] == "Nothing is missing: all 2 items have a result. Nothing was sent or charged."
    assert len(sandbox.accepted) == 7


async def test_what_a_retry_has_made_is_not_paid_by_a_later_retry_of_the_same_batch(
    client: Client, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "fail")
    told = answer(await pictures(client, PROMPTS[0]))
    made = answer(await batch(client, retry=told["task_id"]))
    assert len(sandbox.accepted) == 2
    clock.now += 24 * 3600
    quoted = answer(await batch(client, retry=told["task_id"], quote=True))
    assert quoted["counted_credits"] == 0
    again = answer(await batch(client, retry=told["task_id"], max_credits=0))
    assert [row["task_id"] for row in again["items"]] == [row["task_id"] for row in made["items"]]
    assert (again["note"], again["credits"], len(sandbox.accepted)) == ("1 of 1 are made.", 0, 2)


async def test_what_nobody_knows_of_is_not_made_again_before_it_is_settled(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "after:502")
    told = await finished(client, await pictures(client, *PROMPTS[:2]))
    (number,) = [row["n"] for row in told["items"] if row["status"] == "unknown"]
    nothing = await batch(client, retry=told["task_id"])
    assert f"nobody knows whether KIE took item {number}" in read_text(nothing)
    assert len(sandbox.accepted) == 2


async def test_a_spoken_item_is_named_by_its_text(client: Client) -> None:
    spoken = {"tool": "elevenlabs_speech", "input": {"text": "Hello!"}}
    told = await finished(client, await batch(client, items=[spoken]))
    assert [each["label"] for each in told["media"]] == ["item 1: Hello!"]


async def test_a_batch_none_of_which_is_made_is_an_error(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "fail", times=5)
    result = await pictures(client, *PROMPTS)
    assert result.is_error
    assert answer(result)["status"] == "failed"
    assert answer(result)["note"] == "0 of 5 are made; failed: 1, 2, 3, 4, 5."


async def test_the_report_counts_each_item_once(client: Client, app: App, sandbox: Sandbox) -> None:
    await pictures(client, *PROMPTS)
    spent = answer(await client.call_tool("spend_report", {}))
    assert (spent["all"]["tasks"], spent["all"]["charged"]) == (5, round(1000 - sandbox.balance, 2))
    (newest, *_) = await (await app.runner()).ledger.page(limit=1)
    assert (await (await app.runner()).ledger.spent(newest)).day == pytest.approx(1000 - sandbox.balance)
