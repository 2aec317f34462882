"""The slots of the create rate limit, shared by all processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from support.ledgers import NOW

from kie_mcp.ledger.ledger import Ledger

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path / "data")
    yield opened
    await opened.close()


async def test_processes_share_the_slots(ledger: Ledger, tmp_path: Path) -> None:
    other = await Ledger.open(tmp_path / "data")
    waits = [await each.create_slots.acquire("key", lambda: NOW, 4, 10) for each in (ledger, other) * 3]
    assert waits == [0, 0, 0, 0, 10, 10]
    assert await ledger.create_slots.acquire("other key", lambda: NOW, 4, 10) == 0
    assert await other.create_slots.acquire("key", lambda: NOW + 9.5, 4, 10) == 0.5
    assert await other.create_slots.acquire("key", lambda: NOW + 10, 4, 10) == 0
    # A clock that was set back does not close the window for as long.
    assert await other.create_slots.acquire("key", lambda: NOW - 3600, 4, 10) == 0
    await other.close()


async def test_many_at_once_acquire_no_more_slots_than_there_are(ledger: Ledger) -> None:
    waits: list[float] = []

    async def acquire() -> None:
        waits.append(await ledger.create_slots.acquire("key", lambda: NOW, 20, 10) or 0)

    async with anyio.create_task_group() as group:
        for _ in range(60):
            group.start_soon(acquire)
    assert sorted(waits) == [0] * 20 + [10] * 40
