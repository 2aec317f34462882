"""Test that ledgers in SQLite files do not compile the same SQL again."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.sqlite_dialect import COMPILED
from kie_mcp.ledger.tables import tasks

pytestmark = pytest.mark.anyio


async def test_a_statement_is_compiled_once_for_all_ledgers_of_a_process(tmp_path: Path) -> None:
    query = sa.select(tasks.c.id.label("compiled_once"))
    sizes = [len(COMPILED)]
    for name in ("one", "two"):
        ledger = await Ledger.open(tmp_path / name)
        assert await ledger.database.select(query) == []
        await ledger.close()
        sizes.append(len(COMPILED))
    assert sizes[0] < sizes[1] == sizes[2]
