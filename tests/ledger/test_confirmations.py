"""Ids with which a person agrees to a cost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.ledgers import NOW

from kie_mcp.ledger.ledger import Ledger

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path / "data")
    yield opened
    await opened.close()


async def test_a_confirmation_is_for_one_call_and_a_while(ledger: Ledger) -> None:
    await ledger.confirmations.add("c_1", "this", NOW, 300)
    assert await ledger.confirmations.is_valid("c_1", "this", NOW + 299)
    assert not await ledger.confirmations.is_valid("c_1", "this", NOW + 300)
    assert not await ledger.confirmations.is_valid("c_1", "that", NOW)
    assert not await ledger.confirmations.is_valid("c_2", "this", NOW)
    assert not await ledger.confirmations.is_valid("", "this", NOW)
