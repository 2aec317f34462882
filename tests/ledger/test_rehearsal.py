"""A rehearsed task leaves no trace in the ledger."""

from pathlib import Path

import pytest
from support.ledgers import NOW, ids, open_ledger, task

from kie_mcp.ledger.rehearsal import rehearse_task

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def test_a_rehearsed_task_is_not_recorded_and_takes_no_slot_of_the_rate_limit(tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path / "data")
    try:
        await ledger.add(task("t_1"))
        await rehearse_task(ledger, task("t_2"))
        assert ids(await ledger.page()) == ["t_1"]
        assert await ledger.create_slots.acquire("rehearsal", lambda: NOW, 1, 10) == 0
        assert await ledger.add(task("t_2")) is None
        assert ids(await ledger.page(words="")) == ["t_2", "t_1"]
    finally:
        await ledger.close()
