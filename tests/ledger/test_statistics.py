"""What past tasks were charged and how long they took."""

from dataclasses import replace
from typing import Any

import pytest
from support.ledgers import NOW, task

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.statistics import LATE_SECONDS

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def add(ledger: Ledger, after: float, **more: Any) -> None:
    """Add a task that succeeded after some seconds."""
    times = {"finished": NOW + after, "seconds": after}
    row = task(f"t_{after}", **{**times, "state": "succeeded", "session": "s_a", **more})
    await ledger.add(row)


async def test_charges_are_those_of_one_price_unit_newest_first(ledger: Ledger) -> None:
    await add(ledger, 1, price_key="720p", units=8, credits=40.0)
    await add(ledger, 2, price_key="720p", units=4, credits=24.0)
    await add(ledger, 3, price_key="1080p", units=4, credits=99.0)
    await add(ledger, 4, price_key="720p", model="veo3", credits=99.0)
    await add(ledger, 5, price_key="720p", state="failed", credits=99.0)
    await add(ledger, 6, price_key="720p", credits=None)
    await add(ledger, 7, price_key="720p", credits=0.0)
    assert await ledger.statistics.charges("veo3_fast", "720p") == [6, 5]


async def test_durations_are_those_of_tasks_of_one_length_that_were_measured(ledger: Ledger) -> None:
    for seconds in (30, 20, 40):
        await add(ledger, seconds)
    await add(ledger, 50, arguments={"duration": 8})
    await add(ledger, 60, state="failed")
    await add(ledger, 70, seconds=None)
    assert await ledger.statistics.durations("veo3_fast", None, newest=3) == [20, 30, 40]
    assert await ledger.statistics.durations("veo3_fast", 8, newest=3) == [50]


async def test_a_task_ran_alone_where_no_other_one_was_under_way(ledger: Ledger) -> None:
    await add(ledger, 5)
    await ledger.add(alone := task("t_alone", created=NOW + 10))
    await ledger.add(task("t_prepared"))
    assert await ledger.statistics.ran_alone(alone)
    await add(ledger, 15)
    assert not await ledger.statistics.ran_alone(alone)


@pytest.mark.parametrize("finished", [None, NOW + 11], ids=["still runs", "ended later"])
async def test_a_task_did_not_run_alone_beside_one_that_was_recorded_before(
    ledger: Ledger, finished: float | None
) -> None:
    state = "succeeded" if finished else "running"
    await ledger.add(task("t_other", created=NOW, finished=finished, state=state))
    await ledger.add(alone := task("t_alone", created=NOW + 10))
    assert not await ledger.statistics.ran_alone(alone)


async def test_a_task_of_unknown_outcome_counts_as_running_until_kie_cannot_charge_for_it_any_more(
    ledger: Ledger,
) -> None:
    await ledger.add(task("t_unknown", created=NOW, finished=NOW + 20, state="unknown"))
    await ledger.add(soon := task("t_soon", created=NOW + 62))
    assert not await ledger.statistics.ran_alone(soon)
    await ledger.save(replace(soon, finished=NOW + 70, state="succeeded"))
    await ledger.add(later := task("t_later", created=NOW + 21 + LATE_SECONDS))
    assert await ledger.statistics.ran_alone(later)


async def test_a_task_that_was_recorded_later_did_not_run_alone_whatever_time_it_tells(ledger: Ledger) -> None:
    assert await ledger.statistics.newest_number_if_idle() == 0
    await add(ledger, 5)
    newest = await ledger.statistics.newest_number_if_idle()
    await ledger.add(alone := task("t_alone", created=NOW + 100))
    alone.state = "running"
    await ledger.save(alone)
    assert await ledger.statistics.newest_number_if_idle() is None
    assert await ledger.statistics.ran_alone(alone, newest_number=newest)
    # The clock was set back for this one.
    await ledger.add(task("t_other", created=NOW - 1000, finished=NOW - 990, state="succeeded"))
    await ledger.add(later := task("t_later", created=NOW + 101))
    await ledger.save(replace(alone, finished=NOW + 100.5, state="succeeded"))
    assert await ledger.statistics.ran_alone(later)
    assert not await ledger.statistics.ran_alone(later, newest_number=newest)


@pytest.mark.parametrize(("created", "finished"), [(-60, -50), (5, -50)], ids=["began later", "ended while it was set"])
async def test_a_clock_that_was_set_back_does_not_make_a_task_run_alone(
    ledger: Ledger, created: float, finished: float
) -> None:
    other = task("t_other", created=NOW + created, finished=NOW + finished, state="succeeded")
    alone = task("t_alone", created=NOW + 10)
    for row in (alone, other) if created < 0 else (other, alone):
        await ledger.add(row)
    assert not await ledger.statistics.ran_alone(alone)
