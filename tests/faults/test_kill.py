"""A server that is killed at any moment loses nothing and pays nothing twice; nor do two servers at once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver import DAY, Call, Driver, choose_moments, driving
from killable_server import HurriedClock
from support.clock import JumpingClock
from support.effort import Effort
from support.kie_server import KieServer, serve_kie
from support.runners import InterceptedKie, model_call, run_runner, run_to_end, saved_files

import kie_mcp.sandbox
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.balance import REFUND_SECONDS
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

SONG = Path(kie_mcp.sandbox.__file__).parent / "media" / "song.mp3"
COST, FILES = 12, 2
"""Of the task that is run here, in credits and in number."""
HURRY = 100
"""At this speed, a remembered balance lasts for six real seconds: a busy machine has sent the create by then."""
LATER = 2 * LEASE_SECONDS + REFUND_SECONDS
"""Seconds after which the lease of a dead server is over, and KIE no longer refunds what has failed."""
PARTS = 2
"""How many tests share the moments, so that they can run beside one another."""
CREATE = "POST /api/v1/generate/upload-cover"
STEPS = {
    "before commit of INSERT INTO tasks",
    "after POST /api/file-stream-upload",
    "after commit of INSERT INTO uploads",
    f"before {CREATE}",
    f"after {CREATE}",
    "before commit of UPDATE tasks SET",
    "after commit of UPDATE tasks SET",
    "after GET /api/v1/generate/record-info",
    "before GET /sandbox/media/…/1.mp3",
    "after a piece of a download",
    "before os.link of part",
}
"""Some of the moments that have to be among those that are tried."""


@pytest.fixture(scope="module")
def served() -> Iterator[KieServer]:
    with serve_kie() as served:
        yield served


@pytest.fixture(scope="module")
def first() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


@pytest.fixture(scope="module")
def second() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


def song(folder: Path) -> Call:
    """Two songs made of a local one."""
    file = folder / "my song 🎵.mp3"
    if not file.exists():
        file.write_bytes(SONG.read_bytes())
    return "suno_cover_song", {"prompt": "a heron at dawn", "audio": str(file)}


async def ask(runner: Runner, folder: Path, clock: JumpingClock) -> Task:
    """Make the call that was made before."""
    tool, arguments = song(folder)
    clock.now += 1
    return await runner.submit(Order(tool, model_call(tool, **arguments)))


async def brought_to_its_end(folder: Path, sandbox: Sandbox, now: float, *, known: bool = False) -> None:
    """Start again where a server was killed, let the agent make the call again, and compare KIE, ledger and files.

    Args:
        folder: Of the server.
        sandbox: What it spoke with.
        now: Its time.
        known: Whether it had written down KIE's id.
    """
    accepted = list(sandbox.accepted)
    gate, clock = InterceptedKie(sandbox.app), JumpingClock()
    # The lease of the dead one is over.
    clock.now = now + 2 * LEASE_SECONDS
    async with run_runner(folder, gate, clock, rules=Rules(repeat_window=DAY)) as runner:
        left = [await run_to_end(runner, task) for task in reversed(await runner.ledger.page(limit=1000))]
        states = [task.state for task in left if task.state != "failed"]
        if known:
            assert states == ["succeeded"]
        assert states in ([["succeeded"], ["unknown"]] if accepted else [[], ["unknown"]])
        assert not any(task.error["billed"] for task in left if task.error and task.state == "failed")
        task = await ask(runner, folder, clock)
        if states:
            assert task.id == left[-1].id
            assert CREATE not in gate.requests
        if task.state == "unknown":
            assert task.error
            assert ("before the call, and 988 credits" in task.error["message"]) == bool(accepted)
            task = await runner.resolve(task.id, accepted[0].id if accepted else NOT_CREATED)
            if not accepted:
                task = await ask(runner, folder, clock)
        task = await run_to_end(runner, task)
        recorded = [each.credits for each in await runner.ledger.page(limit=1000) if each.credits]
    assert gate.requests.count(CREATE) == (not accepted)
    (made,) = sandbox.accepted
    assert (task.state, task.kie_id, task.saved, task.note) == ("succeeded", made.id, True, "")
    assert recorded == [COST] == [1000 - sandbox.balance]
    assert_saved(folder, sandbox, task)


def assert_saved(folder: Path, sandbox: Sandbox, task: Task) -> None:
    """The task's files are in the output folder, byte for byte, and nothing else is."""
    (made,) = sandbox.accepted
    contents = [sandbox._files.render_result(made, name).read_bytes() for name in made.file_names]
    assert [Path(result.path).read_bytes() for result in task.results] == contents
    assert len(contents) == FILES
    assert {str(path) for path in saved_files(folder / "out")} == {result.path for result in task.results}


