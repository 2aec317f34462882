"""The PostgreSQL database of the ledger: connect, migrate, and listen for changes by other processes."""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.async_engine import AsyncConnection, AsyncEngine, create_async_engine
from kie_mcp.ledger.changes import CALLBACK_PREFIX, Changes
from kie_mcp.ledger.compiled import COMPILED
from kie_mcp.ledger.database import BUSY_SECONDS, Database, Query, dispose, fetch_rows
from kie_mcp.ledger.migrations import BESIDE_NEWER, REVISIONS, Revisions, find_version, migrate
from kie_mcp.ledger.tables import IS_PART, parts_index

try:
    import psycopg
    import tzlocal
    from psycopg.types.string import StrDumper

    from kie_mcp.ledger.postgresql_dialect import DRIVER
except ImportError:
    raise ConfigurationError(
        "KIE_MCP_DATABASE_URL is set, and what kie-mcp needs for PostgreSQL is not installed.",
        "Install kie-mcp with its extra: pip install 'kie-mcp[postgres]'.",
    ) from None

logger = logging.getLogger(__name__)

parts_index.kwargs["postgresql_where"] = IS_PART

_FIND_SCHEMA = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
_SET_SEARCH_PATH = sa.text("SELECT set_config('search_path', :path, true)")
CONNECTIONS = 10
"""Maximum number of connections of one process, not counting the connection that listens for changes."""
CONNECT_SECONDS = 5
"""Maximum seconds to open a connection."""
STATEMENT_SECONDS = 10
"""Maximum seconds that a statement may take, and that a transaction may pause between two statements."""
PATIENCE_SECONDS = 2
"""Seconds that kie-mcp waits longer than the database's own time limits before it gives up a transaction."""
PAUSE_SECONDS = 1
"""Seconds to wait before the listening connection is opened again, and between two checks for new schemas."""


