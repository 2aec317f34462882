"""Ids with which a person agrees to a cost."""

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.ledgers import NOW, open_ledger, task

from kie_mcp.ledger.ledger import Ledger, Spent
from kie_mcp.ledger.task import IN_PARTS

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def confirm(ledger: Ledger, confirm: str, key: str, **more: Any) -> bool:
    """Record a new task with a confirmation id; return whether the id confirmed it."""
    new = task(f"t_{len([*reversed(await ledger.page())])}", idempotency_key=key, **more)
    await ledger.add(new, confirm=confirm)
    found = await ledger.find(new.id)
    assert found
    assert found.confirmed == new.confirmed
    return new.confirmed


async def test_a_confirmation_is_for_one_call_and_a_while(ledger: Ledger) -> None:
    await ledger.confirmations.add("c_1", "this", NOW, 300)
    assert not await confirm(ledger, "c_1", "this", created=NOW + 300)
    assert not await confirm(ledger, "c_1", "that")
    assert not await confirm(ledger, "c_2", "this")
    assert not await confirm(ledger, "", "this")
    assert await confirm(ledger, "c_1", "this", created=NOW + 299)
    assert not await confirm(ledger, "c_1", "this")


async def test_a_confirmation_is_kept_when_the_task_is_not_recorded(ledger: Ledger) -> None:
    def refuse(spent: Spent) -> None:
        raise ValueError(spent)

    await ledger.confirmations.add("c_1", "this", NOW, 300)
    with pytest.raises(ValueError, match="Spent"):
        await ledger.add(task("t_1", idempotency_key="this"), confirm="c_1", check=refuse)
    assert await confirm(ledger, "c_1", "this")


async def test_of_many_processes_at_once_one_uses_a_confirmation(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.confirmations.add("c_1", "this", NOW, 300)
    tasks = [task(f"t_{number}", idempotency_key="this") for number in range(20)]
    other = await open_ledger(tmp_path / "data")
    async with anyio.create_task_group() as group:
        for number, each in enumerate(tasks):
            group.start_soon(partial((ledger, other)[number % 2].add, each, confirm="c_1"))
    await other.close()
    assert sum(each.confirmed for each in tasks) == 1


async def test_what_was_spent_in_the_hour_is_counted_from_the_last_yes(ledger: Ledger) -> None:
    async def spent(at: float = NOW) -> float:
        return (await ledger.spent(task("t_new", created=at))).hour

    await ledger.add(task("t_old", created=NOW - 3600, reserved=100))
    await ledger.add(task("t_1", reserved=10, session="s_1"))
    await ledger.add(task("t_2", reserved=20, credits=5))
    assert await spent() == 15
    await ledger.confirmations.add("c_1", "this", NOW, 300)
    assert await confirm(ledger, "c_1", "this", reserved=200)
    assert await spent() == 0
    # Its call came before the confirmed one, its row after it.
    await ledger.add(task("t_late", created=NOW - 1, reserved=30))
    assert await spent() == 30
    await ledger.add(task("t_later", created=NOW + 60, reserved=7))
    assert await spent(NOW + 3600) == 7


async def test_a_part_of_a_confirmed_call_is_no_new_yes(ledger: Ledger) -> None:
    await ledger.add(task("t_speech", route=IN_PARTS, reserved=500, confirmed=True))
    await ledger.add(task("t_call", reserved=90))
    await ledger.add(task("t_part", parent="t_speech", reserved=50, confirmed=True))
    assert (await ledger.spent(task("t_new"))).hour == 90
