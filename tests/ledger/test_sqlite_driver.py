"""Test that ledgers in SQLite files neither compile the same SQL again nor switch threads more often than needed."""

import logging
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.ledgers import open_ledger

from kie_mcp.ledger.compiled import COMPILED
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.sqlite_driver import StatementConnection
from kie_mcp.ledger.tables import tasks

pytestmark = pytest.mark.anyio


@pytest.mark.on_postgresql
async def test_a_statement_is_compiled_once_for_all_ledgers_of_a_process(tmp_path: Path, database: str) -> None:
    query = sa.select(tasks.c.id.label(f"compiled_once_by_{database}"))
    sizes = [len(COMPILED)]
    for name in ("one", "two"):
        ledger = await open_ledger(tmp_path / name)
        assert await ledger.database.select(query) == []
        await ledger.close()
        sizes.append(len(COMPILED))
    assert sizes[0] < sizes[1] == sizes[2]


async def test_a_query_switches_to_the_thread_of_the_driver_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = await Ledger.open(tmp_path)
    with caplog.at_level(logging.DEBUG, "aiosqlite"):
        assert await ledger.database.select(sa.select(tasks.c.id)) == []
    assert len([each for each in caplog.messages if each.startswith("executing")]) == 1
    await ledger.close()


async def test_a_connection_tells_what_sqlalchemy_asks_and_ends_only_transactions_that_were_begun() -> None:
    connection = StatementConnection(":memory:")
    async with connection:
        cursor = connection.cursor()
        await connection.commit()
        await cursor.execute("CREATE TABLE birds (name TEXT)")
        await cursor.executemany("INSERT INTO birds VALUES (?)", [("heron",), ("kingfisher",)])
        assert (cursor.description, cursor.rowcount) == (None, 2)
        await cursor.execute("INSERT INTO birds VALUES (:name) RETURNING name", {"name": "wren"})
        assert (await cursor.fetchall(), cursor.lastrowid) == ([("wren",)], 3)
        assert connection.in_transaction
        await connection.commit()
        await cursor.execute("DELETE FROM birds")
        await connection.rollback()
        assert not connection.in_transaction
        await cursor.execute("SELECT count(*) AS number FROM birds")
        assert [each[0] for each in cursor.description] == ["number"]
        assert await cursor.fetchall() == [(3,)]
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await cursor.execute("SELECT 1 FROM fish")
