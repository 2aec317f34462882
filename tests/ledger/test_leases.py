"""Which process watches which task."""

import pytest
import sqlalchemy as sa
from support.clock import JumpingClock
from support.ledgers import NOW, task

from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.tables import servers
from kie_mcp.ledger.task import FINAL, State

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def test_tasks_that_are_open_or_not_saved_are_claimable_where_no_other_process_watches_them(
    ledger: Ledger, clock: JumpingClock
) -> None:
    assert clock.now == NOW
    states: tuple[State, ...] = ("submitting", "running", *sorted(FINAL))
    for number, state in enumerate(states):
        saved = state in FINAL and state != "succeeded"
        await ledger.add(task(state, state=state, created=NOW - number, saved=saved))
    await ledger.add(task("saved", state="succeeded", saved=True))
    await ledger.add(task("others", state="running", session="s_other"))
    await ledger.leases.renew("s_other", NOW)
    assert await ledger.leases.claimable("s_me", NOW) == ["succeeded", "running", "submitting"]
    assert await ledger.leases.claimable("s_other", NOW) == ["succeeded", "running", "submitting", "others"]


async def test_one_process_watches_a_task_until_its_lease_ends(ledger: Ledger, clock: JumpingClock) -> None:
    await ledger.add(task("t_1", state="running", session="s_a"))
    await ledger.leases.renew("s_a", clock.now)
    await ledger.leases.renew("s_b", clock.now)
    clock.now += LEASE_SECONDS
    assert await ledger.leases.claim("t_1", "s_b", clock.now) is None
    clock.now += 1
    claimed = await ledger.leases.claim("t_1", "s_b", clock.now)
    assert claimed == await ledger.find("t_1")
    # The claim renewed no lease: that of b began as early.
    await ledger.leases.renew("s_b", clock.now)
    leases = [row["id"] for row in await ledger.database.select(sa.select(servers))]
    assert leases == ["s_b"]
    clock.now += 1
    assert await ledger.leases.claim("t_1", "s_a", clock.now) is None
    await ledger.leases.release("s_b")
    assert await ledger.leases.claim("t_1", "s_a", clock.now)
    assert await ledger.leases.claim("t_x", "s_a", clock.now) is None


async def test_a_lease_from_a_clock_that_was_ahead_does_not_count(ledger: Ledger, clock: JumpingClock) -> None:
    await ledger.add(task("t_1", state="running", session="s_a"))
    clock.now += 3600
    await ledger.leases.renew("s_a", clock.now)
    clock.now -= 3600
    assert await ledger.leases.claim("t_1", "s_b", clock.now)


async def test_a_clock_that_is_set_back_by_some_seconds_ends_no_lease(ledger: Ledger, clock: JumpingClock) -> None:
    await ledger.add(task("t_1", state="running", session="s_a"))
    await ledger.leases.renew("s_a", clock.now)
    clock.now -= LEASE_SECONDS
    await ledger.leases.renew("s_b", clock.now)
    assert await ledger.leases.claim("t_1", "s_b", clock.now) is None
