"""Migrations: SQL steps that upgrade the tables of an older ledger file, in order and in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger import prompts
from kie_mcp.ledger.tables import LISTED, metadata, versions


@dataclass(frozen=True, slots=True)
class Migration:
    """A step that upgrades the tables from one version to the next."""

    name: str
    """Number of the new version, and what the migration adds, such as `0002_task_colour`."""
    statements: tuple[str, ...]
    """SQL statements, which run in one transaction."""


# To change a table, change `tables.py`, append a migration here, and store the output of `sqlite3 <file> .schema` for a
# new ledger as `tests/ledger/schema-<version>.sql`. A migration may only add columns, tables and indexes, because
# running processes of an older kie-mcp may use the same file and must not fail.
MIGRATIONS = (
    Migration("0002_task_seconds", ("ALTER TABLE tasks ADD COLUMN seconds FLOAT",)),
    Migration(
        "0003_task_search",
        (
            "CREATE INDEX ix_tasks_model_state_finished ON tasks (model, state, finished)",
            "CREATE INDEX ix_tasks_model_tariff_finished ON tasks (model, tariff, finished)",
            "CREATE INDEX ix_tasks_finished ON tasks (finished)",
            "CREATE INDEX ix_tasks_session ON tasks (session)",
            "ALTER TABLE tasks ADD COLUMN number INTEGER",
            "CREATE INDEX ix_tasks_number ON tasks (number)",
            "UPDATE tasks SET number = rowid",
            f"ALTER TABLE tasks ADD COLUMN listed FLOAT GENERATED ALWAYS AS ({LISTED}) VIRTUAL",
            "CREATE INDEX ix_tasks_listed ON tasks (listed, id)",
            "CREATE INDEX ix_tasks_state_listed ON tasks (state, listed, id)",
            prompts.CREATE,
            prompts.FILL,
        ),
    ),
    Migration(
        "0004_task_parent",
        (
            "ALTER TABLE tasks ADD COLUMN parent TEXT",
            "CREATE INDEX ix_tasks_parent ON tasks (parent) WHERE parent IS NOT NULL",
        ),
    ),
    Migration("0005_task_confirmed", ("ALTER TABLE tasks ADD COLUMN confirmed BOOLEAN DEFAULT 0 NOT NULL",)),
)
"""All migrations in order; the first migration upgrades version 1 to version 2."""


async def migrate(connection: AsyncConnection, migrations: Sequence[Migration]) -> None:
    """Create the tables in a new file, or upgrade the tables of an older file to the newest version.

    Args:
        connection: A connection whose transaction has not written anything yet.
        migrations: All migrations in order; the first one upgrades version 1.

    Raises:
        ConfigurationError: When a newer kie-mcp wrote the file.
    """
    newest = 1 + len(migrations)
    if await _read_version(connection, newest) == newest:
        return
    # Several processes may run this at the same time. The process that gets the write lock first migrates the file; the
    # other processes then read the newest version and change nothing.
    await connection.execute(sa.text("BEGIN IMMEDIATE"))
    version = await _read_version(connection, newest)
    if not version:
        await _create_tables(connection)
        await connection.execute(sa.insert(versions).values(version=newest))
    elif version < newest:
        for migration in migrations[version - 1 :]:
            for statement in migration.statements:
                await connection.execute(sa.text(statement))
        await connection.execute(sa.update(versions).values(version=newest))


async def _read_version(connection: AsyncConnection, newest: int) -> int:
    """Return the version of the tables in the file; 0 when the file has no tables yet.

    Raises:
        ConfigurationError: When the version is higher than the newest version that this program knows.
    """
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(versions.name)):
        return 0
    version = (await connection.execute(sa.select(versions.c.version))).scalar() or 0
    if version > newest:
        raise ConfigurationError(
            f"A newer kie-mcp wrote this ledger (version {version}, this one reads {newest}).",
            "Update kie-mcp, or set KIE_MCP_DATA_DIR to another folder.",
        )
    return version


async def _create_tables(connection: AsyncConnection) -> None:
    for table in metadata.sorted_tables:
        await connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            await connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
    await connection.execute(sa.text(prompts.CREATE))
