"""The lease of a process, and the tasks that it takes over from dead processes."""

from pathlib import Path

import pytest
from support.clock import JumpingClock
from support.ledgers import task
from support.runners import refuse_ledger_writes

from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.takeover import Takeover

pytestmark = pytest.mark.anyio


async def test_a_task_that_cannot_be_taken_over_keeps_no_other_task_from_it(
    ledger: Ledger, clock: JumpingClock
) -> None:
    taken = []

    async def take_over(found: Task) -> None:
        if found.id == "t_odd":
            raise ValueError(found.id)
        taken.append(found.id)

    await ledger.add(task("t_odd", state="running", created=clock.now - 60))
    await ledger.add(task("t_1", state="running"))
    await Takeover(ledger, "s_me", clock).take_over_claimable({}, take_over)
    assert taken == ["t_1"]


async def test_a_lease_that_could_not_be_renewed_is_renewed_at_the_next_call(
    ledger: Ledger, clock: JumpingClock, tmp_path: Path
) -> None:
    await ledger.add(task("t_1", state="running", session="s_me"))
    takeover = Takeover(ledger, "s_me", clock)
    with refuse_ledger_writes(tmp_path), pytest.raises(LedgerError):
        await takeover.renew_lease()
    await takeover.renew_lease()
    assert await ledger.leases.claim("t_1", "s_other", clock.now) is None
