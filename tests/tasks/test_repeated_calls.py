"""The same call again: one task, one payment, whoever repeats it and however it is written."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult
from support.answers import answer, text
from support.cases import for_each
from support.clients import connect
from support.clock import JumpingClock, let_others_run
from support.media_files import picture
from support.runners import InterceptedKie, model_call, run_runner, run_to_end

from kie_mcp.config import Settings
from kie_mcp.errors import UnknownOutcome
from kie_mcp.kie.routes import DOCUMENTED, JOBS
from kie_mcp.ledger.task import KEPT_FOR, Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

WINDOW = 600
PICTURE = picture()
FOX = {"prompt": "a fox", "images": ["{folder}/fox.png"]}
DATA_URI = f"data:image/png;base64,{b64encode(PICTURE).decode()}"


@pytest.fixture
def gate(sandbox: Sandbox) -> InterceptedKie:
    return InterceptedKie(sandbox.app)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the same picture under several names, and another picture."""
    (tmp_path / "sub").mkdir()
    for name in ("fox.png", "лиса 2.png", "sub/fox.jpg"):
        (tmp_path / name).write_bytes(PICTURE)
    (tmp_path / "link.png").symlink_to(tmp_path / "fox.png")
    (tmp_path / "other.png").write_bytes(picture(50, 30))
    return tmp_path


@pytest.fixture
async def client(settings: Settings, gate: InterceptedKie, clock: JumpingClock) -> AsyncIterator[Client]:
    async with connect(settings, gate, clock, repeat_window=WINDOW) as connected:
        yield connected


def placed(value: Any, folder: Path) -> Any:
    """The same arguments, with the folder written out."""
    match value:
        case str():
            return value.replace("{folder}", str(folder))
        case list():
            return [placed(each, folder) for each in value]
        case dict():
            return {name: placed(each, folder) for name, each in value.items()}
        case _:
            return value


def sent(gate: InterceptedKie) -> list[str]:
    """What cost something, or left this machine."""
    return [asked for asked in gate.requests if asked.startswith("POST")]


def is_repeat(again: CallToolResult, first: CallToolResult) -> bool:
    """Whether an answer is that of an earlier call, and says so in both forms."""
    note = answer(again).get("note", "")
    told = "The same call was made" in note and "nothing more is paid" in note and note in text(again)
    assert told == (answer(again)["task_id"] == answer(first)["task_id"])
    return told


Call = tuple[str, dict[str, Any]]
"""A tool, and its arguments."""


def images(*given: str) -> Call:
    return "nano_banana_image", {**FOX, "images": [*given]}


def kling(**given: Any) -> Call:
    return "kling_video", given


FOX_AS_SENT = {"prompt": "a fox", "image_input": [DATA_URI], "output_format": "jpg"}
REPEATS: list[list[Call]] = [
    [
        ("nano_banana_image", FOX),
        ("nano_banana_image", dict(reversed(FOX.items()))),
        ("nano_banana_image", {**FOX, "images": "{folder}/fox.png"}),
        ("nano_banana_image", {**FOX, "images": '["{folder}/fox.png"]'}),
        images("{folder}/sub/../fox.png"),
        images(" file://{folder}/./fox.png "),
        images("{folder}/link.png"),
        images("{folder}/лиса 2.png"),
        images("{folder}/sub/fox.jpg"),
        images(DATA_URI),
        ("nano_banana_image", {**FOX, "model": "nano-banana-2-1"}),
        ("nano_banana_image", {**FOX, "model": " Google/NANO-banana-2-1 "}),
        ("nano_banana_image", {**FOX, "variation": 1, "anyway": True, "quote": False, "confirm": ""}),
        ("nano_banana_image", {**FOX, "variation": "1", "aspect_ratio": None}),
        ("run_model", {"model": "nano-banana-2-1", "input": FOX}),
        ("run_model", {"model": "nano-banana-2-1", "input": FOX_AS_SENT}),
    ],
    [images(DATA_URI), ("nano_banana_image", FOX)],
    [
        ("run_model", {"model": "veo3.1-fast", "input": {"prompt": "x"}}),
        ("veo_video", {"prompt": "x", "model": "veo3_fast"}),
        ("veo_video", {"prompt": "x"}),
        ("veo_video", {"prompt": "x", "model": "veo3.1-fast"}),
    ],
    [
        kling(prompt="x"),
        kling(prompt="x", duration=5),
        kling(prompt="x", duration="5"),
        kling(prompt=" x\n", cfg_scale=0.5, negative_prompt="none"),
        ("run_model", {"model": "kling-3.0", "input": {"prompt": "x ", "sound": False}}),
    ],
    [kling(shots=[{"prompt": "a", "duration": 5}]), kling(shots='[{"prompt": "a ", "duration": "5 s"}]')],
    [kling(prompt="Donau\xaddampf\u200bschiff\r\n\u202ex"), kling(prompt="Donaudampfschiff\nx")],
    [
        ("flux_kontext_image", {"prompt": "x"}),
        ("flux_kontext_image", {"prompt": "x", "format": "JPEG", "watermark": None}),
    ],
]
"""Calls that are the same one in each list."""


