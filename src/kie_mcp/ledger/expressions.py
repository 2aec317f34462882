"""SQL expressions for which SQLite and PostgreSQL need different SQL."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from kie_mcp.ledger.tables import LATEST


class Contains(FunctionElement[bool]):
    """SQL expression: whether one text contains another one. LIKE is not used, because it refuses long texts."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(Contains, "sqlite")
def _find_in_sqlite(element: Contains, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(sa.func.instr(*element.clauses) > 0, **how)


@compiles(Contains, "postgresql")
def _find_in_postgresql(element: Contains, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(sa.func.strpos(*element.clauses) > 0, **how)


def contains(column: sa.ColumnElement[Any], text: str | sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return an SQL condition that is true if a column contains a text."""
    return Contains(column, sa.literal(text, sa.Text) if isinstance(text, str) else text)


class LocalDay(FunctionElement[str]):
    """SQL expression: the day of a time in this process's time zone, such as `2026-07-28`; NULL for an invalid time."""

    type = sa.Text()
    inherit_cache = True


@compiles(LocalDay, "sqlite")
def _find_day_in_sqlite(element: LocalDay, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(sa.func.date(*element.clauses, "unixepoch", "localtime"), **how)


@compiles(LocalDay, "postgresql")
def _find_day_in_postgresql(element: LocalDay, compiler: SQLCompiler, **how: Any) -> str:
    # `to_char` uses the connection's time zone, which `postgresql.py` sets to the time zone of this process.
    (seconds,) = element.clauses
    day = sa.func.to_char(sa.func.to_timestamp(seconds), "YYYY-MM-DD")
    return compiler.process(sa.case((seconds.between(0, LATEST), day)), **how)