@pytest.mark.anyio
@pytest.mark.parametrize("part", range(1, PARTS + 1))
async def test_a_server_killed_at_any_kind_of_step_loses_nothing_and_pays_nothing_twice(
    served: KieServer, first: Driver, tmp_path: Path, part: int
) -> None:
    """The first and the last moment of each kind, or with `--thorough` every moment."""
    tmp_path.joinpath("0").mkdir()
    served.restart(seconds=0)
    first.start(tmp_path / "0", served, song(tmp_path / "0"), since=time.time(), speed=HURRY)
    passed = first.told()["passed"]
    assert set(passed) >= STEPS
    # What comes after KIE's answer is the commit of its id.
    known = passed.index(f"after {CREATE}") + 3
    for number in choose_moments(passed)[part - 1 :: PARTS]:
        folder = tmp_path / str(number)
        folder.mkdir()
        sandbox = served.restart(seconds=0)
        since = time.time()
        first.start(folder, served, song(folder), since=since, speed=HURRY, kill_at=number)
        told = first.told()
        # How often it is looked at afterwards depends on how busy the machine is.
        assert number > known or told["moment"] == passed[number - 1]
        await brought_to_its_end(folder, sandbox, HurriedClock(since, HURRY).time(), known=number >= known)


@pytest.mark.anyio
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("database")
async def test_on_postgresql_a_server_killed_at_any_kind_of_step_loses_nothing_and_pays_nothing_twice(
    served: KieServer, first: Driver, tmp_path: Path
) -> None:
    """One moment of each kind, or with `--thorough` every moment."""
    tmp_path.joinpath("0").mkdir()
    served.restart(seconds=0)
    first.start(tmp_path / "0", served, song(tmp_path / "0"), since=time.time(), speed=HURRY)
    passed = first.told()["passed"]
    assert set(passed) >= STEPS
    known = passed.index(f"after {CREATE}") + 3
    kinds = sorted({passed.index(step) + 1 for step in STEPS} | {known})
    for number in range(1, len(passed) + 1) if Effort.is_thorough else kinds:
        folder = tmp_path / str(number)
        folder.mkdir()
        sandbox, since = served.restart(seconds=0), time.time()
        first.start(folder, served, song(folder), since=since, speed=HURRY, kill_at=number)
        first.told()
        await brought_to_its_end(folder, sandbox, HurriedClock(since, HURRY).time(), known=number >= known)


@pytest.mark.anyio
@pytest.mark.parametrize(("stride", "database"), [(3, "sqlite"), (4, "postgresql")], indirect=["database"])
@pytest.mark.usefixtures("database")
async def test_a_server_killed_again_whenever_it_is_a_little_further_gets_there(
    served: KieServer, first: Driver, tmp_path: Path, stride: int
) -> None:
    """Each one takes up what is left, and its agent makes the same call."""
    sandbox, since = served.restart(seconds=0), time.time()
    lives = 0
    ended = ""
    # A call that was written down and no more fails, and is made again.
    while ended in ("", "failed"):
        lives += 1
        how = {"since": since, "speed": HURRY, "ahead": lives * LATER, "kill_at": lives * stride}
        first.start(tmp_path, served, song(tmp_path), **how)
        ((_, ended),) = first.told().get("tasks", [("", "")])
    assert lives > 3
    await brought_to_its_end(tmp_path, sandbox, HurriedClock(since, HURRY, lives * LATER).time())


def test_two_servers_asked_for_the_same_at_once_ask_kie_once(
    served: KieServer, first: Driver, second: Driver, tmp_path: Path
) -> None:
    for number in range(3):
        folder, sandbox = tmp_path / str(number), served.restart(seconds=0)
        folder.mkdir()
        how = {"since": time.time(), "speed": 4}
        picture = ("nano_banana_image", {"prompt": "a heron at dawn"})
        for each in (first, second):
            each.start(folder, served, picture, **how)
        one, other = first.told()["tasks"], second.told()["tasks"]
        assert one == other
        ((id_, state),) = one
        assert state == "succeeded"
        (made,) = sandbox.accepted
        (saved,) = saved_files(folder / "out")
        assert id_ in saved.name
        assert saved.read_bytes() == sandbox._files.render_result(made, "1.jpeg").read_bytes()


def test_two_servers_keep_to_kies_limit_of_creates_together(
    served: KieServer, first: Driver, second: Driver, tmp_path: Path
) -> None:
    # Faster, a machine with much else to do lets a lease end.
    since, speed = time.time(), 2
    clock = HurriedClock(since, speed)
    sandbox = served.restart(seconds=0, clock=clock.time)
    calls = [("nano_banana_image", {"prompt": f"heron {number}"}) for number in range(24)]
    first.start(tmp_path, served, *calls[:12], since=since, speed=speed, wait=0)
    second.start(tmp_path, served, *calls[12:], since=since, speed=speed, wait=0)
    tasks = first.told()["tasks"] + second.told()["tasks"]
    assert len({id_ for id_, _ in tasks}) == len(sandbox.accepted) == 24
    # None was refused: each was sent once.
    assert served.request_counts["POST /api/v1/jobs/createTask"] == 24
