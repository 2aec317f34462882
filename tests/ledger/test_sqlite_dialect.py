"""Test that ledgers in SQLite files do not repeat work: compiling SQL, and waiting for a connection's thread."""

import logging
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


async def test_a_statement_and_its_rows_take_one_step_of_the_connection_s_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = await Ledger.open(tmp_path)
    async with ledger.database.reading() as connection:
        with caplog.at_level(logging.DEBUG, "aiosqlite"):
            found = (await connection.execute(sa.text("SELECT 1 UNION SELECT 2"))).scalars().all()
    await ledger.close()
    assert found == [1, 2]
    assert sum(record.msg.startswith("executing") for record in caplog.records) == 1
