"""The machine's clock: set forward or back while a task is under way."""

from pathlib import Path

import anyio
import pytest
from reconciliation import Compare, order, settle
from starlette.responses import Response
from support.clock import WallClock
from support.runners import InterceptedKie, run_runner, run_to_end

from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.faults import build_no_record
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

HOUR, DAY = 3600.0, 24 * 3600.0
CROWD = 22
"""Tasks that are created at once: more than KIE accepts before one has to wait."""


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def sandbox(clock: WallClock) -> Sandbox:
    """KIE has a clock of its own."""
    return Sandbox(seconds=4, clock=clock.monotonic)


JUMPS = {"an hour forward": HOUR, "an hour back": -HOUR, "a day forward": DAY, "a day back": -DAY}
jumps = pytest.mark.parametrize("jump", JUMPS)


@jumps
@pytest.mark.parametrize(
    ("moment", "path"),
    [("during the create", JOBS.create), ("while it runs", JOBS.status), ("while it is saved", MEDIA_PATH)],
)
async def test_a_task_goes_on_as_if_nothing_had_happened(
    sandbox: Sandbox, clock: WallClock, tmp_path: Path, compare: Compare, jump: str, moment: str, path: str
) -> None:
    async def turn(asked: str) -> None:
        if asked.startswith(path):
            clock.ahead = JUMPS[jump]

    gate, begun = InterceptedKie(sandbox.app, get=turn, post=turn), clock.now
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        task = await runner.submit(order())
        (task,) = await runner.wait([task], 60)
        assert (task.state, task.saved) == ("succeeded", True)
        assert clock.now - begun < 15
        if JUMPS[jump] < 0:
            # The same call again is the same task, though it was made in the future.
            assert (await runner.submit(order())).id == task.id
    compare(sandbox, f"clock set {jump}", moment, accepted=1, charged=4, recorded="1 succeeded", saved=1)


@jumps
async def test_a_new_task_has_its_grace_by_the_seconds_that_pass(
    sandbox: Sandbox, clock: WallClock, tmp_path: Path, compare: Compare, jump: str
) -> None:
    begun = clock.now

    async def not_yet(path: str) -> Response | None:
        if path != JOBS.status or clock.now > begun + 60:
            return None
        clock.ahead = JUMPS[jump]
        return build_no_record()

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=not_yet), clock, rules=Rules()) as runner:
        await runner.wait([await runner.submit(order())], 120)
    compare(
        sandbox,
        f"clock set {jump}",
        "while KIE does not know it yet",
        accepted=1,
        charged=4,
        recorded="1 succeeded",
        saved=1,
    )


@jumps
async def test_a_success_has_time_to_name_its_result(
    sandbox: Sandbox, clock: WallClock, tmp_path: Path, compare: Compare, jump: str
) -> None:
    sandbox.inject_fault("create", "no-urls")
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        task = await runner.submit(order())
        await runner.wait([task], 10)
        clock.ahead = JUMPS[jump]
        await runner.wait([task], 20)
        sandbox.accepted[0].fault = ""
        # Whoever asks has it looked at, whatever the time is said to be.
        await runner.get(task.id)
        await runner.wait([task], 10)
    compare(
        sandbox,
        f"clock set {jump}",
        "while a success names no result",
        accepted=1,
        charged=4,
        recorded="1 succeeded",
        saved=1,
    )


@jumps
async def test_two_processes_go_on_sharing_their_tasks(
    sandbox: Sandbox, clock: WallClock, tmp_path: Path, compare: Compare, jump: str
) -> None:
    async with (
        run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as one,
        run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as two,
    ):
        ours = [await (one, two)[number % 2].submit(order(f"heron {number}")) for number in range(4)]
        clock.ahead = JUMPS[jump]
        for runner in (two, one):
            await runner.wait([await runner.get(task.id) for task in ours], 60)
        await settle(clock, tmp_path)
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as later:
        clock.now += LEASE_SECONDS
        # With a clock that was set forward, each process may take the other's tasks over while they are saved.
        assert {each.state for each in await later.wait([await later.get(task.id) for task in ours], 60)} == {
            "succeeded"
        }
    compare(sandbox, f"clock set {jump}", "two processes", accepted=4, charged=16, recorded="4 succeeded", saved=4)


@jumps
async def test_the_turns_to_create_are_not_held_up(
    sandbox: Sandbox, clock: WallClock, tmp_path: Path, compare: Compare, jump: str
) -> None:
    begun = clock.now

    async def ask(runner: Runner, number: int) -> None:
        await runner.submit(order(f"heron {number}"))
        if number == 10:
            clock.ahead = JUMPS[jump]

    async with run_runner(tmp_path, InterceptedKie(sandbox.app), clock, rules=Rules()) as runner:
        async with anyio.create_task_group() as callers:
            for number in range(CROWD):
                callers.start_soon(ask, runner, number)
        assert clock.now - begun < 60
        await settle(clock, tmp_path)
    compare(
        sandbox,
        f"clock set {jump}",
        f"{CROWD} creates at once",
        accepted=CROWD,
        charged=4 * CROWD,
        recorded=f"{CROWD} succeeded",
        saved=CROWD,
    )


async def test_a_balance_from_before_the_clock_was_set_back_and_forward_does_not_count(
    sandbox: Sandbox, clock: WallClock, tmp_path: Path
) -> None:
    """Otherwise the picture of the other process would be charged to this song too."""
    async with run_runner(tmp_path, sandbox.app, clock) as one, run_runner(tmp_path, sandbox.app, clock) as two:
        before = await one.balance.read()
        clock.ahead = -DAY
        (picture,) = await two.wait([await two.submit(order())], 60)
        clock.ahead = 0
        assert sandbox.balance == before - 4
        song = await run_to_end(one, await one.submit(order(tool="suno_music")))
        assert (picture.state, song.state) == ("succeeded", "succeeded")
        assert song.credits == before - 4 - sandbox.balance


async def test_a_balance_that_was_read_while_a_task_ran_does_not_count(
    sandbox: Sandbox, clock: WallClock, tmp_path: Path
) -> None:
    """That task may end at a time before the reading, if the clock is set back meanwhile."""
    async with run_runner(tmp_path, sandbox.app, clock) as one, run_runner(tmp_path, sandbox.app, clock) as two:
        first = await two.submit(order(tool="suno_music"))
        await one.balance.read()
        clock.ahead = -HOUR
        assert (await run_to_end(two, first)).state == "succeeded"
        clock.ahead = 0
        sandbox._credits += 100
        before = sandbox.balance
        song = await run_to_end(one, await one.submit(order("another heron", tool="suno_music")))
        assert song.credits in (None, before - sandbox.balance)