async def test_the_same_call_is_the_same_task_however_it_is_written(
    client: Client, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, folder: Path
) -> None:
    for number, ((tool, given), *again) in enumerate(REPEATS, start=1):
        first = await client.call_tool(tool, placed(given, folder))
        assert "note" not in answer(first), text(first)
        before = sent(gate)
        for by, written in again:
            assert is_repeat(await client.call_tool(by, placed(written, folder)), first), (by, written)
            assert sent(gate) == before, (by, written)
        assert len(sandbox.accepted) == number
        clock.now += 2 * WINDOW


@pytest.mark.parametrize("way", ["kie://uploads/{upload_id}", "{url}"])
async def test_a_file_that_was_uploaded_before_is_the_same_as_the_one_on_disk(
    client: Client, sandbox: Sandbox, folder: Path, way: str
) -> None:
    for given in ({"path": str(folder / "fox.png")}, {"base64": DATA_URI}, {"base64": b64encode(PICTURE).decode()}):
        upload = answer(await client.call_tool("upload_file", given))
        first = await client.call_tool("nano_banana_image", placed(FOX, folder))
        again = await client.call_tool("nano_banana_image", {**FOX, "images": [way.format(**upload)]})
        assert is_repeat(again, first)
    assert len(sandbox.accepted) == 1


OTHERS = [
    {**FOX, "prompt": "a fox."},
    {**FOX, "images": ["{folder}/other.png"]},
    {**FOX, "images": ["{folder}/fox.png", "{folder}/fox.png"]},
    {**FOX, "images": ["https://files.example/fox.png"]},
    {**FOX, "aspect_ratio": "16:9"},
    {**FOX, "model": "nano-banana-2"},
    {**FOX, "variation": 2},
]


async def test_another_call_is_another_task(client: Client, sandbox: Sandbox, folder: Path) -> None:
    first = await client.call_tool("nano_banana_image", placed(FOX, folder))
    for number, other in enumerate(OTHERS, start=2):
        assert not is_repeat(await client.call_tool("nano_banana_image", placed(other, folder)), first), other
        assert len(sandbox.accepted) == number, other
    assert is_repeat(await client.call_tool("nano_banana_image", placed(FOX, folder)), first)


async def test_a_file_that_has_changed_makes_another_call(client: Client, sandbox: Sandbox, folder: Path) -> None:
    first = await client.call_tool("nano_banana_image", placed(FOX, folder))
    (folder / "fox.png").write_bytes(picture(30, 40))
    assert not is_repeat(await client.call_tool("nano_banana_image", placed(FOX, folder)), first)
    one, other = (task.body["input"]["image_input"] for task in sandbox.accepted)
    assert one != other


async def test_two_tools_with_one_model_and_the_same_words_are_two_calls(client: Client, sandbox: Sandbox) -> None:
    drawn = await client.call_tool("flux_kontext_image", {"prompt": "a fox"})
    ghibli = await client.call_tool("ghibli_image", {"prompt": "a fox"})
    assert answer(drawn)["model"] == answer(ghibli)["model"]
    assert not is_repeat(ghibli, drawn)
    assert is_repeat(await client.call_tool("ghibli_image", {"prompt": "a fox"}), ghibli)
    assert len(sandbox.accepted) == 2


async def test_variations_are_paid_for_once_each(client: Client, sandbox: Sandbox) -> None:
    made: dict[int, CallToolResult] = {}
    for number in (1, 2, 3):
        made[number] = await client.call_tool("nano_banana_image", {"prompt": "a fox", "variation": number})
        assert "note" not in answer(made[number])
    for number in (2, 1, 3):
        again = await client.call_tool("nano_banana_image", {"prompt": "a fox", "variation": str(number)})
        assert is_repeat(again, made[number])
        assert f"variation: {number + 1} makes another." in text(again)
    assert len(sandbox.accepted) == 3
    assert sandbox.balance == 1000 - 3 * 4


