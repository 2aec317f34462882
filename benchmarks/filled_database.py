"""PostgreSQL with ledgers that have many tasks."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import sqlalchemy as sa

from benchmarks.past_tasks import index_past_rows, past_rows
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.tables import tasks

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import psycopg
from support.postgresql import PostgresqlServer

SCHEMA = "kie_mcp_sandbox"
"""Schema of the ledgers; it is that of a server with a sandbox."""


@contextmanager
def run_databases(names: Sequence[str]) -> Iterator[list[str]]:
    """Run PostgreSQL with empty databases, and yield their URLs."""
    server = PostgresqlServer.create()
    try:
        for name in names:
            server.create_database(name)
        yield [server.url(name) for name in names]
    finally:
        server.remove()


def clean(url: str) -> None:
    """Do what PostgreSQL does itself after some minutes: forget deleted rows, and count the values of the columns."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def fill_database(url: str, count: int) -> None:
    """Write a ledger with so many tasks of the last year; a million takes two minutes."""
    anyio.run(_create_ledger, url)
    with psycopg.connect(url, options=f"-c search_path={SCHEMA},public -c maintenance_work_mem=512MB") as connection:
        definitions = _drop_indexes(connection)
        _copy_rows(connection, count)
        for statement in (*index_past_rows("postgresql"), *definitions):
            connection.execute(statement.encode())


async def _create_ledger(url: str) -> None:
    await (await Ledger.open(Path(), url=url, schema=SCHEMA)).close()


def _drop_indexes(connection: psycopg.Connection[Any]) -> list[str]:
    """Drop the indexes, which slow the filling down, and return the SQL that creates them."""
    of_schema = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s AND indexname LIKE 'ix%%'"
    found = connection.execute(of_schema, [SCHEMA]).fetchall()
    for name, _ in found:
        connection.execute(psycopg.sql.SQL("DROP INDEX {}").format(psycopg.sql.Identifier(name)))
    return [definition for _, definition in found]


def _copy_rows(connection: psycopg.Connection[Any], count: int) -> None:
    dialect = sa.create_engine("postgresql+psycopg://").dialect
    rows = past_rows(count)
    first = next(rows)
    convert = {name: tasks.c[name].type.dialect_impl(dialect).bind_processor(dialect) or _keep for name in first}
    columns = ", ".join(first)
    with connection.cursor() as cursor, cursor.copy(f"COPY tasks ({columns}) FROM STDIN".encode()) as copy:
        for row in (first, *rows):
            copy.write_row([convert[name](value) for name, value in row.items()])


def _keep(value: object) -> object:
    return value
