from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
import stamina
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from support.clock import JumpingClock, let_others_run, pass_time_until
from support.ledgers import open_ledger
from support.runners import (
    NO_REPEATS,
    InterceptedKie,
    model_call,
    refuse_ledger_writes,
    run_runner,
    run_to_end,
    saved_files,
    task_rows,
)
from support.servers import BACKLOG

from kie_mcp.errors import ApiError, InsufficientCredits, KieMcpError
from kie_mcp.kie.advice import SANDBOX
from kie_mcp.kie.rate_limit import CREATE_LIMIT
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.task import KEPT_FOR, State, Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.listener import open_port
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def reads_are_not_repeated() -> Iterator[None]:
    """The client's own retries wait by the real clock."""
    with stamina.set_testing(True):
        yield


async def test_a_caller_who_hangs_up_does_not_lose_the_task(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    asked, goes_on = anyio.Event(), anyio.Event()

    async def hold(_: str) -> None:
        asked.set()
        await goes_on.wait()

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, post=hold), clock) as runner:
        async with anyio.create_task_group() as caller:
            caller.start_soon(runner.submit, Order("veo_video", model_call("veo_video")))
            await asked.wait()
            caller.cancel_scope.cancel()
        assert not sandbox.accepted
        ((id_, *_),) = task_rows(tmp_path)
        task = await runner.get(id_)
        goes_on.set()
        assert await run_to_end(runner, task) == task
        assert task.state == "succeeded"
    assert len(sandbox.accepted) == 1


@pytest.mark.parametrize(("answers", "state"), [(True, "running"), (False, "submitting")])
async def test_whoever_asks_while_kie_is_being_asked_hears_what_it_says(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, *, answers: bool, state: str
) -> None:
    asked, goes_on = anyio.Event(), anyio.Event()

    async def hold(_: str) -> None:
        asked.set()
        await goes_on.wait()

    seen: list[str] = []

    async def ask(runner: Runner) -> None:
        task = await runner.get(task_rows(tmp_path)[0][0])
        seen.append(task.state)
        goes_on.set()

    gate = InterceptedKie(sandbox.app, post=hold)
    async with run_runner(tmp_path, gate, clock) as runner, anyio.create_task_group() as callers:
        callers.start_soon(runner.submit, Order("veo_video", model_call("veo_video")))
        await asked.wait()
        callers.start_soon(ask, runner)
        if answers:
            goes_on.set()
    assert seen == [state]


@pytest.mark.parametrize(("method", "state"), [("post", "unknown"), ("get", "running")])
async def test_a_mistake_with_one_task_does_not_touch_the_others(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, method: str, state: str
) -> None:
    """The built-in KIE runs in this process: what it raises arrives here as it is."""

    async def stumble(path: str) -> None:
        if "/runway/" in path and len(sandbox.accepted) < 2 + (method == "get"):
            raise ZeroDivisionError

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, **{method: stumble}), clock) as runner:
        good = await runner.submit(Order("veo_video", model_call("veo_video")))
        if method == "post":
            with pytest.raises(KieMcpError, match="Something went wrong inside kie-mcp with task t_") as caught:
                await runner.submit(Order("runway_video", model_call("runway_video")))
            assert caught.value.billed is None
        else:
            await run_to_end(runner, await runner.submit(Order("runway_video", model_call("runway_video"))))
        assert (await run_to_end(runner, good)).state == "succeeded"
    assert {row[1] for row in task_rows(tmp_path)} == {state, "succeeded"}