async def test_a_repeat_tells_when_the_call_was_made(client: Client, clock: JumpingClock) -> None:
    first = await client.call_tool("veo_video", {"prompt": "a fox"})
    clock.now += 95
    again = await client.call_tool("veo_video", {"prompt": "a fox"})
    assert is_repeat(again, first)
    assert "made 95 s ago" in text(again)
    clock.now -= 300
    earlier = await client.call_tool("veo_video", {"prompt": "a fox"})
    assert is_repeat(earlier, first)
    assert "made 0 s ago" in text(earlier)


@pytest.mark.parametrize("tool", ["nano_banana_image", "kling_video"])
async def test_calls_in_flight_at_once_are_one_task(
    settings: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, folder: Path, tool: str
) -> None:
    found: list[CallToolResult] = []
    given = placed(
        {"nano_banana_image": FOX, "kling_video": {"prompt": "x", "image": "{folder}/fox.png"}}[tool], folder
    )

    async def make(client: Client) -> None:
        found.append(await client.call_tool(tool, given))

    one = connect(settings, gate, clock, repeat_window=WINDOW)
    two = connect(settings, gate, clock, repeat_window=WINDOW)
    async with one as first, two as second, anyio.create_task_group() as callers:
        for caller in (first, second, first, second, first):
            callers.start_soon(make, caller)
    assert len({answer(each).get("task_id") for each in found}) == 1, list(map(text, found))
    assert sum("note" in answer(each) for each in found) == len(found) - 1
    assert not any(each.is_error for each in found)
    assert len(sandbox.accepted) == 1
    assert sent(gate).count(f"POST {DOCUMENTED.upload_stream}") == 1


@pytest.mark.parametrize(
    ("path", "status"), [(DOCUMENTED.upload_stream, "prepared"), (JOBS.create, "submitting")], ids=lambda given: given
)
async def test_a_repeat_while_kie_is_being_asked_waits_for_that(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, folder: Path, path: str, status: str
) -> None:
    asked, goes_on = anyio.Event(), anyio.Event()
    made: dict[str, CallToolResult] = {}

    async def hold(met: str) -> None:
        if met == path:
            asked.set()
            await goes_on.wait()

    async def make(client: Client, name: str) -> None:
        made[name] = await client.call_tool("nano_banana_image", placed(FOX, folder))

    gate = InterceptedKie(sandbox.app, post=hold)
    async with (
        connect(settings, gate, clock, repeat_window=WINDOW, wait_seconds=0) as client,
        anyio.create_task_group() as callers,
    ):
        callers.start_soon(make, client, "first")
        await asked.wait()
        early = await client.call_tool("nano_banana_image", placed(FOX, folder))
        assert not early.is_error
        assert answer(early)["status"] == status
        assert "do not repeat the call" in text(early)
        callers.start_soon(make, client, "late")
        # It has to be waiting by then.
        with anyio.move_on_after(0.05):
            await anyio.sleep_forever()
        goes_on.set()
        # The calls may have been answered before, but the create goes on.
        while not sandbox.accepted:
            await let_others_run()
    assert is_repeat(early, made["first"])
    assert is_repeat(made["late"], made["first"])
    assert len(sandbox.accepted) == 1


async def test_a_repeat_in_another_process_while_kie_is_being_asked_sends_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    asked, goes_on = anyio.Event(), anyio.Event()

    async def hold(_: str) -> None:
        asked.set()
        await goes_on.wait()

    gate = InterceptedKie(sandbox.app, post=hold)
    async with (
        run_runner(tmp_path, gate, clock, rules=Rules()) as one,
        run_runner(tmp_path, gate, clock, rules=Rules()) as two,
        anyio.create_task_group() as callers,
    ):
        callers.start_soon(one.submit, Order("veo_video", model_call("veo_video")))
        await asked.wait()
        found = await two.submit(Order("veo_video", model_call("veo_video")))
        assert found.state == "submitting"
        goes_on.set()
        (found,) = await two.wait([found], 600)
    assert found.state == "succeeded"
    assert len(sent(gate)) == 1


@pytest.mark.parametrize("how", ["", "running", "unknown"])
async def test_the_same_call_after_a_restart_is_the_same_task(
    settings: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, folder: Path, how: str
) -> None:
    if how == "unknown":
        sandbox.inject_fault("create", "reset-after")
    if how == "running":
        sandbox.inject_fault("create", "stall")
    async with connect(settings, gate, clock, repeat_window=WINDOW) as client:
        first = await client.call_tool("nano_banana_image", placed(FOX, folder))
    before = sent(gate)
    async with connect(settings, gate, clock, repeat_window=WINDOW) as client:
        again = await client.call_tool("nano_banana_image", placed(FOX, folder))
        assert is_repeat(again, first)
    assert answer(again)["status"] == (how or "succeeded")
    assert sent(gate) == before


