"""The remembered balance: it counts only while nothing in the ledger can have changed it."""

from pathlib import Path

import anyio
import pytest
from starlette.responses import Response
from support.clock import JumpingClock, wait_until
from support.fake_kie import envelope
from support.runners import InterceptedKie, model_call, run_runner, run_to_end

from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.balance import FRESH_SECONDS, RECENT_SECONDS, REFUND_SECONDS
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

SONG = 12
"""Credits of a song; KIE's record of it does not tell them."""


async def sing(runner: Runner) -> Task:
    """Make a song, which KIE charges for when it accepts it."""
    return await run_to_end(runner, await runner.submit(Order("suno_music", model_call("suno_music"))))


async def test_a_remembered_balance_spares_a_request_in_front_of_the_create(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def note(path: str) -> None:
        asked.append(path)

    kie = InterceptedKie(sandbox.app, get=note, post=note)
    async with run_runner(tmp_path, kie, clock) as runner:
        # The read at the start, which goes on beside this, is over.
        await wait_until(lambda: kie.balance_reads == 1)
        assert await runner.balance.read() == 1000
        asked.clear()
        assert (await sing(runner)).credits == SONG
        assert asked[0] == "/api/v1/generate"
        # After ten minutes somebody else may have spent or bought credits.
        await runner.balance.read()
        asked.clear()
        clock.now += FRESH_SECONDS + 1
        assert (await sing(runner)).credits == SONG
        assert set(asked[:2]) == {DOCUMENTED.credits, "/api/v1/generate"}


@pytest.mark.parametrize("charged_before", [False, True], ids=["before the charge", "after the charge"])
async def test_a_create_waits_for_no_balance_and_one_that_comes_too_late_says_no_charge(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, *, charged_before: bool
) -> None:
    """KIE may have charged the song already when it tells the balance that it is asked for beside the create."""
    created, holding = anyio.Event(), False

    async def hold(path: str) -> Response | None:
        if path != DOCUMENTED.credits or not holding or created.is_set():
            return None
        answer = envelope(200, data=sandbox.balance)
        await created.wait()
        return None if charged_before else answer

    async def note(_: str) -> None:
        created.set()

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=hold, post=note), clock) as runner:
        await runner.balance.read()
        holding = True
        clock.now += FRESH_SECONDS + 1
        song = await sing(runner)
    assert song.state == "succeeded"
    assert song.credits == (None if charged_before else SONG)


async def test_a_song_that_kie_has_not_charged_yet_when_it_ends_does_not_count_as_free(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async def tell_balance_of_before(path: str) -> Response | None:
        return envelope(200, data=1000) if path == DOCUMENTED.credits else None

    kie = InterceptedKie(sandbox.app, get=tell_balance_of_before)
    async with run_runner(tmp_path, kie, clock) as runner:
        await runner.balance.read()
        song = await sing(runner)
        assert (song.state, song.balance, song.credits) == ("succeeded", 1000, None)
        assert (await runner.ledger.spent(song)).day == song.reserved == SONG


@pytest.mark.parametrize("fails", [False, True])
async def test_a_balance_from_before_the_end_of_another_process_s_task_does_not_count(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, *, fails: bool
) -> None:
    """Otherwise the other song would be charged here too; or, where KIE gives its credits back, this one is free.

    KIE may do so also while this one runs, so after a failure, no balance is read beside the create either.
    """
    async with run_runner(tmp_path, sandbox.app, clock) as one, run_runner(tmp_path, sandbox.app, clock) as two:
        theirs = await two.submit(Order("suno_music", model_call("suno_music")))
        assert await one.balance.read() == 1000 - SONG
        if fails:
            sandbox.inject_fault("status", "fail")
        assert (await run_to_end(two, theirs)).state == ("failed" if fails else "succeeded")
        clock.now += 1
        assert (await sing(one)).credits == (None if fails else SONG)


async def test_a_balance_from_soon_after_a_failure_does_not_count_as_credits_may_still_come_back(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    kie = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, kie, clock) as runner:
        sandbox.inject_fault("status", "fail")
        assert (await sing(runner)).state == "failed"
        clock.now += REFUND_SECONDS / 2
        await runner.balance.read()
        sandbox._credits += 1
        clock.now += REFUND_SECONDS / 2 + 1
        assert (await sing(runner)).credits == SONG


async def test_a_balance_from_before_another_process_s_task_began_does_not_count(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as one, run_runner(tmp_path, sandbox.app, clock) as two:
        assert await one.balance.read() == 1000
        clock.now += 1
        await sing(two)
        clock.now += 1
        assert (await sing(one)).credits == SONG


async def test_while_another_process_s_task_runs_no_charge_is_measured(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as one, run_runner(tmp_path, sandbox.app, clock) as two:
        sandbox.inject_fault("create", "stall")
        await two.submit(Order("suno_music", model_call("suno_music")))
        await one.balance.read()
        song = await sing(one)
        assert (song.state, song.credits, song.balance) == ("succeeded", None, None)


async def test_the_same_balance_is_noted_once_in_five_seconds_and_another_one_at_once(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        assert await runner.balance.read() == 1000
        noted = runner.balance._known
        clock.now += RECENT_SECONDS
        assert await runner.balance.read() == 1000
        assert runner.balance._known is noted
        sandbox._credits += 1
        assert await runner.balance.read() == 1001
        assert runner.balance._known == (1001, clock.now, 0)
        clock.now += RECENT_SECONDS + 1
        assert await runner.balance.read() == 1001
        assert runner.balance._known == (1001, clock.now, 0)


async def test_the_balance_is_read_again_when_the_last_task_has_ended_and_not_before(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    kie = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, kie, clock) as runner:
        await runner.balance.read()
        await clock.sleep(1)
        before = kie.balance_reads
        drawn = [
            await runner.submit(Order("x", model_call("nano_banana_image", prompt=f"heron {number}")))
            for number in range(5)
        ]
        for task in drawn:
            await run_to_end(runner, task)
        await clock.sleep(1)
        # Two tasks that end in the same moment may both find that no other one runs.
        assert before + 1 <= kie.balance_reads <= before + 2