async def test_kie_is_not_asked_when_the_row_cannot_be_written(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        with (
            refuse_ledger_writes(tmp_path),
            pytest.raises(KieMcpError, match=r"cannot be written \(.+\), so KIE was not asked") as caught,
        ):
            await runner.submit(Order("veo_video", model_call("veo_video")))
        assert caught.value.billed is False
        assert not sandbox.accepted
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
    assert task.state == "succeeded"


@pytest.mark.parametrize("how", ["", "code:402"])
async def test_what_kie_answered_is_told_even_when_it_cannot_be_written(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, how: str
) -> None:
    refusal = refuse_ledger_writes(tmp_path)

    async def refuse(path: str) -> None:
        if path.endswith("generate"):
            refusal.__enter__()

    if how:
        sandbox.inject_fault("create", how)
    async with run_runner(tmp_path, InterceptedKie(sandbox.app, post=refuse), clock) as runner:
        try:
            with pytest.raises(KieMcpError) as caught:
                await runner.submit(Order("veo_video", model_call("veo_video")))
        finally:
            refusal.__exit__(None, None, None)
        if how:
            assert isinstance(caught.value, InsufficientCredits)
            return
        assert caught.value.billed is True
        assert sandbox.accepted[0].id in caught.value.message
        assert "Do not repeat the call" in caught.value.next_step
        # It is watched all the same.
        ((id_, *_),) = task_rows(tmp_path)
        assert (await run_to_end(runner, await runner.get(id_))).state == "succeeded"


async def test_an_end_that_cannot_be_written_is_read_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
        with refuse_ledger_writes(tmp_path):
            assert (await run_to_end(runner, task)).state == "running"
        assert (await runner.get(task.id)).state == "succeeded"
        # The row is written at the next attempt.
        await pass_time_until(lambda: task_rows(tmp_path)[0][1] == "succeeded", clock)


async def test_a_task_goes_on_after_a_restart(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_video", model_call("veo_video")))
    assert [row[1] for row in task_rows(tmp_path)] == ["running"]
    clock.now += KEPT_FOR / 2
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        found = await run_to_end(runner, task)
    assert (found.state, found.saved) == ("succeeded", True)
    # Old as it is, it is asked after at once.
    assert clock.now - task.created < KEPT_FOR / 2 + 10
    assert len(sandbox.accepted) == 1


async def test_two_servers_on_one_ledger_save_a_task_once(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as one:
        task = await one.submit(Order("suno_music", model_call("suno_music")))
        async with run_runner(tmp_path, sandbox.app, clock) as two:
            assert task.id not in two._watchers
            (found,) = await two.wait([task], 600)
            assert task.id not in two._watchers
    assert (found.state, found.saved) == ("succeeded", True)
    assert found.results == task.results
    assert len(saved_files(tmp_path / "out")) == 2


async def test_a_create_that_the_process_did_not_survive_is_unknown_at_the_next_start(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    asked = anyio.Event()

    async def hold(_: str) -> None:
        asked.set()
        await anyio.sleep_forever()

    async with (
        run_runner(tmp_path, InterceptedKie(sandbox.app, post=hold), clock) as runner,
        anyio.create_task_group() as caller,
    ):
        caller.start_soon(runner.submit, Order("veo_video", model_call("veo_video")))
        await asked.wait()
        caller.cancel_scope.cancel()
    ((id_, state, *_),) = task_rows(tmp_path)
    assert state == "submitting"
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.get(id_))
    assert task.state == "unknown"
    assert task.error
    assert task.error["next_step"] == SANDBOX.check_task
    assert not sandbox.accepted


async def test_the_id_is_kept_when_the_server_ends_as_kie_answers(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    ends: list[anyio.CancelScope] = []

    async def answer_and_end(scope: Scope, receive: Receive, send: Send) -> None:
        await sandbox.app(scope, receive, send)
        if scope["method"] == "POST":
            ends[0].cancel()

    async with run_runner(tmp_path, answer_and_end, clock) as runner:
        ends.append(runner._background._group.cancel_scope)
        await runner.submit(Order("veo_video", model_call("veo_video")))
    assert [row[1:3] for row in task_rows(tmp_path)] == [("running", sandbox.accepted[0].id)]


async def test_what_waits_for_its_turn_when_the_server_ends_was_not_sent_and_is_not_unknown(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    ends: list[anyio.CancelScope] = []

    async def answer_and_end(scope: Scope, receive: Receive, send: Send) -> None:
        await sandbox.app(scope, receive, send)
        if len(sandbox.accepted) == CREATE_LIMIT[0]:
            ends[0].cancel()

    async def ask(runner: Runner, number: int) -> None:
        await runner.submit(Order("x", model_call("nano_banana_image", prompt=f"heron {number}")))

    # No time passes, so nobody's turn comes.
    with JumpingClock.hold():
        async with run_runner(tmp_path, answer_and_end, clock) as runner, anyio.create_task_group() as callers:
            ends.append(runner._background._group.cancel_scope)
            for number in range(CREATE_LIMIT[0] + 5):
                callers.start_soon(ask, runner, number)
    left = Counter(
        "prepared" if state == "prepared" else kie_id and "sent" for _, state, kie_id, _ in task_rows(tmp_path)
    )
    assert left == {"sent": CREATE_LIMIT[0], "prepared": 5}
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        for task in await runner.ledger.page(since=0):
            await run_to_end(runner, task)
        failed = await runner.ledger.page(states=["failed"])
    assert [task.error and task.error["billed"] for task in failed] == [False] * 5
    assert len(sandbox.accepted) == CREATE_LIMIT[0]


@pytest.mark.parametrize("rules", [NO_REPEATS, Rules()], ids=["each call is new", "a call again is the same"])
async def test_a_call_that_comes_while_the_server_ends_leaves_nothing_and_does_not_keep_it(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, rules: Rules
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=rules) as runner:
        group = runner._background._group
        goes_on = anyio.Event()

        async def end_slowly() -> None:
            with anyio.CancelScope(shield=True):
                await goes_on.wait()

        async def call() -> None:
            # A request over HTTP does not belong to the runner's group, so it is not cancelled with it.
            with anyio.CancelScope(shield=True):
                await let_others_run()
                for _ in range(2):
                    with pytest.raises(KieMcpError, match="before KIE was asked"):
                        await runner.submit(Order("veo_video", model_call("veo_video")))
                with pytest.raises(ApiError, match="broken off"):
                    await runner.get("5f0c5f0c")
                goes_on.set()

        group.start_soon(end_slowly)
        async with anyio.create_task_group() as requests:
            requests.start_soon(call)
            await let_others_run()
            group.cancel_scope.cancel()
    assert sandbox.accepted == []
    assert task_rows(tmp_path) == []


async def test_a_server_that_ends_waits_for_a_create_that_gets_its_turn_meanwhile(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    first, last, settled = anyio.Event(), anyio.Event(), anyio.Event()
    asked = 0

    async def hold(_: str) -> None:
        nonlocal asked
        asked += 1
        await (first if asked <= CREATE_LIMIT[0] else last).wait()

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, post=hold), clock) as runner:
        call = model_call("nano_banana_image")
        orders = [Order("nano_banana_image", call) for _ in range(CREATE_LIMIT[0] + 1)]
        tasks = [await runner.submit(each, seconds=0.01) for each in orders]
        runner._background.end()

        async def settle() -> None:
            await runner.settle_creates()
            settled.set()

        async with anyio.create_task_group() as group:
            group.start_soon(settle)
            await clock.sleep(CREATE_LIMIT[1] + 1)
            first.set()
            await clock.sleep(1)
            assert not settled.is_set()
            last.set()
        assert all(task.kie_id for task in tasks)


async def test_a_create_is_left_to_its_server_while_that_is_alive(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    ledger = await open_ledger(tmp_path / "data")
    await ledger.leases.renew("s_other", clock.now)
    states: tuple[tuple[str, State], ...] = (("t_sent", "submitting"), ("t_not_sent", "prepared"))
    for id_, state in states:
        task = Task(id_, "veo_video", "veo3", "video", "veo", {}, clock.now, session="s_other")
        await ledger.add(replace(task, state=state))
    await ledger.close()
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        clock.now += LEASE_SECONDS - 1
        assert (await runner.get("t_sent")).state == "submitting"
        clock.now += 2
        lost = await run_to_end(runner, await runner.get("t_sent"))
        not_sent = await run_to_end(runner, await runner.get("t_not_sent"))
    assert (lost.state, not_sent.state) == ("unknown", "failed")
    assert not_sent.error
    assert (not_sent.error["billed"], not_sent.error["retryable"]) == (False, True)


@pytest.mark.parametrize("restart", [False, True])
async def test_files_that_cannot_be_saved_are_tried_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, *, restart: bool
) -> None:
    (tmp_path / "out").write_text("in the way")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("suno_music", model_call("suno_music"))))
        assert (task.state, task.saved) == ("succeeded", False)
        assert task.note == "Not saved: File exists. It is tried again; the links stay good for 14 days."
        assert [bool(result.url) for result in task.results] == [True, True]
        (tmp_path / "out").unlink()
        if not restart:
            await run_to_end(runner, await runner.get(task.id))
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, task)
    assert (task.saved, task.note) == (True, "")
    assert sorted(result.path for result in task.results) == list(map(str, saved_files(tmp_path / "out")))


async def test_only_the_file_that_failed_is_fetched_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    gate = InterceptedKie(sandbox.app)
    # The link, and the one that KIE gives in its place.
    sandbox.inject_fault("media", 404, 2)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("suno_music", model_call("suno_music"))))
        assert task.note.startswith("Not saved: Client error '404 Not Found' for url 'https://")
        assert "/1.mp3?" in task.note
        assert task.note.endswith("'. It is tried again; the links stay good for 14 days.")
        assert [bool(result.path) for result in task.results] == [False, True]
        task = await run_to_end(runner, await runner.get(task.id))
    assert task.saved
    assert [Path(result.path).suffix for result in task.results] == [".mp3", ".mp3"]
    assert [asked[-6:] for asked in gate.requests if "/media/" in asked] == ["/1.mp3", "/1.mp3", "/2.mp3", "/1.mp3"]


