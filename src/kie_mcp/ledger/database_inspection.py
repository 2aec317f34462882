"""Check whether a PostgreSQL database can contain the ledger, without creating or changing anything."""

from dataclasses import dataclass

import sqlalchemy as sa

from kie_mcp.ledger.database import BUSY_SECONDS, dispose
from kie_mcp.ledger.migrations import find_version
from kie_mcp.ledger.postgresql import create_engine, explain_refusal, set_search_path
from kie_mcp.ledger.tables import tasks

MAY_CREATE = "SELECT has_database_privilege(current_database(), 'CREATE')"
HAS_EXTENSION = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')"
CAN_HAVE_EXTENSION = """
    SELECT EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'pg_trgm' AND trusted)
        OR EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND rolsuper)"""


@dataclass(frozen=True, slots=True)
class DatabaseInspection:
    """The facts about a PostgreSQL database and the ledger in it."""

    server: str
    """The version of the PostgreSQL server."""
    version: str
    """The version of the ledger's tables; empty if there are no tables yet."""
    tasks: int
    """Number of tasks in the ledger."""
    missing: str
    """The right or extension that is missing to create the ledger in the database; empty if nothing is missing."""


async def inspect_database(url: str, schema: str) -> DatabaseInspection:
    """Inspect a PostgreSQL database.

    Args:
        url: URL of the database.
        schema: Name of the ledger's schema.

    Raises:
        ConfigurationError: When the database cannot be used, or a newer kie-mcp wrote the ledger.
    """
    engine = create_engine(url, BUSY_SECONDS)
    try:
        async with engine.connect() as connection:
            await set_search_path(connection, schema)
            return await connection.run_sync(_inspect, schema)
    except sa.exc.SQLAlchemyError as error:
        raise explain_refusal(getattr(error, "orig", None) or error) from None
    finally:
        await dispose(engine)


def _inspect(connection: sa.Connection, schema: str) -> DatabaseInspection:
    def ask(statement: str) -> bool:
        return bool(connection.scalar(sa.text(statement)))

    server = str(connection.scalar(sa.text("SHOW server_version")))
    version = find_version(connection)
    if version:
        number = connection.scalar(sa.select(sa.func.count()).select_from(tasks)) or 0
        return DatabaseInspection(server, version, number, "")
    missing = ""
    if not ask(HAS_EXTENSION) and not ask(CAN_HAVE_EXTENSION):
        missing = "the extension pg_trgm, which a superuser has to create"
    elif not ask(MAY_CREATE) and not connection.scalar(sa.select(sa.func.to_regnamespace(schema))):
        missing = "the right to create a schema"
    return DatabaseInspection(server, "", 0, missing)
