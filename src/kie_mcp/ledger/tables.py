"""The ledger's tables, what makes an older file's into them, and the file itself."""

import logging
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kie_mcp.errors import ConfigurationError

logger = logging.getLogger(__name__)

# Other servers may have the file open: a step only adds, so that the version before it can go on.
STEPS = (
    "ALTER TABLE tasks ADD COLUMN request JSON",
    "ALTER TABLE tasks ADD COLUMN basis TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE tasks ADD COLUMN reserved FLOAT NOT NULL DEFAULT 0",
    "ALTER TABLE tasks ADD COLUMN tariff TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE tasks ADD COLUMN units FLOAT NOT NULL DEFAULT 1",
    "ALTER TABLE tasks ADD COLUMN balance FLOAT",
    "ALTER TABLE tasks ADD COLUMN fingerprint TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE tasks ADD COLUMN session TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE tasks ADD COLUMN watcher TEXT",
    "ALTER TABLE tasks ADD COLUMN cancelled FLOAT",
)
"""What makes the ledger of each version, from 1, that of the next; a new table comes with a step, too."""
VERSION = 1 + len(STEPS)

NAME = "ledger.sqlite3"
BUSY_SECONDS = 10
"""How long a server waits for another one's writing."""

metadata = sa.MetaData()

versions = sa.Table("ledger", metadata, sa.Column("version", sa.Integer, nullable=False))

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kie_id", sa.Text, index=True),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("finished", sa.Float),
    sa.Column("estimate", sa.JSON),
    sa.Column("credits", sa.Float),
    sa.Column("results", sa.JSON, nullable=False),
    sa.Column("texts", sa.JSON, nullable=False),
    sa.Column("error", sa.JSON),
    sa.Column("saved", sa.Boolean, nullable=False, index=True),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("request", sa.JSON),
    sa.Column("basis", sa.Text, nullable=False, server_default=""),
    sa.Column("reserved", sa.Float, nullable=False, server_default="0"),
    sa.Column("tariff", sa.Text, nullable=False, server_default=""),
    sa.Column("units", sa.Float, nullable=False, server_default="1"),
    sa.Column("balance", sa.Float),
    sa.Column("fingerprint", sa.Text, nullable=False, server_default="", index=True),
    sa.Column("session", sa.Text, nullable=False, server_default=""),
    sa.Column("watcher", sa.Text),
    sa.Column("cancelled", sa.Float),
)

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("size", sa.Integer),
    sa.Column("mime_type", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("alive_until", sa.Float, nullable=False),
)
"""The processes that watch tasks."""

creates = sa.Table(
    "creates",
    metadata,
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
"""When KIE was asked to start something, as far back as its limit looks."""

confirmations = sa.Table(
    "confirmations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)
"""What a person may still agree to."""


async def connect(folder: Path, *, busy_seconds: float = BUSY_SECONDS) -> AsyncEngine:
    """Open the ledger's file in a folder, making or upgrading it if need be.

    One that is broken is moved aside, and a new one begun.

    Args:
        folder: Where it is.
        busy_seconds: How long to wait for another server's writing.

    Raises:
        ConfigurationError: When the folder cannot be used, or a newer kie-mcp wrote the ledger.
    """
    _make(folder)
    place = folder / NAME
    for again in (True, False):
        known = _inode(place)
        engine = create_async_engine(f"sqlite+aiosqlite:///{place}", connect_args={"timeout": busy_seconds})
        sa.event.listen(engine.sync_engine, "connect", _careful)
        try:
            await _migrate(engine)
        except sa.exc.DBAPIError as error:
            await close(engine)
            # Of two that make the file at once, SQLite refuses one without letting it wait.
            if again and "locked" in str(error.orig):
                continue
            if again and _is_broken(error) and await anyio.to_thread.run_sync(_set_aside, place, known):
                continue
            raise ConfigurationError(
                f"The ledger in {folder} cannot be opened: {error.orig}.", "Set KIE_MCP_DATA_DIR to another folder."
            ) from None
        except ConfigurationError:
            await close(engine)
            raise
        return engine
    raise AssertionError


async def close(engine: AsyncEngine) -> None:
    """Let go of the file."""
    with anyio.CancelScope(shield=True):
        await engine.dispose()


async def _migrate(engine: AsyncEngine) -> None:
    # A driver's thread whose caller was cancelled would never end, nor would the process.
    with anyio.CancelScope(shield=True):
        async with engine.begin() as connection:
            await _check(connection)
            if await _version(connection) < VERSION:
                # Other servers may be about to do the same: whoever has the lock does it.
                await connection.execute(sa.text("BEGIN IMMEDIATE"))
                await _bring_up(connection, await _version(connection))


async def _version(connection: AsyncConnection) -> int:
    """The version of the ledger in the file, 0 when there is none yet.

    Raises:
        ConfigurationError: When a newer kie-mcp wrote it.
    """
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(versions.name)):
        return 0
    version = (await connection.execute(sa.select(versions.c.version))).scalar() or 0
    if version > VERSION:
        raise ConfigurationError(
            f"A newer kie-mcp wrote this ledger (version {version}, this one reads {VERSION}).",
            "Update kie-mcp, or set KIE_MCP_DATA_DIR to another folder.",
        )
    return version


async def _bring_up(connection: AsyncConnection, version: int) -> None:
    """Make the tables that are missing, and of those of this version today's."""
    for table in metadata.sorted_tables:
        await connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    if version:
        for step in STEPS[version - 1 :]:
            await connection.execute(sa.text(step))
        await connection.execute(sa.update(versions).values(version=VERSION))
    else:
        await connection.execute(sa.insert(versions).values(version=VERSION))
    for table in metadata.sorted_tables:
        for index in table.indexes:
            await connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


async def _check(connection: AsyncConnection) -> None:
    """Read every page once: a broken one would be met in the middle of a paid task.

    Raises:
        sqlalchemy.exc.DatabaseError: When one is broken.
    """
    found = (await connection.execute(sa.text("PRAGMA quick_check(1)"))).scalar()
    if found != "ok":
        raise sa.exc.DatabaseError("PRAGMA quick_check(1)", None, Exception(f"{MALFORMED}: {found}"))


MALFORMED = "malformed"


def _is_broken(error: sa.exc.DBAPIError) -> bool:
    return MALFORMED in str(error.orig) or "not a database" in str(error.orig)


def _inode(place: Path) -> int:
    return place.stat().st_ino if place.exists() else 0


def _set_aside(place: Path, known: int) -> bool:
    """Give a broken ledger another name, unless another server has done that; whether a new one can be begun."""
    if _inode(place) != known:
        return True
    number = 1
    while (aside := place.with_name(f"{NAME}.broken-{number}")).exists():
        number += 1
    try:
        for ending in ("", "-wal", "-shm"):
            part = place.with_name(NAME + ending)
            if part.exists():
                part.replace(aside.with_name(aside.name + ending))
    except OSError:
        return False
    logger.error(
        "The ledger was broken. It is now %s, and a new one was begun; get_task finds earlier tasks by KIE's id.", aside
    )
    return True


def _make(folder: Path) -> None:
    try:
        # Prompts are nobody else's business.
        for each in (*reversed(folder.parents), folder):
            each.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The ledger's folder {folder} cannot be made: {error.strerror}.", "Set KIE_MCP_DATA_DIR."
        ) from None


def _careful(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    # Several servers may share the file; what is committed survives a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # SQLite's own knows ASCII only.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: Any) -> Any:
    return text and text.casefold()
