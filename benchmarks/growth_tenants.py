"""A PostgreSQL database in which many tenants have 1,000 tasks each, to measure the calls of one of them."""

import sqlalchemy as sa

from benchmarks.filled_database import SCHEMA, fill_database
from kie_mcp.ledger.tables import NEWEST, metadata, prompts, sources, spending, tasks, versions

TASKS = 1_000
"""Number of tasks of each tenant."""


def fill_tenants(url: str, tenants: int) -> None:
    """Write the ledgers of so many tenants; the one in the schema `SCHEMA` is that of a server with a sandbox."""
    fill_database(url, TASKS)
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    for number in range(1, tenants):
        # One transaction for each tenant, because a transaction holds a lock on each table that it creates.
        with engine.begin() as connection:
            _copy_tenant(connection, f"{SCHEMA}_{number}")
    engine.dispose()


def _copy_tenant(connection: sa.Connection, schema: str) -> None:
    """Create the tables of another tenant, with the tasks of the first one."""
    connection.execute(sa.schema.CreateSchema(schema))
    connection.execute(sa.text(f"SET LOCAL search_path = {schema}, public"))
    metadata.create_all(connection, checkfirst=False)
    connection.execute(sa.insert(versions).values(version_num=NEWEST))
    for table in (tasks, prompts, sources, spending):
        columns = ", ".join(column.name for column in table.c if not column.computed)
        source = f"SELECT {columns} FROM {SCHEMA}.{table}"  # noqa: S608 - names of this module
        connection.execute(sa.text(f"INSERT INTO {table} ({columns}) {source}"))
