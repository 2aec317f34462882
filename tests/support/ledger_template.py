"""New SQLite ledgers of tests are copies of one file."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kie_mcp.ledger.migrations import migrate
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.ledger.sqlite_dialect import LedgerDialect
from support.ledgers import NewLedgers


@pytest.fixture
def created_tables() -> Iterator[None]:
    """Let each new ledger create its tables itself, for tests about that."""
    NewLedgers.are_copies = False
    try:
        yield
    finally:
        NewLedgers.are_copies = True


@cache
def _new_ledger() -> bytes:
    """Return the content of a ledger that has the tables and no rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FILE_NAME)
        engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=sa.NullPool)
        with engine.begin() as connection:
            # Python's driver would otherwise commit each table of its own, and wait for the disk each time.
            connection.execute(sa.text("BEGIN IMMEDIATE"))
            migrate(connection)
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode=WAL")
        return path.read_bytes()


def _connect(dialect: LedgerDialect, path: str, *arguments: Any, **named: Any) -> Any:
    """Write the tables into the empty file that the ledger has just created, before SQLite opens it."""
    file = Path(path)
    if NewLedgers.are_copies and file.name == FILE_NAME and file.exists() and not file.stat().st_size:
        file.write_bytes(_new_ledger())
    return _connect_as_it_is(dialect, path, *arguments, **named)


_connect_as_it_is = LedgerDialect.connect
LedgerDialect.connect = _connect  # type: ignore[assignment,method-assign]
