"""The slots of the create rate limit, shared by all processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from support.clock import JumpingClock
from support.ledgers import NOW, open_ledger

from kie_mcp.ledger.ledger import Ledger

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await open_ledger(tmp_path / "data")
    yield opened
    await opened.close()


async def test_processes_share_the_slots(ledger: Ledger, tmp_path: Path, clock: JumpingClock) -> None:
    other = await open_ledger(tmp_path / "data")
    waits = [await each.create_slots.acquire("key", clock.time, 4, 10) for each in (ledger, other) * 3]
    assert waits == [0, 0, 0, 0, 10, 10]
    assert await ledger.create_slots.acquire("other key", clock.time, 4, 10) == 0
    for later, wait in ((9.5, 0.5), (10, 0), (-3600, 0)):
        # A clock that was set back does not close the window for as long.
        clock.now = NOW + later
        assert await other.create_slots.acquire("key", clock.time, 4, 10) == wait
    await other.close()


async def test_many_at_once_acquire_no_more_slots_than_there_are(ledger: Ledger, clock: JumpingClock) -> None:
    waits: list[float] = []

    async def acquire() -> None:
        waits.append(await ledger.create_slots.acquire("key", clock.time, 20, 10) or 0)

    async with anyio.create_task_group() as group:
        for _ in range(60):
            group.start_soon(acquire)
    assert sorted(waits) == [0] * 20 + [10] * 40
