"""A PostgreSQL database in which many tenants have 1,000 tasks each, to measure the calls of one of them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import sqlalchemy as sa

from benchmarks.past_tasks import past_tasks
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.search_index import fold
from kie_mcp.ledger.tables import NEWEST, metadata, prompts, tasks, versions

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.postgresql import PostgresqlServer

SCHEMA = "kie_mcp_sandbox"
"""Schema of the tenant whose calls are measured; it is that of a server with a sandbox."""
TASKS = 1_000
"""Number of tasks of each tenant."""


@contextmanager
def run_databases(numbers: Sequence[int]) -> Iterator[dict[int, str]]:
    """Run PostgreSQL with a database for each number of tenants, and yield their URLs by the number of all tasks."""
    server = PostgresqlServer.create()
    try:
        urls = {}
        for number in numbers:
            name = f"tenants_{number}"
            server.create_database(name)
            _fill(server.url(name), number)
            server.execute(name, "VACUUM ANALYZE")
            urls[number * TASKS] = server.url(name)
        yield urls
    finally:
        server.remove()


def _fill(url: str, tenants: int) -> None:
    anyio.run(_create_ledger, url)
    rows = [{**row_from_task(task), "number": number} for number, task in enumerate(past_tasks(TASKS), start=1)]
    folded = [{"rowid": row["number"], "prompt": fold(row["arguments"]["prompt"])} for row in rows]
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        _find_tables_in(connection, SCHEMA)
        connection.execute(sa.insert(tasks), rows)
        connection.execute(sa.insert(prompts), folded)
    for number in range(1, tenants):
        # One transaction for each tenant, because a transaction holds a lock on each table that it creates.
        with engine.begin() as connection:
            _copy_tenant(connection, f"{SCHEMA}_{number}")
    engine.dispose()


async def _create_ledger(url: str) -> None:
    await (await Ledger.open(Path(), url=url, schema=SCHEMA)).close()


def _find_tables_in(connection: sa.Connection, schema: str) -> None:
    connection.execute(sa.text(f"SET LOCAL search_path = {schema}, public"))


def _copy_tenant(connection: sa.Connection, schema: str) -> None:
    """Create the tables of another tenant, with the tasks of the first one."""
    connection.execute(sa.schema.CreateSchema(schema))
    _find_tables_in(connection, schema)
    metadata.create_all(connection, checkfirst=False)
    connection.execute(sa.insert(versions).values(version_num=NEWEST))
    columns = ", ".join(column.name for column in tasks.c if not column.computed)
    for table, copied in (("tasks", columns), ("prompts", "rowid, prompt")):
        source = f"SELECT {copied} FROM {SCHEMA}.{table}"  # noqa: S608 - names of this module
        connection.execute(sa.text(f"INSERT INTO {table} ({copied}) {source}"))
