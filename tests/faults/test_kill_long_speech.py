"""A server that is killed at any moment of a long speech loses no part of it and pays none twice."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from driver import DAY, Call, Driver, choose_moments, driving
from killable_server import HurriedClock
from support.clock import JumpingClock
from support.kie_server import KieServer, serve_kie
from support.runners import InterceptedKie, model_call, run_runner, run_to_end, saved_files

from kie_mcp.catalog.sentences import split_text
from kie_mcp.catalog.vendors.elevenlabs import LONGEST_TEXT
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import Task
from kie_mcp.media.joining import join_sounds
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

TEXT = " ".join(f"Sentence {number} is one of many in this story." for number in range(190))
"""About 8,700 characters, which KIE takes in two parts."""
TEXTS = split_text(TEXT, LONGEST_TEXT)
SPEECH: Call = ("elevenlabs_speech", {"prompt": TEXT})
CREATE = "POST /api/v1/jobs/createTask"
HURRY = 100
SHARES = 2
"""How many tests share the moments, so that they can run beside one another."""


@pytest.fixture(scope="module")
def served() -> Iterator[KieServer]:
    with serve_kie() as served:
        yield served


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


async def ask(runner: Runner, clock: JumpingClock) -> Task:
    """Make the call that was made before."""
    tool, arguments = SPEECH
    clock.now += 1
    return await runner.submit(Order(tool, model_call(tool, **arguments)))


async def settle_unknown(runner: Runner, sandbox: Sandbox) -> None:
    """Do what a person does: look in KIE's log for the part whose outcome is unknown, and tell it."""
    for row in await runner.ledger.database.select(sa.select(tasks.c.id).where(tasks.c.state == "unknown")):
        part = await runner.get(row["id"])
        made = [task.id for task in sandbox.accepted if task.arguments["prompt"] == part.arguments["prompt"]]
        await run_to_end(runner, await runner.resolve(part.id, made[0] if made else NOT_CREATED))


async def brought_to_its_end(folder: Path, sandbox: Sandbox, now: float) -> None:
    """Start again where a server was killed, let the agent make the call again, and compare KIE, ledger and files."""
    gate, clock = InterceptedKie(sandbox.app), JumpingClock()
    # The lease of the dead one is over.
    clock.now = now + 2 * LEASE_SECONDS
    before = len(sandbox.accepted)
    async with run_runner(folder, gate, clock, rules=Rules(repeat_window=DAY)) as runner:
        left = [await run_to_end(runner, task) for task in reversed(await runner.ledger.page(limit=1000))]
        assert {task.state for task in left} <= {"succeeded", "failed"}
        if len(left) == 1 and before:
            # Whatever was begun is continued without a call, unless a create was cut off in the middle.
            assert left[0].state == "succeeded" or "resolve_task" in (left[0].error or {})["next_step"]
        task = await run_to_end(runner, await ask(runner, clock))
        if task.state != "succeeded":
            await settle_unknown(runner, sandbox)
            task = await run_to_end(runner, await ask(runner, clock))
        listed = [*reversed(await runner.ledger.page(limit=1000))]
    texts = [made.arguments["prompt"] for made in sandbox.accepted]
    assert sorted(texts) == sorted(TEXTS)
    assert len(texts) == before + gate.requests.count(CREATE)
    assert (task.state, task.saved, task.note) == ("succeeded", True, "")
    assert sum(each.credits or 0 for each in listed) == pytest.approx(1000 - sandbox.balance)
    await assert_saved(folder, sandbox, task)


async def assert_saved(folder: Path, sandbox: Sandbox, task: Task) -> None:
    """The output folder has the file of the parent task, which is its parts joined in order, and that of each part."""
    made = sorted(sandbox.accepted, key=lambda each: TEXTS.index(each.arguments["prompt"]))
    copies = []
    for number, each in enumerate(made):
        copies.append(folder / f"{number}.mp3")
        copies[-1].write_bytes(sandbox._files.render_result(each, "1.mp3").read_bytes())
    with (folder / "joined.mp3").open("w+b") as joined:
        assert await join_sounds(copies, joined) == "audio/mpeg"
        joined.seek(0)
        whole = joined.read()
    contents = {str(file): file.read_bytes() for file in saved_files(folder / "out")}
    (result,) = task.results
    assert contents.pop(result.path) == whole
    assert sorted(contents.values()) == sorted(each.read_bytes() for each in copies)


@pytest.mark.anyio
@pytest.mark.parametrize("share", range(1, SHARES + 1))
async def test_a_server_killed_at_any_kind_of_step_of_a_long_speech_pays_no_part_twice(
    served: KieServer, driver: Driver, tmp_path: Path, share: int
) -> None:
    """The last moment of each kind, and the first around a commit or a request, or with `--thorough` every moment."""
    tmp_path.joinpath("0").mkdir()
    served.restart(seconds=0)
    driver.start(tmp_path / "0", served, SPEECH, since=time.time(), speed=HURRY)
    passed = driver.told()["passed"]
    assert passed.count(f"before {CREATE}") == len(TEXTS)
    for number in choose_moments(passed, twice="commit|POST")[share - 1 :: SHARES]:
        folder = tmp_path / str(number)
        folder.mkdir()
        sandbox, since = served.restart(seconds=0), time.time()
        driver.start(folder, served, SPEECH, since=since, speed=HURRY, kill_at=number)
        driver.told()
        await brought_to_its_end(folder, sandbox, HurriedClock(since, HURRY).time())


@pytest.mark.anyio
@pytest.mark.parametrize(("stride", "database"), [(4, "sqlite"), (7, "postgresql")], indirect=["database"])
@pytest.mark.usefixtures("database")
async def test_a_server_killed_again_and_again_in_a_long_speech_gets_there(
    served: KieServer, driver: Driver, tmp_path: Path, stride: int
) -> None:
    """Each one takes up what is left, and its agent makes the same call."""
    sandbox, since = served.restart(seconds=0), time.time()
    lives = 0
    for lives in range(1, 9):
        ahead = lives * 2 * LEASE_SECONDS
        driver.start(tmp_path, served, SPEECH, since=since, speed=HURRY, ahead=ahead, kill_at=lives * stride)
        driver.told()
    await brought_to_its_end(tmp_path, sandbox, HurriedClock(since, HURRY, lives * 2 * LEASE_SECONDS).time())
