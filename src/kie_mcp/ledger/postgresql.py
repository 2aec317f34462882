"""The PostgreSQL database of the ledger: connect, migrate, and hear what other processes change."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.async_engine import AsyncConnection, AsyncEngine, create_async_engine
from kie_mcp.ledger.database import BUSY_SECONDS, Database, dispose
from kie_mcp.ledger.migrations import REVISIONS, Revisions, find_version, migrate
from kie_mcp.ledger.tables import IS_PART, parts_index

try:
    import psycopg
    import tzlocal
    from psycopg.types.string import StrDumper
except ImportError:
    raise ConfigurationError(
        "KIE_MCP_DATABASE_URL is set, and what kie-mcp needs for PostgreSQL is not installed.",
        "Install kie-mcp with its extra: pip install 'kie-mcp[postgres]'.",
    ) from None

logger = logging.getLogger(__name__)

parts_index.kwargs["postgresql_where"] = IS_PART

CONNECTIONS = 10
"""Most connections of one process, besides the one on which it hears of changes."""
CONNECT_SECONDS = 5
"""Longest time until a connection is made, in seconds."""
STATEMENT_SECONDS = 10
"""Longest time that a statement may take, and that a transaction may be without one, in seconds."""
PATIENCE_SECONDS = 2
"""Seconds that a transaction waits for an answer after the database should have ended it."""
PAUSE_SECONDS = 1
"""Seconds between two attempts to hear of changes again."""


class PostgresqlDatabase(Database):
    """A PostgreSQL database with a schema for the ledger; the processes that share it may be on many machines."""

    def __init__(self, engine: AsyncEngine, schema: str, busy_seconds: float) -> None:
        super().__init__(engine)
        self._schema = schema
        self._busy_seconds = busy_seconds

    @classmethod
    async def open(
        cls, url: str, schema: str, *, busy_seconds: float = BUSY_SECONDS, revisions: Revisions = REVISIONS
    ) -> Self:
        """Connect to a database; create the schema if it does not exist, or upgrade an older one.

        Args:
            url: URL of the database, such as `postgresql://user:password@host/name`.
            schema: Name of the schema.
            busy_seconds: Longest time that a transaction waits for another one or for a connection, in seconds.
            revisions: The revisions of the tables.

        Raises:
            ConfigurationError: When the database cannot be used, or when a newer kie-mcp wrote the ledger.
        """
        try:
            engine = _create_engine(url, schema, busy_seconds)
        except (sa.exc.ArgumentError, ValueError):
            raise _refusal("the URL cannot be read") from None
        database = cls(engine, schema, busy_seconds)
        try:
            await database._migrate(revisions)
        except BaseException as error:
            await dispose(engine)
            if isinstance(error, sa.exc.SQLAlchemyError):
                raise _refusal(getattr(error, "orig", None) or error) from None
            raise
        return database

    async def _migrate(self, revisions: Revisions) -> None:
        async with self.reading() as connection:
            if await connection.run_sync(find_version, revisions) == revisions.newest:
                return
        # An upgrade may take longer than other transactions.
        async with self._engine.begin() as connection:
            await connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            await self.lock(connection, "migration")
            if not await connection.scalar(sa.select(sa.func.to_regnamespace(self._schema))):
                await connection.execute(sa.schema.CreateSchema(self._schema))
            await connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public"))
            # The extension may be in another schema, if somebody else has created it.
            place = sa.text("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'")
            path = f"{self._schema}, {await connection.scalar(place)}"
            await connection.execute(sa.select(sa.func.set_config("search_path", path, True)))  # noqa: FBT003
            await connection.run_sync(migrate, revisions)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Run a transaction; if the database does not answer, end it.

        Raises:
            sqlalchemy.exc.TimeoutError: When the database does not answer in time.
        """
        # The shield keeps a cancelled caller from giving up a commit of which it would not know whether it was done.
        seconds = self._busy_seconds + STATEMENT_SECONDS + PATIENCE_SECONDS
        with anyio.move_on_after(seconds, shield=True) as scope:
            async with self._engine.begin() as connection:
                yield connection
        if scope.cancelled_caught:
            raise sa.exc.TimeoutError(f"PostgreSQL did not answer within {seconds:g} s")

    async def lock(self, connection: AsyncConnection, purpose: str) -> None:
        """Acquire an advisory lock, which belongs to this ledger and purpose."""
        key = sa.func.hashtextextended(f"{self._schema}: {purpose}", 0)
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    async def read_time(self, connection: AsyncConnection, now: float) -> float:
        """Return the time of the database: the clocks of many machines differ."""
        del now
        time = sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float))
        return float((await connection.execute(time)).scalar_one())

    async def listen(self) -> None:
        """Tell `changes` what other processes change, in an endless loop; connect again when a connection is lost."""
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(self._schema)))
                    self.changes.are_told = True
                    # What was changed before is told to nobody else.
                    self.changes.tell_all()
                    async for notification in connection.notifies():
                        self.changes.tell(notification.payload)
            except psycopg.Error as error:
                logger.info("Changes by other processes are not told: %s", error)
            finally:
                self.changes.are_told = False
            self.changes.tell_all()
            await anyio.sleep(PAUSE_SECONDS)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        _, arguments = self._engine.dialect.create_connect_args(self._engine.url)
        return await psycopg.AsyncConnection.connect(**arguments, autocommit=True)


class _TextDumper(StrDumper):
    """Writes texts without the characters that PostgreSQL takes in none: NULs and halves of characters."""

    def dump(self, obj: str) -> bytes:
        return obj.replace("\0", "\ufffd").encode(errors="replace")


def _create_engine(url: str, schema: str, busy_seconds: float) -> AsyncEngine:
    parsed = sa.make_url(url)
    options = (
        f"-c search_path={schema}",
        f"-c TimeZone={tzlocal.get_localzone_name()}",
        f"-c lock_timeout={round(busy_seconds * 1000)}",
        f"-c statement_timeout={STATEMENT_SECONDS}s",
        # A process that is stopped in the middle of a transaction keeps others waiting no longer than this.
        f"-c idle_in_transaction_session_timeout={STATEMENT_SECONDS}s",
    )
    given = {
        "application_name": "kie-mcp",
        "connect_timeout": str(CONNECT_SECONDS),
        "keepalives_idle": "10",
        **parsed.query,
        "options": " ".join([str(parsed.query.get("options", "")), *options]),
    }
    engine = create_async_engine(
        parsed.set(drivername="postgresql+psycopg", query=given),
        isolation_level="READ COMMITTED",
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=busy_seconds,
        # A connection may have been lost since it was used: the database was restarted, or a firewall forgot it.
        pool_pre_ping=True,
    )
    sa.event.listen(engine.sync_engine, "connect", _configure)
    return engine


def _configure(connection: DBAPIConnection, _: object) -> None:
    connection.driver_connection.adapters.register_dumper(str, _TextDumper)


def _refusal(reason: object) -> ConfigurationError:
    text = str(reason).partition("\n")[0].rstrip(".")
    return ConfigurationError(
        f"The ledger's database cannot be used: {text}.",
        "See that PostgreSQL runs, and that KIE_MCP_DATABASE_URL names a database whose user may create a schema and "
        "the extension pg_trgm.",
    )
