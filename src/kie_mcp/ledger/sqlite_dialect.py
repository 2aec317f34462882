"""The SQLAlchemy dialect of the ledger's SQLite files, which compiles each SQL statement once for a whole process."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.util import LRUCache

DRIVER = "kie_mcp"
"""Name of `LedgerDialect` in URLs."""
COMPILED: LRUCache[Any, Any] = LRUCache(500)
"""The compiled SQL statements of all ledgers of this process."""


class _Compiler(SQLiteCompiler):
    """SQLAlchemy's compiler for SQLite, which also writes hints of queries, such as `INDEXED BY`, into the SQL."""

    def get_from_hint_text(self, _: Any, text: str | None) -> str | None:
        return text


class LedgerDialect(SQLiteDialect_aiosqlite):
    """SQLAlchemy's dialect, with which all ledgers of this process share compiled SQL statements.

    A statement takes longer to compile than to run, and a server with many tenants has many ledgers. SQLAlchemy uses a
    compiled statement for all engines with equal dialects, and all objects of this class are equal.
    """

    supports_statement_cache = True
    statement_compiler = _Compiler

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LedgerDialect)

    def __hash__(self) -> int:
        return hash(LedgerDialect)


sa.dialects.registry.register(f"sqlite.{DRIVER}", __name__, LedgerDialect.__name__)