async def test_a_link_that_has_died_is_asked_for_again(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("media", 403)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
    assert (task.saved, task.note) == (True, "")
    assert gate.requests[-2:] == ["POST /api/v1/common/download-url", f"GET /sandbox/media/{task.kie_id}/1.mp4"]


async def test_files_that_were_not_saved_while_kie_had_them_are_gone(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("media", 404, 4)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
        assert not task.saved
        clock.now += KEPT_FOR
        task = await run_to_end(runner, await runner.get(task.id))
        assert task.state == "expired"
        assert task.error
        assert "not saved while KIE had them" in task.error["message"]
        assert task.error["billed"] is True
        asked = len(gate.requests)
        await run_to_end(runner, await runner.get(task.id))
    assert len(gate.requests) == asked


def saved(folder: Path) -> bytes:
    """The content of the only file in the output folder."""
    (path,) = saved_files(folder / "out")
    return path.read_bytes()


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The app on a port of this machine."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    with open_port("127.0.0.1", 0, BACKLOG) as listening:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listening])
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = True


async def test_a_file_that_breaks_off_is_gone_on_with(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    sandbox.inject_fault("media", "cut", 2)
    async with served(sandbox.app) as url, run_runner(tmp_path, sandbox.app, clock, url=url) as runner:
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
    assert (task.state, task.saved) == ("succeeded", True)
    assert saved(tmp_path) == sandbox._files.render_result(sandbox.accepted[0], "1.mp4").read_bytes()


async def test_with_saving_off_the_links_are_all_there_is(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
        notes = await run_to_end(
            runner, await runner.submit(Order("suno_midi", model_call("suno_midi", prompt=None, task_id="5f0c")))
        )
    assert (task.state, task.saved, task.note) == ("succeeded", True, "")
    assert [(bool(result.url), result.path) for result in task.results] == [(True, "")]
    assert notes.texts[0].startswith("[{")
    assert not (tmp_path / "out").exists()


async def test_notes_become_a_file_as_soon_as_one_can_be_written(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("in the way")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(
            runner, await runner.submit(Order("suno_midi", model_call("suno_midi", prompt=None, task_id="5f0c")))
        )
        assert (task.state, task.saved, len(task.texts)) == ("succeeded", False, 1)
        (tmp_path / "out").unlink()
        task = await run_to_end(runner, await runner.get(task.id))
    assert (task.saved, task.texts, [result.mime_type for result in task.results]) == (True, [], ["audio/midi"])
    assert saved(tmp_path).startswith(b"MThd")


async def test_notes_that_are_none_stay_text(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async def misspelled(scope: Scope, receive: Receive, send: Send) -> None:
        async def change(message: Message) -> None:
            if "body" in message:
                message["body"] = message["body"].replace(b"pitch", b"patch")
            await send(message)

        await sandbox.app(scope, receive, change)

    async with run_runner(tmp_path, misspelled, clock) as runner:
        task = await run_to_end(
            runner, await runner.submit(Order("suno_midi", model_call("suno_midi", prompt=None, task_id="5f0c")))
        )
    assert (task.state, task.saved, task.results) == ("succeeded", True, [])
    assert "patch" in task.texts[0]


async def test_notes_that_come_as_a_file_are_downloaded(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, service=True) as runner:
        task = await run_to_end(
            runner, await runner.submit(Order("suno_midi", model_call("suno_midi", prompt=None, task_id="5f0c")))
        )
    assert (task.route, task.saved, task.texts) == ("service:suno/midi", True, [])
    assert [Path(result.path).suffix for result in task.results] == [".json"]
    assert b'"pitch"' in saved(tmp_path)
