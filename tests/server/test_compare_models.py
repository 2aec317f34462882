"""`compare_models`: the same request to several models at once."""

import io
from base64 import b64decode
from typing import Any

import anyio
import PIL.Image
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, ImageContent, TextContent
from support.answers import answer
from support.cases import for_each
from support.clock import JumpingClock

from kie_mcp.catalog.credits import format_credits
from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio

PICTURES = ["google/nano-banana", "z-image", "qwen/text-to-image"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Where the same call is the same task."""
    return settings.model_copy(update={"repeat_window": 600})


async def compare(client: Client, *models: str, **more: Any) -> CallToolResult:
    given = {"prompt": "a fox", "models": list(models), "max_credits": 1000, **more}
    return await client.call_tool("compare_models", given)


def read_text(result: CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


def read_table(result: CallToolResult) -> list[list[str]]:
    """The cells of the table in words, without its head."""
    lines = [line for line in read_text(result).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def read_error(result: CallToolResult) -> dict[str, Any]:
    assert result.is_error
    told: dict[str, Any] = answer(result)["error"]
    assert told["billed"] is False
    assert told["message"] in read_text(result)
    return told


async def test_each_model_s_result_is_in_one_table_and_on_one_sheet(client: Client, sandbox: Sandbox) -> None:
    result = await compare(client, *PICTURES)
    told = answer(result)
    assert not result.is_error
    assert told["status"] == "succeeded"
    assert [row["model"] for row in told["models"]] == PICTURES
    assert len(sandbox.accepted) == 3
    assert told["credits"] == round(1000 - sandbox.balance, 2)
    for row, cells in zip(told["models"], read_table(result), strict=True):
        (file,) = row["media"]
        assert await anyio.Path(file["path"]).is_file()
        assert f"\n{file['path']}\n" in read_text(result)
        assert file["resource"] == f"kie://tasks/{row['task_id']}/media/1"
        assert cells == [
            row["model"],
            "succeeded",
            format_credits(row["credits"]),
            str(row["seconds"]),
            row["task_id"],
        ]
    (picture,) = [block for block in result.content if isinstance(block, ImageContent)]
    content = b64decode(picture.data)
    assert len(content) <= 45_000
    assert PIL.Image.open(io.BytesIO(content)).width > 300
    assert [line.partition(": ")[0] for line in told["sheet"]] == [f"{n}. {id_}" for n, id_ in enumerate(PICTURES, 1)]


@for_each("given", [{"input": {"aspect_ratio": "16:9"}}, {"input_json": '{"aspect_ratio": "16:9"}'}])
async def test_what_they_all_take_goes_to_each(client: Client, sandbox: Sandbox, given: dict[str, Any]) -> None:
    (way,) = given
    result = await compare(client, "google/nano-banana", "z-image", prompt=way, **given)
    assert not result.is_error, read_text(result)
    made = [str(task.body) for task in sandbox.accepted if task.body["input"]["prompt"] == way]
    assert ["16:9" in body for body in made] == [True, True]


async def test_the_same_call_again_pays_nothing_more(client: Client, sandbox: Sandbox) -> None:
    first = answer(await compare(client, *PICTURES))
    balance = sandbox.balance
    again = answer(await compare(client, *reversed(PICTURES), max_credits=0))
    assert sandbox.balance == balance
    assert len(sandbox.accepted) == 3
    assert [row["task_id"] for row in reversed(again["models"])] == [row["task_id"] for row in first["models"]]
    assert all(row["note"] == "made before, nothing more is paid" for row in again["models"])
    other = answer(await compare(client, *PICTURES, variation=2))
    assert len(sandbox.accepted) == 6
    assert not any("note" in row for row in other["models"])


async def test_too_dear_together_is_refused_with_each_price_before_anything_is_sent(
    client: Client, sandbox: Sandbox
) -> None:
    result = await compare(client, *PICTURES, max_credits="4.5")
    told = read_error(result)
    assert told["category"] == "cap_reached"
    assert "max_credits is 4.5" in told["message"]
    assert all(f"{id_} " in told["message"] for id_ in PICTURES)
    assert sandbox.accepted == []


async def test_a_quote_tells_each_price_and_sends_nothing(client: Client, sandbox: Sandbox) -> None:
    made = answer(await client.call_tool("run_model", {"model": "z-image", "input": {"prompt": "a fox"}}))
    result = await compare(client, *PICTURES, quote=True, max_credits=100)
    told = answer(result)
    assert (told["status"], told["max_credits"], told["balance"]) == ("quoted", 100, sandbox.balance)
    assert [row["model"] for row in told["models"]] == PICTURES
    known = told["models"][1]
    assert known["task_id"] == made["task_id"]
    assert known["counted_credits"] == 0
    assert told["counted_credits"] == pytest.approx(sum(row["counted_credits"] for row in told["models"]))
    assert told["counted_credits"] > 0
    assert all(row["model"] in read_text(result) and row["basis"] in read_text(result) for row in told["models"])
    assert made["task_id"] in read_text(result)
    assert f"Together {format_credits(told['counted_credits'])} of at most 100" in read_text(result)
    assert len(sandbox.accepted) == 1
    over = answer(await compare(client, *PICTURES, quote=True, max_credits=1))
    assert over["next_step"] == "Nothing was sent. So much is over max_credits."


async def test_one_that_fails_does_not_hide_the_others(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "fail")
    result = await compare(client, *PICTURES)
    told = answer(result)
    assert told["status"] == "succeeded"
    assert not result.is_error
    failed = [row for row in told["models"] if row["status"] == "failed"]
    assert len(failed) == 1
    assert failed[0]["error"]["next_step"] in read_text(result)
    assert len(told["sheet"]) == 2


async def test_one_that_is_refused_by_kie_does_not_hide_the_others(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", 402)
    told = answer(await compare(client, *PICTURES))
    assert sorted(row["status"] for row in told["models"]) == ["failed", "succeeded", "succeeded"]
    (failed,) = [row for row in told["models"] if "error" in row]
    assert failed["error"]["category"] == "insufficient_credits"
    assert failed["task_id"]


async def test_when_nothing_comes_of_any_it_is_an_error(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", 402, 3)
    result = await compare(client, *PICTURES)
    assert result.is_error
    assert answer(result)["status"] == "failed"
    assert not any(isinstance(block, ImageContent) for block in result.content)


async def test_one_that_fails_often_today_is_left_out_unless_it_is_wanted(
    client: Client, app: App, sandbox: Sandbox
) -> None:
    sandbox.discovery.success_rates["google/nano-banana"] = 20.0
    await (await app.discovery()).read_success_rate("google/nano-banana")
    told = answer(await compare(client, *PICTURES))
    assert [row["status"] for row in told["models"]] == ["failed", "succeeded", "succeeded"]
    assert told["models"][0]["error"]["category"] == "unhealthy"
    assert len(sandbox.accepted) == 2
    told = answer(await compare(client, *PICTURES, anyway=True))
    assert told["models"][0]["status"] == "succeeded"
    assert len(sandbox.accepted) == 3


async def test_slow_ones_answer_at_once_with_their_ids_and_what_to_do(client: Client, sandbox: Sandbox) -> None:
    result = await compare(client, "veo3_fast", "kling-2.6/text-to-video")
    told = answer(result)
    assert told["status"] == "running"
    assert [row["status"] for row in told["models"]] == ["running", "running"]
    assert all(row["task_id"] in read_text(result) for row in told["models"])
    assert "within 10 minutes" in told["next_step"]
    assert told["next_step"] in read_text(result)
    ids = [row["task_id"] for row in told["models"]]
    await client.call_tool("get_task", {"task_ids": ids, "wait_seconds": 600})
    again = await compare(client, "veo3_fast", "kling-2.6/text-to-video")
    assert [row["task_id"] for row in answer(again)["models"]] == ids
    assert answer(again)["status"] == "succeeded"
    assert len(sandbox.accepted) == 2


async def test_a_sum_is_told_only_if_all_charges_are_known(client: Client, sandbox: Sandbox) -> None:
    """KIE's record of a Veo task states no charge, and what the balance has lost is that of both together."""
    models = ("veo3", "veo3_fast")
    first = await compare(client, *models)
    ids = [row["task_id"] for row in answer(first)["models"]]
    await client.call_tool("get_task", {"task_ids": ids, "wait_seconds": 600})
    ended = await compare(client, *models)
    assert (answer(ended)["status"], sandbox.balance) == ("succeeded", 1000 - 310)
    for told in (first, ended):
        assert answer(told).keys().isdisjoint({"credits", "usd"})
        assert read_text(told).splitlines()[0] == answer(told)["status"]


async def test_texts_are_compared_too(client: Client) -> None:
    result = await compare(client, "ai-music-api/generate-lyrics", "z-image")
    told = answer(result)
    lyrics = told["models"][0]
    assert lyrics["texts"]
    assert all(f"> {text.splitlines()[0]}" in read_text(result) for text in lyrics["texts"])


@for_each(
    "given, says",
    [
        ({"models": ["z-image"]}, "models: "),
        ({"models": ["z-image"] * 7}, "models: "),
        ({"models": ["z-image", "z-image"]}, "z-image is named twice"),
        ({"models": ["google/nano-banana", "nano-banana"]}, "named twice"),
        ({"models": ["z-image", "veo-33"]}, "veo-33: KIE offers no model 'veo-33'"),
        ({"models": "z-image"}, "models: "),
        ({"max_credits": None}, "max_credits is required"),
        ({"max_credits": -1}, "max_credits: "),
        ({"prompt": ""}, "prompt: "),
        ({"input": {"variation": 2}}, "an argument of compare_models itself"),
        ({"input": {"nonsense": 1}}, "z-image: z-image does not take nonsense"),
        ({"models": ["z-image", "recraft/crisp-upscale"]}, "recraft/crisp-upscale does not take prompt"),
    ],
)
async def test_a_wrong_call_says_what_is_wrong_and_sends_nothing(
    client: Client, sandbox: Sandbox, given: dict[str, Any], says: str
) -> None:
    told = read_error(await compare(client, *(given.get("models") or PICTURES), **given))
    assert told["category"] == "invalid_call"
    assert says in told["message"]
    assert sandbox.accepted == []


@pytest.mark.parametrize("cap", ["max_credits_per_day", "max_credits_per_session", "max_credits_per_task"])
async def test_the_operator_s_caps_hold_for_all_together(
    settings: Settings, app: App, sandbox: Sandbox, clock: Clock, cap: str
) -> None:
    # Any one of them would be within it.
    capped = settings.model_copy(update={cap: 5.0 if cap != "max_credits_per_task" else 1.0})
    async with Client(
        build_server(App(capped, transport=app._transport, clock=clock)), raise_exceptions=True
    ) as client:
        told = read_error(await compare(client, *PICTURES))
    assert told["category"] == "cap_reached"
    assert cap.upper() in told["message"]
    assert sandbox.accepted == []


@pytest.fixture
def careful(settings: Settings, app: App, clock: Clock) -> App:
    """A server that asks for what costs more than five credits."""
    return App(settings.model_copy(update={"confirm_above": 5}), transport=app._transport, clock=clock)


async def test_the_sum_is_confirmed_once(careful: App, sandbox: Sandbox) -> None:
    async with Client(build_server(careful), raise_exceptions=True) as client:
        told = read_error(await compare(client, *PICTURES))
        assert told["category"] == "confirmation_needed"
        assert all(id_ in told["message"] for id_ in PICTURES)
        confirm = told["next_step"].partition("confirm: '")[2].partition("'")[0]
        assert sandbox.accepted == []
        other = read_error(await compare(client, *PICTURES, variation=2, confirm=confirm))
        assert other["category"] == "confirmation_needed"
        made = answer(await compare(client, *PICTURES, confirm=confirm))
    assert [row["status"] for row in made["models"]] == ["succeeded"] * 3


@pytest.mark.parametrize("era", ["legacy", "auto"])
@pytest.mark.parametrize("agrees", [True, False])
async def test_a_client_that_can_ask_asks_once_for_the_sum(
    careful: App, sandbox: Sandbox, clock: JumpingClock, era: Any, *, agrees: bool
) -> None:
    asked = []

    async def ask(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        asked.append(params.message)
        clock.now += 5
        return ElicitResult(action="accept" if agrees else "decline", content={"spend": True} if agrees else None)

    server = build_server(careful)
    async with Client(server, mode=era, elicitation_callback=ask, raise_exceptions=True) as client:
        result = await compare(client, *PICTURES)
    assert len(asked) == 1
    assert all(id_ in asked[0] for id_ in PICTURES)
    if agrees:
        assert answer(result)["status"] == "succeeded"
    else:
        assert read_error(result)["category"] == "declined"
    assert len(sandbox.accepted) == (3 if agrees else 0)
