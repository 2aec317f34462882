"""Routes whose create answers with the result, and those that a caller names."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock, wait_until
from support.errors import raises
from support.runners import InterceptedKie, refuse_ledger_writes, run_runner, run_to_end, task_rows

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import ApiError, NotOffered, UnknownOutcome
from kie_mcp.kie.advice import SANDBOX
from kie_mcp.kie.routes import PRODUCTS
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.failures import no_result_note
from kie_mcp.tasks.order import Order

pytestmark = pytest.mark.anyio

SONG = {"track": "task:5f0c#5f0c"}
STYLE = "ai-music-api/boost-music-style"
# Model, arguments, how what it makes begins, what that costs.
AT_ONCE: list[tuple[str, dict[str, Any], str, float]] = [
    ("gemini-omni-audio", {"name": "Ada", "voice": "Kore"}, "audio_", 1),
    ("gemini-omni-character", {"description": "a fox", "image": "https://f.example/1.png"}, "character_", 1),
    ("ai-music-api/generate-persona", {**SONG, "name": "Ada", "description": "soft"}, "persona_", 0),
    ("ai-music-api/check-voice", {"task_id": "5f0c"}, "", 0),
    (STYLE, {"prompt": "a slow waltz"}, "a slow waltz, ", 0.4),
    ("ai-music-api/timeStamped-lyrics", SONG, "0.00 ", 0.5),
]
PICTURES = {"gemini-omni-character": 2}
LARGER = ["veo/get-1080p-video", "veo/get-4k-video"]
NOBODY_KNOWS: list[int | str] = ["reset-before", "reset-after", "garbage", "truncated", "empty", 500, "code:500", 502]


def call(model: str, **arguments: Any) -> KieModel:
    return MODELS[model].model_validate(arguments)


def test_no_route_of_these_is_left_out() -> None:
    found = {way for way, route in PRODUCTS.items() if route.at_once}
    assert found == {MODELS[row[0]].routes[0] for row in AT_ONCE}


@pytest.mark.parametrize(("model", "arguments", "made", "price"), AT_ONCE)
async def test_what_is_answered_at_once_has_ended_in_the_same_call(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    model: str,
    arguments: dict[str, Any],
    made: str,
    price: float,
) -> None:
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock) as runner:
        # A charge of 0 is known only if the balance was read before the create request.
        await wait_until(lambda: runner.balance._known is not None)
        task = await runner.submit(Order("run_model", call(model, **arguments)))
        assert (task.state, task.error, task.kie_id, task.note, task.finished) == (
            "succeeded",
            None,
            None,
            "",
            clock.now,
        )
        assert [text[: len(made)] for text in task.texts] == ([made] if made else [])
        assert task.credits == price
        assert await run_to_end(runner, task) == task
        assert task.saved
    creates, *fetched = gate.requests
    assert creates == f"POST {PRODUCTS[MODELS[model].routes[0]].create}"
    assert len(fetched) == len(task.results) == PICTURES.get(model, 0)
    assert sandbox.balance == 1000 - price
    async with run_runner(tmp_path, gate, clock) as runner:
        assert await runner.get(task.id) == task
    assert gate.requests == [creates, *fetched]


@pytest.mark.parametrize(("model", "arguments"), [row[:2] for row in AT_ONCE])
async def test_what_cannot_be_made_at_once_is_refused_and_costs_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, model: str, arguments: dict[str, Any]
) -> None:
    sandbox.inject_fault("create", "fail")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        with pytest.raises(ApiError, match="injected into the sandbox") as caught:
            await runner.submit(Order("run_model", call(model, **arguments)))
        (task,) = await runner.ledger.page()
    assert (task.state, task.error) == ("failed", caught.value.as_dict())
    assert caught.value.billed is False
    assert sandbox.balance == 1000


@pytest.mark.parametrize(("model", "arguments"), [row[:2] for row in AT_ONCE])
async def test_a_success_that_names_nothing_is_one_at_once(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, model: str, arguments: dict[str, Any]
) -> None:
    sandbox.inject_fault("create", "no-urls")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("run_model", call(model, **arguments))))
    if model.endswith("check-voice"):
        # Here, nothing means no.
        assert task.state == "failed"
        assert task.error
        assert "gives no reason" in str(task.error["message"])
        assert task.error["billed"] is (sandbox.balance < 1000)
    else:
        assert (task.state, task.error, task.note) == ("succeeded", None, no_result_note(SANDBOX))
        assert task.credits == round(1000 - sandbox.balance, 2)


async def test_an_answer_that_got_lost_is_never_asked_for_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    gate = InterceptedKie(sandbox.app)
    lost: dict[int | str, UnknownOutcome] = {}
    async with run_runner(tmp_path, gate, clock) as runner:
        for how in (*NOBODY_KNOWS, "code:200"):
            sandbox.inject_fault("create", how)
            with raises(UnknownOutcome, how) as caught:
                await runner.submit(Order("run_model", call(STYLE, prompt="a slow waltz")))
            assert caught.value.billed is None, how
            lost[how] = caught.value
    async with run_runner(tmp_path, gate, clock) as runner:
        clock.now += LEASE_SECONDS + 1
        for how, error in lost.items():
            assert (await run_to_end(runner, await runner.get(error.task_id))).state == "unknown", how
            assert error.task_id in error.message, how
    assert len(gate.requests) == len(lost)


async def test_an_answer_is_kept_when_the_server_ends_as_kie_gives_it(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    ends: list[anyio.CancelScope] = []

    async def answer_and_end(scope: Scope, receive: Receive, send: Send) -> None:
        await sandbox.app(scope, receive, send)
        if scope["method"] == "POST":
            ends[0].cancel()

    async with run_runner(tmp_path, answer_and_end, clock) as runner:
        ends.append(runner._background._group.cancel_scope)
        await runner.submit(Order("run_model", call(STYLE, prompt="a slow waltz")))
    ((id_, *_),) = task_rows(tmp_path)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.get(id_)
    assert (task.state, len(task.texts)) == ("succeeded", 1)
    assert len(sandbox.accepted) == 1


async def test_a_refusal_for_the_rate_is_sent_again(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    sandbox.inject_fault("create", "code:429", 2)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        assert (await runner.submit(Order("x", call(STYLE, prompt="a slow waltz")))).state == "succeeded"
        sandbox.inject_fault("create", 429, 2)
        assert (
            await run_to_end(runner, await runner.submit(Order("x", call("veo/get-4k-video", task_id="5f0c"))))
        ).state == "succeeded"
    assert len(sandbox.accepted) == 2


async def test_an_answer_that_cannot_be_written_down_is_handed_over(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    refusal = refuse_ledger_writes(tmp_path)

    async def refuse(_: str) -> None:
        refusal.__enter__()

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, post=refuse), clock) as runner:
        try:
            task = await runner.submit(Order("x", call(STYLE, prompt="a slow waltz")))
        finally:
            refusal.__exit__(None, None, None)
    assert (task.state, len(task.texts), task.error) == ("succeeded", 1, None)
    assert task.note.startswith("Not written down: ")
    assert "\n" not in task.note


async def gone(path: str) -> Response | None:
    return None if "/jobs/" in path else JSONResponse({"code": 404, "msg": "Not Found"}, 404)


@pytest.mark.parametrize(
    ("model", "arguments"),
    [*(row[:2] for row in AT_ONCE if "omni" not in row[0]), *((model, {"task_id": "5f0c"}) for model in LARGER)],
)
async def test_where_the_route_is_gone_the_unified_one_is_asked_after_by_its_id(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, model: str, arguments: dict[str, Any]
) -> None:
    gate = InterceptedKie(sandbox.app, post=gone, get=lambda path: gone(path if "/veo/" in path else "/jobs/"))
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await runner.submit(Order("run_model", call(model, **arguments)))
        assert (task.state, task.route, task.kie_id) == ("running", f"jobs:{model}", sandbox.accepted[0].id)
        assert task.request is None
        assert (await run_to_end(runner, task)).state == "succeeded"
    assert [asked.partition(" ")[2] for asked in gate.requests[:2]] == [
        PRODUCTS[MODELS[model].routes[0]].create,
        "/api/v1/jobs/createTask",
    ]


@pytest.mark.parametrize("way", ["jobs:veo-3-1", "veo"])
async def test_a_call_may_name_its_only_way_and_further_fields(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, way: str
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("x", call("veo3_fast", prompt="a heron"), route=way, extra={"uploadCn": True}))
    body = sandbox.accepted[0].body
    assert task.route == way
    assert (body["input"]["upload_cn"] if "input" in body else body["uploadCn"]) is True
    assert task.arguments["uploadCn"] is True


async def test_the_only_way_is_the_only_one_tried(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    gate = InterceptedKie(sandbox.app, post=gone)
    async with run_runner(tmp_path, gate, clock) as runner:
        with pytest.raises(NotOffered):
            await runner.submit(Order("x", call("veo3_fast", prompt="a heron"), route="veo"))
    assert gate.requests == ["POST /api/v1/veo/generate"]
