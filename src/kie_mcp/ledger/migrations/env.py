"""Alembic's environment script: upgrade the tables on the connection from `migrate()`, in its open transaction."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl

from kie_mcp.ledger.tables import metadata, versions


class _Sqlite(SQLiteImpl):
    __dialect__ = "sqlite"
    transactional_ddl = True

    def version_table_impl(self, **_: Any) -> sa.Table:
        return versions


class _Postgresql(PostgresqlImpl):
    __dialect__ = "postgresql"

    def version_table_impl(self, **_: Any) -> sa.Table:
        return versions


context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=versions.name
)
context.run_migrations()
