from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import anyio
import pytest
import stamina
from starlette.responses import JSONResponse, Response
from support.clock import JumpingClock
from support.errors import raises
from support.media_files import picture, sound
from support.runners import InterceptedKie, model_call, run_runner, run_to_end, task_rows

from kie_mcp.errors import ApiError, InsufficientCredits, InvalidCall, NotOffered, UnknownOutcome
from kie_mcp.kie.advice import SANDBOX
from kie_mcp.ledger.task import KEPT_FOR, State, Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.failures import no_result_note
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.transitions import GRACE_SECONDS

pytestmark = pytest.mark.anyio

DAY = 24 * 3600


@pytest.fixture(autouse=True)
def reads_are_not_repeated() -> Iterator[None]:
    """The client's own retries wait by the real clock."""
    with stamina.set_testing(True):
        yield


async def no_such_route(path: str) -> Response | None:
    """The product routes are gone."""
    return JSONResponse({"code": 404, "msg": "Not Found"}, 404) if "/jobs/" not in path else None


async def test_the_row_is_on_disk_before_kie_is_asked_and_its_id_before_anybody_is_answered(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    seen = []

    async def look(_: str) -> None:
        seen.extend(task_rows(tmp_path))

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, post=look), clock) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        assert seen == [(task.id, "submitting", None, "veo")]
        assert task_rows(tmp_path) == [(task.id, "running", sandbox.accepted[0].id, "veo")]
        assert task.kie_id == sandbox.accepted[0].id
        assert task.estimate == (60, 60)
        assert task.arguments["prompt"] == "a heron at dawn"


@pytest.mark.parametrize(
    ("tool", "extensions"),
    [
        ("nano_banana_image", [".jpg"]),
        ("veo_video", [".mp4"]),
        ("suno_music", [".mp3", ".mp3"]),
        ("midjourney_image", [".jpg"] * 4),
        ("suno_lyrics", []),
    ],
)
async def test_a_task_ends_with_its_files_on_disk(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, tool: str, extensions: list[str]
) -> None:
    legacy = Sandbox(seconds=4, clock=clock.time, legacy=True) if tool == "midjourney_image" else sandbox
    async with run_runner(tmp_path, legacy.app, clock) as runner:
        task = await runner.submit(Order(tool, model_call(tool)))
        assert await run_to_end(runner, task) == task
    assert (task.state, task.saved, task.note, task.error) == ("succeeded", True, "", None)
    assert task.finished
    assert task.finished - task.created < 10
    paths = [Path(result.path) for result in task.results]
    assert [path.suffix for path in paths] == extensions
    assert [path.parent for path in paths if path.is_file()] == [tmp_path / "out"] * len(extensions)
    assert bool(task.texts) == (not extensions)


async def test_what_kie_charged_is_written_down(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("x", model_call("nano_banana_image"))))
    assert task.credits == 4


async def test_a_local_file_is_uploaded_first(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound(1))
    (tmp_path / "a.png").write_bytes(picture())
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        with pytest.raises(InvalidCall, match="is a sound"):
            await runner.submit(Order("x", model_call("nano_banana_image", images=[f"{tmp_path}/a.wav"])))
        assert task_rows(tmp_path) == []
        await runner.submit(Order("x", model_call("nano_banana_image", images=[f"{tmp_path}/a.png"])))
    assert sandbox.accepted[0].body["input"]["image_input"][0].startswith("https://")


async def test_kie_is_told_whom_to_call(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, callbacks=Callbacks("https://me.example/done")) as runner:
        await runner.submit(Order("x", model_call("veo_video")))
    assert sandbox.accepted[0].body["callBackUrl"] == "https://me.example/done"


async def test_a_create_of_unknown_outcome_is_never_sent_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    hows: tuple[int | str, ...] = ("reset-after", "reset-before", "garbage", "truncated", "empty", 500, "code:500", 502)
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock) as runner:
        for number, how in enumerate(hows):
            sandbox.inject_fault("create", how)
            with raises(UnknownOutcome, how) as caught:
                await runner.submit(Order("veo_video", model_call("veo_video")))
            (id_, *row) = task_rows(tmp_path)[number]
            assert row == ["unknown", None, "veo"], how
            assert id_ in caught.value.message, how
            clock.now += 1
        other = await runner.submit(Order("veo_video", model_call("veo_video")))
        assert (await run_to_end(runner, other)).state == "succeeded"
    async with run_runner(tmp_path, gate, clock) as runner:
        clock.now += DAY
        for how, (id_, *_) in zip(hows, task_rows(tmp_path), strict=False):
            task = await runner.get(id_)
            assert await run_to_end(runner, task) == task
            assert task.state == "unknown", how
            assert task.error
            assert task.error["billed"] is None, how
    assert gate.requests.count("POST /api/v1/veo/generate") == len(hows) + 1


