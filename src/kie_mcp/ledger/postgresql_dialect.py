"""The SQLAlchemy dialect of the ledger's PostgreSQL databases, which tests idle connections without a round trip."""

import selectors

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.engine.interfaces import DBAPIConnection

from kie_mcp.ledger.compiled import SharedDialect

DRIVER = "kie_mcp"
"""Name of `LedgerDialect` in database URLs, such as `postgresql+kie_mcp://…`."""


class LedgerDialect(SharedDialect, PGDialectAsync_psycopg):
    """SQLAlchemy's dialect for psycopg; it sends a test query only on connections that may have been closed."""

    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, _: sa.URL) -> type[sa.Dialect]:
        """Return this class; the inherited method would return SQLAlchemy's own dialect."""
        return cls

    def do_ping(self, dbapi_connection: DBAPIConnection) -> bool:
        """Return True if a connection can be used; otherwise raise psycopg's error, and SQLAlchemy opens another one.

        As long as nothing has arrived on an idle connection, the database has not closed it, so no test query is sent.
        """
        if is_silent(dbapi_connection.driver_connection):
            return True
        return bool(super().do_ping(dbapi_connection))  # type: ignore[no-untyped-call]


def is_silent(connection: psycopg.AsyncConnection) -> bool:
    """Return whether an idle connection has received nothing: neither data nor the news that it was closed."""
    if connection.closed:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return not selector.select(0)


sa.dialects.registry.register(f"postgresql.{DRIVER}", __name__, LedgerDialect.__name__)
