"""The SQLAlchemy dialect of the ledger's SQLite files, which compiles each SQL statement once for a whole process."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

from kie_mcp.ledger.compiled import SharedDialect

DRIVER = "kie_mcp"
"""Name of `LedgerDialect` in URLs."""


class _Compiler(SQLiteCompiler):
    """SQLAlchemy's compiler for SQLite, which also writes hints of queries, such as `INDEXED BY`, into the SQL."""

    def get_from_hint_text(self, _: Any, text: str | None) -> str | None:
        return text


class LedgerDialect(SharedDialect, SQLiteDialect_aiosqlite):
    """SQLAlchemy's dialect, which compiles a statement once for all ledgers and writes hints into queries."""

    supports_statement_cache = True
    statement_compiler = _Compiler


sa.dialects.registry.register(f"sqlite.{DRIVER}", __name__, LedgerDialect.__name__)
