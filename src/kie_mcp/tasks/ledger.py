"""Rows on disk: every task from before it is paid, every upload while it lives."""

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import anyio
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kie_mcp.catalog.fields import Kind
from kie_mcp.errors import ConfigurationError
from kie_mcp.tasks.task import FINAL, Result, State, Task

# Other servers may have the file open: a step only adds, so that the version before it can go on.
STEPS = ("ALTER TABLE tasks ADD COLUMN request JSON",)
"""What makes the ledger of each version, from 1, that of the next."""
VERSION = 1 + len(STEPS)

metadata = sa.MetaData()

versions = sa.Table("ledger", metadata, sa.Column("version", sa.Integer, nullable=False))

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kie_id", sa.Text, index=True),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
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
    sa.Column("saved", sa.Boolean, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("request", sa.JSON),
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


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was handed to KIE."""

    id: str
    sha256: str | None
    name: str
    url: str
    size: int | None
    mime_type: str
    created: float
    expires: float


class Ledger:
    """The tables, in a SQLite file."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, folder: Path) -> Self:
        """Open the ledger in a folder, making both if need be.

        Raises:
            ConfigurationError: When the folder cannot be used, or a newer kie-mcp wrote the ledger.
        """
        _make(folder)
        engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'ledger.sqlite3'}")
        sa.event.listen(engine.sync_engine, "connect", _careful)
        ledger = cls(engine)
        try:
            await ledger._migrate()
        except sa.exc.DBAPIError as error:
            await ledger.close()
            raise ConfigurationError(
                f"The ledger in {folder} cannot be opened: {error.orig}.", "Set KIE_MCP_DATA_DIR to another folder."
            ) from None
        except ConfigurationError:
            await ledger.close()
            raise
        return ledger

    async def close(self) -> None:
        """Let go of the database."""
        with anyio.CancelScope(shield=True):
            await self._engine.dispose()

    async def add(self, task: Task) -> None:
        """Write a new task down."""
        async with self._transaction() as connection:
            await connection.execute(sa.insert(tasks).values(**_row(task)))

    async def save(self, task: Task) -> None:
        """Write a task's present state down."""
        async with self._transaction() as connection:
            await connection.execute(sa.update(tasks).where(tasks.c.id == task.id).values(**_row(task)))

    async def find(self, id_: str) -> Task | None:
        """The task with this id, ours or KIE's."""
        rows = await self._select(sa.select(tasks).where(sa.or_(tasks.c.id == id_, tasks.c.kie_id == id_)))
        return _task(rows[0]) if rows else None

    async def page(
        self,
        *,
        states: Sequence[State] = (),
        kind: Kind | None = None,
        model: str = "",
        words: str = "",
        before: tuple[float, str] | None = None,
        limit: int = 20,
    ) -> list[Task]:
        """Tasks, newest first.

        Args:
            states: Only these; empty means all.
            kind: Only what makes this.
            model: Only ids that contain this.
            words: Only prompts that contain all of these words.
            before: Time and id of the last task of the page before.
            limit: How many at most.
        """
        query = sa.select(tasks).order_by(tasks.c.created.desc(), tasks.c.id.desc()).limit(limit)
        if states:
            query = query.where(tasks.c.state.in_(states))
        if kind:
            query = query.where(tasks.c.kind == kind)
        if model:
            query = query.where(tasks.c.model.contains(model, autoescape=True))
        for word in words.split():
            query = query.where(tasks.c.arguments["prompt"].as_string().icontains(word, autoescape=True))
        if before:
            query = query.where(sa.tuple_(tasks.c.created, tasks.c.id) < before)
        return [_task(row) for row in await self._select(query)]

    async def unfinished(self) -> list[Task]:
        """What still has to be watched, or saved."""
        open_ = sa.or_(tasks.c.state.not_in(FINAL), sa.and_(tasks.c.state == "succeeded", tasks.c.saved == sa.false()))
        return [_task(row) for row in await self._select(sa.select(tasks).where(open_).order_by(tasks.c.created))]

    async def add_upload(self, upload: Upload) -> None:
        """Write an upload down."""
        async with self._transaction() as connection:
            await connection.execute(sa.insert(uploads).values(**dataclasses.asdict(upload)))

    async def live_uploads(self, now: float, *, sha256: str | None = None, id_: str | None = None) -> list[Upload]:
        """Uploads that have not expired, newest first; with the content or the id, if given."""
        query = sa.select(uploads).where(uploads.c.expires > now).order_by(uploads.c.created.desc())
        if sha256:
            query = query.where(uploads.c.sha256 == sha256)
        if id_:
            query = query.where(uploads.c.id == id_)
        return [Upload(**row) for row in await self._select(query)]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        # A driver's thread whose caller was cancelled would never end, nor would the process.
        with anyio.CancelScope(shield=True):
            async with self._engine.begin() as connection:
                yield connection

    async def _select(self, query: sa.Select[Any]) -> Sequence[dict[str, Any]]:
        async with self._transaction() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def _migrate(self) -> None:
        async with self._transaction() as connection:
            # Another server may be doing the same.
            for table in metadata.sorted_tables:
                await connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    await connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
            version = (await connection.execute(sa.select(versions.c.version))).scalar()
            if version is None:
                await connection.execute(sa.insert(versions).values(version=VERSION))
            elif version > VERSION:
                raise ConfigurationError(
                    f"A newer kie-mcp wrote this ledger (version {version}, this one reads {VERSION}).",
                    "Update kie-mcp, or set KIE_MCP_DATA_DIR to another folder.",
                )
            else:
                await _upgrade(connection, version)


async def _upgrade(connection: AsyncConnection, version: int) -> None:
    for before, step in enumerate(STEPS[version - 1 :], start=version):
        # Whoever changes the number holds the lock until the step is done; others then find it changed.
        changed = sa.update(versions).where(versions.c.version == before).values(version=before + 1)
        if (await connection.execute(changed)).rowcount:
            await connection.execute(sa.text(step))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The ledger's folder {folder} cannot be made: {error.strerror}.", "Set KIE_MCP_DATA_DIR."
        ) from None


def _careful(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    # Several servers may share the file; what is committed survives a power cut.
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # SQLite's own knows ASCII only.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: str | None) -> str | None:
    return text and text.casefold()


def _row(task: Task) -> dict[str, Any]:
    return dataclasses.asdict(task)


def _task(row: dict[str, Any]) -> Task:
    results = [Result(**each) for each in row.pop("results")]
    estimate = row.pop("estimate")
    return Task(**row, results=results, estimate=tuple(estimate) if estimate else None)