@pytest.mark.parametrize(("seconds", "same"), [(WINDOW - 20, True), (WINDOW + 20, False)])
async def test_after_the_window_the_same_call_is_another(
    client: Client, sandbox: Sandbox, clock: JumpingClock, *, seconds: float, same: bool
) -> None:
    begun = clock.now
    first = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    clock.now = begun + seconds
    again = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert is_repeat(again, first) == same
    assert len(sandbox.accepted) == 2 - same


async def test_a_task_under_way_is_the_same_call_for_as_long_as_it_takes(
    client: Client, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "stall")
    given = {"prompt": "a fox at dawn"}
    first = await client.call_tool("kling_video", given)
    clock.now += 6 * WINDOW
    again = await client.call_tool("kling_video", given)
    assert is_repeat(again, first)
    assert answer(again)["status"] == "running"
    assert len(sandbox.accepted) == 1


async def test_without_a_window_each_call_is_another(settings: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    async with connect(settings, sandbox.app, clock, repeat_window=0) as client:
        for _ in range(2):
            assert "note" not in answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
    assert len(sandbox.accepted) == 2


async def test_what_failed_may_be_asked_for_again_at_once(client: Client, sandbox: Sandbox) -> None:
    refusals: list[int | str] = ["fail", "code:422", 402, 451]
    for number, how in enumerate(refusals, start=1):
        sandbox.inject_fault("create", how)
        failed = await client.call_tool("nano_banana_image", {"prompt": f"fox {number}"})
        assert answer(failed)["status"] == "failed", how
        again = await client.call_tool("nano_banana_image", {"prompt": f"fox {number}"})
        assert answer(again)["status"] == "succeeded", how
        assert not is_repeat(again, failed)
        assert sandbox.balance == 1000 - 4 * number


async def test_what_expired_may_be_asked_for_again_at_once(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    forever = Rules(repeat_window=2 * KEPT_FOR)
    async with run_runner(tmp_path, sandbox.app, clock, rules=forever) as runner:
        sandbox.inject_fault("create", "stall")
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        clock.now += KEPT_FOR
        assert (await run_to_end(runner, task)).state == "expired"
        again = await runner.submit(Order("veo_video", model_call("veo_video")))
        assert again.id != task.id
        assert (await run_to_end(runner, again)).state == "succeeded"


async def test_a_task_that_kie_lost_is_not_paid_again_at_once(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        sandbox.inject_fault("status", "null-record", 1000)
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
        assert (task.state, (task.error or {})["billed"]) == ("expired", None)
        again = await runner.submit(Order("veo_video", model_call("veo_video")))
        assert again.id == task.id
        assert "Do not repeat the call" in (again.error or {})["next_step"]
        clock.now = (task.finished or 0) + WINDOW + 1
        assert (await runner.submit(Order("veo_video", model_call("veo_video")))).id != task.id
    assert len(sandbox.accepted) == 2


async def test_a_task_that_kie_lost_after_longer_than_the_window_is_not_paid_again_at_once(
    clock: JumpingClock, tmp_path: Path
) -> None:
    sandbox = Sandbox(seconds=100_000, clock=clock.time)
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        clock.now += 1.5 * WINDOW
        sandbox.inject_fault("status", "null-record", 1000)
        assert (await run_to_end(runner, task)).state == "expired"
        assert (await runner.submit(Order("veo_video", model_call("veo_video")))).id == task.id


async def test_a_file_that_could_not_be_uploaded_is_tried_again_with_the_next_call(
    client: Client, sandbox: Sandbox, folder: Path
) -> None:
    sandbox.inject_fault("upload", 500)
    failed = await client.call_tool("nano_banana_image", placed(FOX, folder))
    assert failed.is_error
    assert answer(failed)["error"]["billed"] is False
    assert sandbox.accepted == []
    assert answer(await client.call_tool("nano_banana_image", placed(FOX, folder)))["status"] == "succeeded"


async def test_what_nobody_knows_the_end_of_is_not_sent_again(
    client: Client, gate: InterceptedKie, sandbox: Sandbox
) -> None:
    nobody_knows: list[int | str] = ["reset-before", "reset-after", "garbage", 502]
    for number, how in enumerate(nobody_knows):
        sandbox.inject_fault("create", how)
        first = await client.call_tool("nano_banana_image", {"prompt": f"fox {number}"})
        again = await client.call_tool("nano_banana_image", {"prompt": f"fox {number}"})
        assert is_repeat(again, first), how
        for each in (first, again):
            assert each.is_error
            assert answer(each)["status"] == "unknown", how
            assert answer(each)["error"]["category"] == "unknown_outcome"
            assert "resolve_task" in text(each)
            # Another one might be paid twice: first it is settled.
            assert "variation" not in text(each)
        assert len(sent(gate)) == 2 * number + 1, how
        settled = {"task_id": answer(first)["task_id"], "outcome": "not created"}
        assert not (await client.call_tool("resolve_task", settled)).is_error
        assert not is_repeat(await client.call_tool("nano_banana_image", {"prompt": f"fox {number}"}), first)


async def test_what_nobody_knows_the_end_of_holds_nothing_else_up(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "reset-before")
    await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    for given in ({"prompt": "a hare"}, {"prompt": "a fox", "variation": 2}):
        assert answer(await client.call_tool("nano_banana_image", given))["status"] == "succeeded"


@pytest.mark.parametrize("tool", ["nano_banana_image", "run_model"])
async def test_a_repeat_is_answered_though_the_model_fails_often_by_then(
    settings: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, tool: str
) -> None:
    """Otherwise the caller is told to take another model, and pays for both."""
    given: dict[str, Any] = {"prompt": "a fox"}
    given = {"model": "nano-banana-2-1", "input": given} if tool == "run_model" else given
    async with connect(settings, gate, clock, repeat_window=3600) as client:
        first = await client.call_tool(tool, given)
        sandbox.discovery.success_rates["nano-banana-2-1"] = 10.0
        # What KIE says of a model is kept for ten minutes.
        clock.now += 900
        assert is_repeat(await client.call_tool(tool, given), first)
        # What KIE says by now is read beside that.
        await clock.sleep(1)
        assert is_repeat(await client.call_tool(tool, given), first)
        other = await client.call_tool(tool, given | {"variation": 2})
    assert answer(other)["error"]["category"] == "unhealthy"


async def test_many_at_once_on_two_ledgers_of_two_folders_are_no_repeats(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    made: list[Task] = []

    async def make(runner: Runner) -> None:
        made.append(await runner.submit(Order("veo_video", model_call("veo_video"))))

    async with (
        run_runner(tmp_path / "a", sandbox.app, clock, rules=Rules()) as one,
        run_runner(tmp_path / "b", sandbox.app, clock, rules=Rules()) as two,
        anyio.create_task_group() as callers,
    ):
        for runner in (one, two, one, two):
            callers.start_soon(make, runner)
    assert len({task.id for task in made}) == len(sandbox.accepted) == 2


async def test_a_runner_gives_back_the_unknown_task_in_place_of_an_error(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    sandbox.inject_fault("create", "reset-after")
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        with pytest.raises(UnknownOutcome) as caught:
            await runner.submit(Order("veo_video", model_call("veo_video")))
        again = await runner.submit(Order("veo_video", model_call("veo_video")))
    assert (again.id, again.state) == (caught.value.task_id, "unknown")


NEAR_A = {"prompt": "a café\nat dawn", "images": ["https://e.example/A.png?k=1"]}


@for_each(
    "again, is_same",
    [
        ({"prompt": "a cafe\u0301\nat dawn"}, True),
        ({"prompt": "a café \t\r\nat dawn \n"}, True),
        ({"images": ["HTTPS://E.Example:443/A.png?k=1"]}, True),
        ({"prompt": "a cafe\nat dawn"}, False),
        ({"prompt": "a café\n at dawn"}, False),
        ({"prompt": "A café\nat dawn"}, False),
        ({"images": ["https://e.example/a.png?k=1"]}, False),
        ({"images": ["https://e.example:80/A.png?k=1"]}, False),
        ({"images": ["http://e.example/A.png?k=1"]}, False),
        ({"images": ["https://e.example/A.png?k=2"]}, False),
    ],
)
def test_calls_that_differ_only_in_what_nobody_sees_have_one_key(again: dict[str, Any], is_same: bool) -> None:
    first, second = (Order("", model_call("nano_banana_image", **given)) for given in (NEAR_A, NEAR_A | again))
    keys = {order.idempotency_key({ref: str(ref) for ref in order.call.references()}) for order in (first, second)}
    assert len(keys) == (1 if is_same else 2)
    # What is sent stays as it was written.
    assert second.call.sent(str)["prompt"] == (NEAR_A | again)["prompt"]
