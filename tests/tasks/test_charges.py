"""A charge that cannot be true neither makes room below a cap nor fills a cap."""

from pathlib import Path

import pytest
from mcp import Client
from support.answers import answer, text
from support.clock import JumpingClock
from support.runners import model_call, run_runner, run_to_end

from kie_mcp.errors import CapReached
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import Caps, Rules
from kie_mcp.tasks.order import Order

pytestmark = pytest.mark.anyio

IMPOSSIBLE = [-4.0, -0.01, 401.0, 5e3, 2e6, 1e308]


def draw() -> Order:
    """A picture for 4 credits."""
    return Order("nano_banana_image", model_call("nano_banana_image"))


@pytest.mark.parametrize("said", IMPOSSIBLE)
async def test_an_impossible_charge_counts_as_what_was_reserved(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, said: float
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(Caps(day=4), repeat_window=0)) as runner:
        task = await runner.submit(draw())
        sandbox.accepted[-1].credits = said
        task = await run_to_end(runner, task)
        assert (task.state, task.credits) == ("succeeded", None)
        assert (await runner.ledger.spent(task)).day == task.reserved == 4
        with pytest.raises(CapReached, match="0 of the 4 credits"):
            await runner.submit(draw())
        # What nobody believes teaches nothing of the price.
        assert (await runner.quote(draw())).known == (4, 4)


async def test_a_failed_task_keeps_its_reservation_while_its_charge_is_unknown(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(Caps(day=4), repeat_window=0)) as runner:
        task = await runner.submit(draw())
        task.state, task.error = "failed", {"billed": None, "message": "x", "category": "task_failed"}
        await runner.ledger.save(task)
        assert (await runner.ledger.spent(task)).day == 4
        task.error["billed"] = False
        await runner.ledger.save(task)
        assert (await runner.ledger.spent(task)).day == 0


async def test_an_answer_says_what_kie_said_and_what_counts(client: Client, sandbox: Sandbox) -> None:
    made = await client.call_tool("kling_video", {"prompt": "x", "duration": 5})
    sandbox.accepted[-1].credits = -5
    result = await client.call_tool("get_task", {"task_ids": [answer(made)["task_id"]], "wait_seconds": 50})
    assert "credits" not in answer(result)
    assert answer(result)["estimated_credits"] == answer(made)["estimated_credits"]
    assert answer(result)["basis"] == "KIE said -5 credits, which cannot be"
    assert "KIE said -5 credits" in text(result)


@pytest.mark.parametrize("charge", [0.0, 0.4, 4, 40, 400])
async def test_an_odd_charge_that_may_be_true_is_believed(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, charge: float
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(draw())
        sandbox.accepted[-1].credits = charge
        assert (await run_to_end(runner, task)).credits == charge