async def test_a_refused_create_fails_with_kies_words_and_costs_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        for how in ("code:402", 401, "code:422", 455, 451):
            sandbox.inject_fault("create", how)
            with raises(ApiError, how, "was injected into the sandbox") as caught:
                await runner.submit(Order("veo_video", model_call("veo_video")))
            assert isinstance(caught.value, InsufficientCredits) == (how == "code:402"), how
            (id_, state, _, _) = task_rows(tmp_path)[-1]
            assert state == "failed", how
            task = await runner.get(id_)
            assert task.error == caught.value.as_dict(), how
            assert task.error["billed"] is False, how
            clock.now += 1
    assert not sandbox.accepted


async def test_the_next_route_is_tried_where_the_first_is_gone_and_remembered(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    seen = []

    async def look(path: str) -> Response | None:
        seen.append(task_rows(tmp_path)[0][1:])
        return await no_such_route(path)

    gate = InterceptedKie(sandbox.app, post=look)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("runway_video", model_call("runway_video"))))
    assert seen == [("submitting", None, "runway"), ("submitting", None, "jobs:runway")]
    assert (task.state, task.route) == ("succeeded", "jobs:runway")
    assert sandbox.accepted[0].body["model"] == "runway"
    assert not [asked for asked in gate.requests if asked.startswith("GET /api/v1/runway")]


async def test_without_any_route_the_task_fails(clock: JumpingClock, tmp_path: Path) -> None:
    gate = InterceptedKie(JSONResponse({"code": 404, "msg": "Not Found"}, 404))
    async with run_runner(tmp_path, gate, clock) as runner:
        with pytest.raises(NotOffered):
            await runner.submit(Order("runway_video", model_call("runway_video")))
    assert gate.requests == ["POST /api/v1/runway/generate", "POST /api/v1/jobs/createTask"]
    assert [row[1] for row in task_rows(tmp_path)] == ["failed"]


async def test_a_legacy_model_that_is_gone_names_what_to_use(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        with pytest.raises(NotOffered, match=r"KIE no longer offers sora-2-text-to-video\. KIE says 422") as caught:
            await runner.submit(Order("sora_video", model_call("sora_video")))
        assert caught.value.next_step == "Use veo_video instead."
        (task,) = await runner.ledger.page()
    assert task.error == caught.value.as_dict()


@pytest.mark.parametrize(("tool", "retryable"), [("nano_banana_image", True), ("runway_video", False)])
async def test_a_task_that_fails_says_why_and_what_it_cost(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, tool: str, *, retryable: bool
) -> None:
    """Runway's record says nothing of credits; that the balance is as it was does."""
    sandbox.inject_fault("create", "fail")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order(tool, model_call(tool))))
    assert task.state == "failed"
    assert task.error
    assert task.error["message"] == 'KIE says: "This failure was injected into the sandbox"'
    assert (task.error["retryable"], task.error["billed"], task.credits) == (retryable, False, 0)
    assert not (tmp_path / "out").exists()