class PostgresqlDatabase(Database):
    """The ledger in one schema of a PostgreSQL database; processes on several machines may share this ledger."""

    def __init__(
        self, engine: AsyncEngine, schema: str, busy_seconds: float, heard: dict[str, list[Changes]] | None = None
    ) -> None:
        super().__init__(engine)
        # SQLAlchemy writes the schema before the name of each table. No ledger's schema is in the search path of
        # connections, so a statement can never find the tables of another ledger.
        self._in_schema = engine.execution_options(schema_translate_map={None: schema})
        self._single_queries = self._in_schema.execution_options(isolation_level="AUTOCOMMIT")
        self._schema = schema
        self._busy_seconds = busy_seconds
        self._is_guest = heard is not None
        """Whether this object is a guest, which uses another object's connections."""
        self._heard = {} if heard is None else heard
        """For each schema that is open on these connections, the `Changes` objects of its waiting callers."""
        self._heard.setdefault(schema, []).append(self.changes)

    @classmethod
    async def open(
        cls, url: str, schema: str, *, busy_seconds: float = BUSY_SECONDS, revisions: Revisions = REVISIONS
    ) -> Self:
        """Connect to a database; create the schema if it does not exist, or upgrade its tables to the newest version.

        Args:
            url: URL of the database, such as `postgresql://user:password@host/name`.
            schema: Name of the schema.
            busy_seconds: Longest time that a transaction waits for another one or for a connection, in seconds.
            revisions: The revisions of the tables.

        Raises:
            ConfigurationError: When the database cannot be used, or when a newer kie-mcp wrote the ledger.
        """
        check_system()
        engine = create_engine(url, busy_seconds)
        database = cls(engine, schema, busy_seconds)
        try:
            await database.upgrade(revisions)
        except BaseException as error:
            await dispose(engine)
            if isinstance(error, sa.exc.SQLAlchemyError):
                refusal = explain_refusal(getattr(error, "orig", None) or error)
                # Callers on other machines get this error without the database's address, so the whole error is logged.
                logger.warning("%s", refusal)
                raise refusal from None
            raise
        return database

    async def open_other(self, folder: Path, schema: str, *, to_read: bool = False) -> Self:
        """Open the ledger in the schema `schema` of the same database, with the connections of this object."""
        del folder, to_read
        database = type(self)(self._engine, schema, self._busy_seconds, self._heard)
        try:
            await database.upgrade(BESIDE_NEWER)
        except BaseException as error:
            await database.close()
            if isinstance(error, sa.exc.SQLAlchemyError):
                refusal = explain_refusal(getattr(error, "orig", None) or error)
                # Callers on other machines get this error without the database's address, so the whole error is logged.
                logger.warning("%s", refusal)
                raise refusal from None
            raise
        return database

    async def has_other(self, folder: Path, schema: str) -> bool:
        """Return whether the database has a schema with this name."""
        del folder
        async with self._limit_time(), self._single_queries.connect() as connection:
            return bool(await connection.scalar(_FIND_SCHEMA, {"name": schema}))

    async def close(self) -> None:
        """Close all connections; a guest (an object that uses another object's connections) leaves them open."""
        if self._is_guest:
            self._heard[self._schema].remove(self.changes)
            if not self._heard[self._schema]:
                del self._heard[self._schema]
        else:
            await super().close()

    async def upgrade(self, revisions: Revisions) -> None:
        """Create the schema, or upgrade its tables; do nothing if the tables already have the newest version."""
        async with self._limit_time(), self._engine.begin() as connection:
            await set_search_path(connection, self._schema)
            if await connection.run_sync(find_version, revisions) >= revisions.newest:
                return
        # The timeout is switched off, because an upgrade may take longer than other transactions.
        async with self._engine.begin() as connection:
            await connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            await self.lock(connection, "migration")
            # This queries the table `pg_namespace`, because the function `to_regnamespace` may answer from a cache that
            # is older than the lock.
            if not await connection.scalar(_FIND_SCHEMA, {"name": self._schema}):
                await connection.execute(sa.schema.CreateSchema(self._schema))
            await connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public"))
            # The extension may be in another schema, if somebody created it there before.
            place = sa.text("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'")
            await set_search_path(connection, f"{self._schema}, {await connection.scalar(place)}")
            await connection.run_sync(migrate, revisions)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction, which may also write, for the `async with` block; give up if the database is too slow.

        Raises:
            sqlalchemy.exc.TimeoutError: When the database does not answer in time.
        """
        async with self._limit_time(), self._in_schema.begin() as connection:
            yield connection

    async def select(self, query: Query) -> list[dict[str, Any]]:
        """Run a query with autocommit, which needs no messages to begin and end a transaction, and return its rows.

        Raises:
            sqlalchemy.exc.TimeoutError: When the database does not answer in time.
        """
        async with self._limit_time(), self._single_queries.connect() as connection:
            return await fetch_rows(connection, query)

    @asynccontextmanager
    async def _limit_time(self) -> AsyncIterator[None]:
        # The shield keeps the transaction running if the caller is cancelled. Otherwise, it would be unknown whether
        # the transaction was committed.
        seconds = self._busy_seconds + STATEMENT_SECONDS + PATIENCE_SECONDS
        with anyio.move_on_after(seconds, shield=True) as scope:
            yield
        if scope.cancelled_caught:
            raise sa.exc.TimeoutError(f"PostgreSQL did not answer within {seconds:g} s")

    async def lock(self, connection: AsyncConnection, purpose: str) -> None:
        """Acquire PostgreSQL's advisory lock for this schema and purpose."""
        key = sa.func.hashtextextended(f"{self._schema}: {purpose}", 0)
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    async def read_time(self, connection: AsyncConnection, now: float) -> float:
        """Return the database's time, because the processes may be on machines with different clocks."""
        del now
        time = sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float))
        return float((await connection.execute(time)).scalar_one())

    async def listen(self) -> None:
        """Pass changes by other processes to `changes` in an endless loop; reconnect if the connection is lost.

        One connection receives the changes in all schemas of this process. So in a guest, which uses another object's
        connections, the method returns at once.
        """
        if self._is_guest:
            return
        while True:
            try:
                connection = await self._connect()
                # `async with` might leave psycopg's connection open after a cancellation, because psycopg would await a
                # rollback first, and anyio would cancel this as well.
                try:
                    await self._hear(connection)
                finally:
                    await connection.close()
            except psycopg.Error as error:
                logger.info("Changes by other processes are not told: %s", error)
            finally:
                for changes in self._list_changes():
                    changes.are_reported = False
            for changes in self._list_changes():
                changes.wake_all()
            await anyio.sleep(PAUSE_SECONDS)

    async def send_callback(self, id_: str) -> bool:
        """Send KIE's callback to all processes, so that the process that watches the task gets it; return True."""
        async with self.writing() as connection:
            await connection.execute(sa.select(sa.func.pg_notify(self._schema, f"{CALLBACK_PREFIX}{id_}")))
        return True

    async def _hear(self, connection: psycopg.AsyncConnection[Any]) -> None:
        listening: set[str] = set()
        while True:
            for schema in listening - self._heard.keys():
                await connection.execute(psycopg.sql.SQL("UNLISTEN {}").format(psycopg.sql.Identifier(schema)))
                listening.remove(schema)
            for schema in self._heard.keys() - listening:
                await connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(schema)))
                listening.add(schema)
            for changes in self._list_changes(listening):
                if not changes.are_reported:
                    changes.are_reported = True
                    # Changes before this `LISTEN` were not reported. So all waiting callers are woken to read their
                    # tasks.
                    changes.wake_all()
            # The wait ends after PAUSE_SECONDS, so that the loop notices schemas that were opened or closed meanwhile.
            async for notification in connection.notifies(timeout=PAUSE_SECONDS):
                for changes in self._list_changes([notification.channel]):
                    changes.receive(notification.payload)

    def _list_changes(self, schemas: Iterable[str] | None = None) -> list[Changes]:
        """Return the `Changes` objects of the callers who wait in these schemas; if None, in all open schemas."""
        names = [*self._heard] if schemas is None else schemas
        return [each for name in names for each in self._heard.get(name, ())]

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        _, arguments = self._engine.dialect.create_connect_args(self._engine.url)
        return await psycopg.AsyncConnection.connect(**arguments, autocommit=True)


