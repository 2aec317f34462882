"""The media: the link is dead, the file is cut, the folder takes none."""

from pathlib import Path

import pytest
from reconciliation import Compare, order, settle
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock
from support.runners import InterceptedKie, run_runner, run_to_end, saved_files

from kie_mcp.errors import InvalidCall
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger.task import KEPT_FOR
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import Rules

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("code", [403, 404, 410])
async def test_a_dead_link_is_exchanged_for_a_fresh_one(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, code: int
) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("media", code)
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.submit(order()))
    assert (task.saved, task.note) == (True, "")
    assert gate.requests.count(f"POST {DOCUMENTED.download_url}") == 1
    compare(sandbox, f"media {code}", "once", accepted=1, charged=4, recorded="1 succeeded", saved=1)


async def test_files_that_stay_gone_are_given_up_with_kies_own_term(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("media", 404, 10_000)
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.submit(order()))
        clock.now += KEPT_FOR - 3600
        task = await run_to_end(runner, await runner.get(task.id))
        assert (task.state, task.saved) == ("succeeded", False)
        assert "14 days" in task.note
        clock.now += 3600
        task = await run_to_end(runner, await runner.get(task.id))
        assert task.error
        assert task.error["billed"] is True
        asked = len(gate.requests)
        await runner.get(task.id)
    assert len(gate.requests) == asked
    compare(sandbox, "media 404", "for ever", accepted=1, charged=4, recorded="1 expired", saved=0)


@pytest.mark.parametrize(("fault", "how"), [("media 500", "500"), ("media, connection reset", "reset-before")])
@pytest.mark.parametrize("restart", [False, True])
async def test_a_download_that_fails_is_tried_again_without_touching_the_task(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, fault: str, how: str, *, restart: bool
) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("media", how, 2)
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.submit(order()))
        assert (task.state, task.saved) == ("succeeded", False)
        if not restart:
            await settle(clock, tmp_path)
    async with run_runner(tmp_path, gate, clock, rules=Rules()):
        await settle(clock, tmp_path)
    assert sum("/jobs/createTask" in asked for asked in gate.requests) == 1
    moment = "two in a row; started anew" if restart else "two in a row"
    compare(sandbox, fault, moment, accepted=1, charged=4, recorded="1 succeeded", saved=1)


async def test_a_file_that_is_cut_is_gone_on_with(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    ranges: list[bytes] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        if "/media/" in scope["path"]:
            ranges.append(dict(scope["headers"]).get(b"range", b""))
        await sandbox.app(scope, receive, send)

    sandbox.inject_fault("media", "cut", 3)
    async with run_runner(tmp_path, note, clock, rules=Rules()) as runner:
        await run_to_end(runner, await runner.submit(order()))
    length = len(sandbox._files.render_result(sandbox.accepted[0], "1.jpeg").read_bytes())
    have = [0, length // 2]
    have.append(have[-1] + (length - have[-1]) // 2)
    have.append(have[-1] + (length - have[-1]) // 2)
    assert ranges == [b"", *(b"bytes=%d-" % begun for begun in have[1:])]
    compare(sandbox, "media cut in the middle", "three times", accepted=1, charged=4, recorded="1 succeeded", saved=1)


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("media: a web page, HTTP 200", "garbage"),
        ("media: AccessDenied as XML, HTTP 200", "xml"),
        ("media: an error as JSON, HTTP 200", "null-record"),
        ("media: nothing, HTTP 200", "empty"),
        ("media: half of the file, as if it were all", "truncated"),
    ],
)
@pytest.mark.parametrize(("times", "restart"), [(1, False), (5, False), (5, True)])
async def test_what_is_no_whole_file_is_not_saved_and_fetched_again(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    compare: Compare,
    fault: str,
    how: str,
    times: int,
    *,
    restart: bool,
) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("media", how, times)
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.submit(order()))
        # A fresh link is asked for at once, which is enough when it happens once.
        assert (task.state, task.saved) == ("succeeded", times == 1)
        assert gate.requests.count(f"POST {DOCUMENTED.download_url}") == 1
        if times > 1:
            assert "Not saved: " in task.note
            assert not saved_files(tmp_path / "out")
            with pytest.raises(InvalidCall, match="no whole file"):
                await runner.submit(order("as a drawing", images=[f"task:{task.id}#1"]))
        if not restart:
            await settle(clock, tmp_path)
    async with run_runner(tmp_path, gate, clock, rules=Rules()):
        await settle(clock, tmp_path)
    moment = "once" if times == 1 else "five in a row; started anew" if restart else "five in a row"
    compare(sandbox, fault, moment, accepted=1, charged=4, recorded="1 succeeded", saved=1)


@pytest.mark.parametrize("restart", [False, True])
async def test_what_the_folder_does_not_take_is_saved_when_it_does(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, *, restart: bool
) -> None:
    """Whoever runs the tests may write anywhere; not even they can make a folder where a file is."""
    (tmp_path / "out").write_text("in the way")
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.submit(order()))
        assert (task.state, task.saved) == ("succeeded", False)
        assert task.note.startswith("Not saved: ")
        # Another call is as welcome as before.
        await run_to_end(runner, await runner.submit(order("another")))
        (tmp_path / "out").unlink()
        if not restart:
            await settle(clock, tmp_path)
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()):
        await settle(clock, tmp_path)
    compare(
        sandbox,
        "output folder takes no files",
        "saving; started anew" if restart else "saving",
        accepted=2,
        charged=8,
        recorded="2 succeeded",
        saved=2,
    )