async def test_a_stalled_task_goes_on_until_kie_would_have_forgotten_it(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    sandbox.inject_fault("create", "stall")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        clock.now += DAY / 144
        await runner.wait([task], 10)
        assert (await runner.get(task.id)).state == "running"
        clock.now = task.created + KEPT_FOR
        assert (await run_to_end(runner, task)).state == "expired"


@pytest.mark.parametrize(("times", "state"), [(8, "succeeded"), (1000, "expired")])
async def test_a_task_that_kie_does_not_know_yet_has_some_grace(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, times: int, state: State
) -> None:
    sandbox.inject_fault("status", "null-record", times)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
    assert task.state == state
    assert task.finished
    assert (task.finished - task.created > GRACE_SECONDS) == (state == "expired")
    if state == "expired":
        assert task.error
        assert task.error["billed"] is None


async def test_a_task_that_kie_forgets_for_a_moment_is_not_given_up(clock: JumpingClock, tmp_path: Path) -> None:
    sandbox = Sandbox(seconds=10 * GRACE_SECONDS, clock=clock.time)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        clock.now += 9 * GRACE_SECONDS
        await runner.wait([task], 10)
        sandbox.inject_fault("status", "null-record")
        assert (await run_to_end(runner, task)).state == "succeeded"


async def test_results_of_a_success_are_waited_for_and_then_it_is_a_success_without(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    sandbox.inject_fault("create", "no-urls", 2)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        late = await runner.submit(Order("nano_banana_image", model_call("nano_banana_image")))
        await runner.wait([late], 20)
        sandbox.accepted[0].fault = ""
        assert (await run_to_end(runner, late)).state == "succeeded"
        task = await run_to_end(
            runner, await runner.submit(Order("nano_banana_image", model_call("nano_banana_image")))
        )
    assert (task.state, task.credits, task.error, task.saved) == ("succeeded", 4, None, True)
    assert (task.results, task.texts, task.note) == (
        [],
        ['{"resultJson": "{\\"resultUrls\\": []}", "response": {"resultUrls": []}}'],
        no_result_note(SANDBOX),
    )


async def test_a_status_that_cannot_be_read_for_a_while_changes_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        for how in (500, "code:500", 401, 429, 455, "reset-before", "garbage", "empty", "truncated"):
            sandbox.inject_fault("status", how, 6)
            task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
            assert (task.state, len(task.results)) == ("succeeded", 1), how


async def test_a_task_is_found_by_any_of_its_names(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        for name in (task.id, f"task:{task.id}", f"task:{task.id}#2", task.kie_id or ""):
            assert await runner.get(name) is task
        await run_to_end(runner, task)
        assert await runner.get(task.id) == task
        with pytest.raises(InvalidCall, match="There is no task t_x"):
            await runner.get("t_x")


async def test_waiting_ends_early_with_the_task(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    reports: list[float] = []

    async def report(tasks: Sequence[Task]) -> None:
        assert [each.id for each in tasks] == [task.id]
        reports.append(clock.now)

    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        await runner.wait([task], 10 * DAY, report)
        assert (task.state, task.saved) == ("succeeded", True)
        assert clock.now - task.created < DAY
        count = len(reports)
        assert count > 1
        await runner.wait([task], DAY, report)
    assert len(reports) == count


async def test_waiting_ends_on_time_without_the_task(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    sandbox.inject_fault("create", "stall", 2)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        tasks = [await runner.submit(Order("veo_video", model_call("veo_video"))) for _ in range(2)]
        begun = clock.now
        await runner.wait(tasks, 40)
        assert 40 <= clock.now - begun < 45
        await runner.wait(tasks, 0)
        assert {task.state for task in tasks} == {"running"}


async def test_a_task_is_watched_once_however_many_wait(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(runner.wait, [await runner.get(task.id)], DAY)
                group.start_soon(runner.get, str(task.kie_id))
        assert task.saved
    assert gate.requests.count("GET /api/v1/veo/record-info") < 10


async def test_a_model_that_is_gone_from_the_catalogue_takes_a_minute(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    known = Task("t_1", "veo_video", "veo3", "video", "veo", {}, 0)
    async with run_runner(tmp_path, sandbox.app, clock, usual_seconds=None) as runner:
        assert (await runner.estimate_duration(known)).seconds == 180
        known.model = "veo2"
        assert (await runner.estimate_duration(known)).seconds == 60


async def test_the_ledger_keeps_a_data_uri_by_its_content(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    whole = "data:image/png;base64," + b64encode(picture()).decode()
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(
            Order("x", model_call("nano_banana_image", images=[whole, "https://files.example/b.png"]))
        )
    sent = sandbox.accepted[0].body["input"]["image_input"]
    mark = sha256(picture()).hexdigest()
    assert task.arguments["images"] == [f"sha256:{mark}", "https://files.example/b.png"]
    assert not sent[0].startswith("data:")


async def test_whoever_asks_hears_how_it_is_now(clock: JumpingClock, tmp_path: Path) -> None:
    """Such a task usually takes three minutes; this one is done long before the first look is due."""
    sandbox = Sandbox(seconds=5, clock=clock.time)
    async with run_runner(tmp_path, sandbox.app, clock, usual_seconds=180) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        await runner.wait([task], 6)
        assert (await runner.get(task.id)).state == "running"
        (task,) = await runner.wait([task], 5)
    assert task.state == "succeeded"