async def set_search_path(connection: AsyncConnection, path: str) -> None:
    """Set the search path of this transaction, for statements that name tables without a schema."""
    await connection.execute(_SET_SEARCH_PATH, {"path": path})


class _TextDumper(StrDumper):
    """Encodes texts for PostgreSQL; replaces characters that PostgreSQL refuses (NULs and lone surrogates)."""

    def dump(self, obj: str) -> bytes:
        return obj.replace("\0", "\ufffd").encode(errors="replace")


def check_system(system: str = sys.platform) -> None:
    """Refuse PostgreSQL on Windows, where psycopg and child processes such as ffmpeg need different event loops.

    Raises:
        ConfigurationError: When the system is Windows.
    """
    if system == "win32":
        raise ConfigurationError(
            "The ledger cannot be on PostgreSQL when the server runs on Windows.",
            "Remove KIE_MCP_DATABASE_URL, or run the server in WSL or in a container.",
        )


def find_time_zone(find_name: Callable[[], str | None] = tzlocal.get_localzone_name) -> str:
    """Return the name of this machine's time zone; `UTC` if the machine names none, as in some containers.

    Args:
        find_name: A function that returns the name, or None, or raises a LookupError if its sources disagree.
    """
    try:
        return find_name() or "UTC"
    except LookupError:
        return "UTC"


def create_engine(url: str, busy_seconds: float) -> AsyncEngine:
    """Create the engine for a database, without connecting to the database yet.

    Raises:
        ConfigurationError: When the URL cannot be read.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise explain_refusal("the URL cannot be read") from None
    options = (
        "-c search_path=pg_catalog",
        f"-c TimeZone={find_time_zone()}",
        f"-c lock_timeout={round(busy_seconds * 1000)}",
        f"-c statement_timeout={STATEMENT_SECONDS}s",
        # A process may hang in the middle of a transaction. Then the database ends the transaction after this time, so
        # that other processes can get its locks.
        f"-c idle_in_transaction_session_timeout={STATEMENT_SECONDS}s",
    )
    given = {
        "application_name": "kie-mcp",
        "connect_timeout": str(CONNECT_SECONDS),
        "keepalives_idle": "10",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        **parsed.query,
        "options": " ".join([str(parsed.query.get("options", "")), *options]),
    }
    engine = create_async_engine(
        parsed.set(drivername=f"postgresql+{DRIVER}", query=given),
        isolation_level="READ COMMITTED",
        execution_options={"compiled_cache": COMPILED},
        # The parameters of statements are hidden in error messages, so that prompts do not get into the log.
        hide_parameters=True,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=busy_seconds,
        # A connection is tested before each use, because a firewall, or a restart of the database, may have closed it.
        # See `LedgerDialect.do_ping()`.
        pool_pre_ping=True,
    )
    sa.event.listen(engine.sync_engine, "connect", _configure)
    return engine


def _configure(connection: DBAPIConnection, _: object) -> None:
    connection.driver_connection.adapters.register_dumper(str, _TextDumper)


def explain_refusal(reason: object) -> ConfigurationError:
    """Return the error that says why a database cannot be used."""
    text = str(reason).partition("\n")[0].rstrip(".")
    return ConfigurationError(
        f"The ledger's database cannot be used: {text}.",
        "See that PostgreSQL runs, and that KIE_MCP_DATABASE_URL names a database whose user may create a schema and "
        "the extension pg_trgm.",
    )
