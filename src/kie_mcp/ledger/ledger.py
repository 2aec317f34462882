"""Rows on disk: every task from before it is paid, every upload while it lives, and what servers must agree on.

Several servers may share the file. What must not happen twice is one transaction that first takes the lock for writing.
"""

import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from operator import ge, le, lt
from pathlib import Path
from typing import Any, Self

import anyio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kie_mcp.catalog.fields import Kind
from kie_mcp.ledger import lineage, tables
from kie_mcp.ledger.records import Spent, Upload
from kie_mcp.ledger.tables import confirmations, creates, servers, tasks, uploads, versions
from kie_mcp.ledger.task import FINAL, Result, State, Task

LEASE = 15.0
"""Seconds for which a server watches its tasks without saying that it is still there."""
REPEATABLE: tuple[State, ...] = ("failed", "expired")
"""What may be asked for again at once: nothing is under way, and nothing came of it."""
SAMPLE = 12
"""How many charges of the past an estimate looks at."""


LedgerError = sa.exc.SQLAlchemyError
"""What every method of the ledger raises when the database refuses."""


class Ledger:
    """The tables, in a SQLite file."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._queue = anyio.Lock()
        """Of what this process has to write."""

    @classmethod
    async def open(cls, folder: Path, *, busy_seconds: float = tables.BUSY_SECONDS) -> Self:
        """Open the ledger in a folder, making both if need be.

        Args:
            folder: Where it is.
            busy_seconds: How long to wait for another server's writing.

        Raises:
            ConfigurationError: When the folder cannot be used, or a newer kie-mcp wrote the ledger.
        """
        return cls(await tables.connect(folder, busy_seconds=busy_seconds))

    async def close(self) -> None:
        """Let go of the database."""
        await tables.close(self._engine)

    async def add(
        self, task: Task, *, repeats_since: float | None = None, check: Callable[[Spent], None] | None = None
    ) -> Task | None:
        """Write a new task down, unless it is there already, has been asked for, or there is no money for it.

        Args:
            task: The task; its server watches it.
            repeats_since: From when on an equal call is the same, if that has ended; None lets every call be another.
            check: Raises where the task would cost too much beside what was spent; nothing else is written meanwhile.

        Returns:
            The task that is there or was asked for before, in place of the new one; nothing when that was written down.

        Raises:
            Exception: What `check` raises; nothing was written.
        """
        async with self._exclusive() as connection:
            if task.kie_id and (
                there := await _rows(connection, sa.select(tasks).where(tasks.c.kie_id == task.kie_id))
            ):
                return _task(there[0])
            if repeats_since is not None and (known := await _repeated(connection, task.fingerprint, repeats_since)):
                return known
            if check:
                check(await _spent(connection, task))
            await connection.execute(sa.insert(tasks).values(**_row(task), watcher=task.session))
        return None

    async def repeated(self, fingerprint: str, since: float) -> Task | None:
        """The task that an equal call asked for, since then or still under way, unless that has come to nothing."""
        async with self._reading() as connection:
            return await _repeated(connection, fingerprint, since)

    async def spent(self, task: Task) -> Spent:
        """What counts against the caps, in the day and the session of a task."""
        async with self._reading() as connection:
            return await _spent(connection, task)

    async def save(self, task: Task) -> None:
        """Write a task's present state down, but for `cancelled`: another server's caller may have said so."""
        await self._change(task, _present(task))

    async def cancel(self, task: Task) -> None:
        """Write down that a task's caller has stopped waiting."""
        await self._change(task, {"cancelled": task.cancelled})

    async def find(self, id_: str) -> Task | None:
        """The task with this id, ours or KIE's."""
        found = await self._tasks(sa.select(tasks).where(sa.or_(tasks.c.id == id_, tasks.c.kie_id == id_)))
        return found[0] if found else None

    async def sources(self, task: Task) -> list[str]:
        """The tasks that a task was made from, by our ids where the ledger has them."""
        return (await self.lineage([task]))[task.id]

    async def lineage(self, made: Sequence[Task]) -> dict[str, list[str]]:
        """The same for several tasks, by their ids."""
        named = {task.id: lineage.sources(task.arguments) for task in made}
        theirs = {id_ for ids in named.values() for id_ in ids}
        query = sa.select(tasks.c.id, tasks.c.kie_id).where(tasks.c.kie_id.in_(theirs))
        ours = {row["kie_id"]: row["id"] for row in await self._select(query)} if theirs else {}
        return {id_: list(dict.fromkeys(ours.get(each, each) for each in ids)) for id_, ids in named.items()}

    async def page(
        self,
        *,
        states: Sequence[State] = (),
        kind: Kind | None = None,
        model: str = "",
        words: str = "",
        since: float | None = None,
        until: float | None = None,
        credits_: tuple[float | None, float | None] = (None, None),
        made_from: Sequence[str] = (),
        before: tuple[float, str] | None = None,
        limit: int = 20,
    ) -> list[Task]:
        """Tasks, newest first.

        Args:
            states: Only these; empty means all.
            kind: Only what makes this.
            model: Only ids that contain this.
            words: Only prompts that contain all of these words.
            since: Only what was asked for then or later,
            until: and earlier than this.
            credits_: Only what was charged as much, from and to; what may be charged where that is not known.
            made_from: Only what refers to the task with one of these ids.
            before: Time and id of the last task of the page before.
            limit: How many at most.
        """
        charged, arguments = sa.func.coalesce(tasks.c.credits, tasks.c.reserved), sa.cast(tasks.c.arguments, sa.Text)
        least, most = credits_
        query = sa.select(tasks).order_by(tasks.c.created.desc(), tasks.c.id.desc()).limit(limit)
        if states:
            query = query.where(tasks.c.state.in_(states))
        if kind:
            query = query.where(tasks.c.kind == kind)
        if model:
            query = query.where(tasks.c.model.contains(model, autoescape=True))
        for word in words.split():
            query = query.where(tasks.c.arguments["prompt"].as_string().icontains(word, autoescape=True))
        bounds = ((tasks.c.created, ge, since), (tasks.c.created, lt, until), (charged, ge, least), (charged, le, most))
        for column, holds, bound in bounds:
            if bound is not None:
                query = query.where(holds(column, bound))
        if made_from:
            marks = (mark for id_ in made_from for mark in lineage.marks(id_))
            query = query.where(sa.or_(*(arguments.contains(mark, autoescape=True) for mark in marks)))
        if before:
            query = query.where(sa.tuple_(tasks.c.created, tasks.c.id) < before)
        return await self._tasks(query)

    async def since(self, moment: float) -> list[Task]:
        """Every task that was asked for since then, the oldest first."""
        return await self._tasks(sa.select(tasks).where(tasks.c.created >= moment).order_by(tasks.c.created))

    async def beat(self, server: str, now: float) -> int:
        """Say that a server is there, for as long as its lease; how many there are."""
        async with self._exclusive() as connection:
            await connection.execute(sa.delete(servers).where(sa.or_(servers.c.id == server, ~_alive(now))))
            await connection.execute(sa.insert(servers).values(id=server, alive_until=now + LEASE))
            return (await connection.execute(sa.select(sa.func.count()).select_from(servers))).scalar_one()

    async def leave(self, server: str) -> None:
        """Let others have what a server watches."""
        async with self._writing() as connection:
            await connection.execute(sa.delete(servers).where(servers.c.id == server))

    async def claim(self, id_: str, server: str, now: float) -> Task | None:
        """Let a server watch a task, as it is now; nothing when another one does, or there is nothing to watch."""
        taken = sa.update(tasks).where(tasks.c.id == id_, tasks.c.saved == sa.false(), _free(server, now))
        async with self._writing() as connection:
            if not (await connection.execute(taken.values(watcher=server))).rowcount:
                return None
            (row,) = await _rows(connection, sa.select(tasks).where(tasks.c.id == id_))
            return _task(row)

    async def unwatched(self, server: str, now: float) -> list[str]:
        """The ids of what still has to be watched, or saved, and no other server does it; the oldest first."""
        query = sa.select(tasks.c.id).where(tasks.c.saved == sa.false(), _free(server, now))
        return [row["id"] for row in await self._select(query.order_by(tasks.c.created))]

    async def turn(
        self, account: str, time: Callable[[], float], most: int, seconds: float, task: Task | None = None
    ) -> float:
        """Take one of the turns that all servers have together to ask KIE for something.

        Args:
            account: Whose turns they are.
            time: Tells the time; it may be long until the ledger can be written.
            most: How many there are
            seconds: in this time.
            task: What is asked for, as it is once the turn is taken; it is written down with that.

        Returns:
            Seconds until there may be one, 0 when it was taken.
        """
        async with self._exclusive() as connection:
            now = time()
            # After a clock was set back, what lies ahead says nothing.
            outside = sa.or_(creates.c.at <= now - seconds, creates.c.at > now + seconds)
            await connection.execute(sa.delete(creates).where(outside))
            query = sa.select(creates.c.at).where(creates.c.account == account).order_by(creates.c.at.desc())
            taken = (await connection.execute(query.limit(most))).scalars().all()
            if len(taken) < most:
                await connection.execute(sa.insert(creates).values(account=account, at=now))
                if task:
                    await connection.execute(_update(task, _present(task)))
                return 0
            return max(float(taken[-1]) + seconds - now, 0.01)

    async def ask_for_confirmation(self, id_: str, fingerprint: str, now: float, seconds: float) -> None:
        """Remember what a person may agree to for a while."""
        async with self._writing() as connection:
            await connection.execute(sa.delete(confirmations).where(confirmations.c.expires <= now))
            row = {"id": id_, "fingerprint": fingerprint, "expires": now + seconds}
            await connection.execute(sa.insert(confirmations).values(**row))

    async def is_confirmed(self, id_: str, fingerprint: str, now: float) -> bool:
        """Whether this call was what the id was given for, not too long ago."""
        known = confirmations.c
        query = sa.select(known.id).where(known.id == id_, known.fingerprint == fingerprint, known.expires > now)
        return bool(await self._select(query))

    async def charges(self, model: str, tariff: str) -> list[float]:
        """What the last calls of this model and tariff were charged for a unit, the latest first."""
        alike = (tasks.c.model == model, tasks.c.tariff == tariff, tasks.c.units > 0)
        # A balance that has not fallen yet looks like a gift, which no cap would hold back.
        known = (tasks.c.state == "succeeded", tasks.c.credits > 0)
        query = sa.select((tasks.c.credits / tasks.c.units).label("each")).where(*alike, *known)
        return [row["each"] for row in await self._select(query.order_by(tasks.c.finished.desc()).limit(SAMPLE))]

    async def lengths(self, model: str, duration: object, *, newest: int) -> list[float]:
        """How many seconds the last tasks of this model and duration took, the latest last.

        Args:
            model: KIE's id.
            duration: The argument `duration` of the tasks.
            newest: How many at least, where there are that many.
        """
        seconds = (tasks.c.finished - tasks.c.created).label("seconds")
        # Where another server took over, the end may have been noticed long after.
        seen = (tasks.c.model == model, tasks.c.state == "succeeded", tasks.c.watcher == tasks.c.session)
        query = sa.select(seconds, tasks.c.arguments).where(*seen).order_by(tasks.c.finished.desc())
        rows = await self._select(query.limit(5 * newest))
        return [row["seconds"] for row in reversed(rows) if row["arguments"].get("duration") == duration]

    async def runs_alone(self, task: Task) -> bool:
        """Whether no other task was under way since this one was asked for."""
        ended_since = sa.or_(tasks.c.finished.is_(None), tasks.c.finished >= task.created)
        query = sa.select(tasks.c.id).where(tasks.c.id != task.id, tasks.c.state != "prepared", ended_since).limit(1)
        return not await self._select(query)

    async def add_upload(self, upload: Upload) -> None:
        """Write an upload down."""
        async with self._writing() as connection:
            await connection.execute(sa.insert(uploads).values(**dataclasses.asdict(upload)))

    async def forget_uploads(self, urls: Sequence[str]) -> int:
        """Trust these uploads no longer; how many there were."""
        async with self._writing() as connection:
            gone = sa.update(uploads).where(uploads.c.url.in_(urls), uploads.c.expires > 0).values(expires=0)
            return (await connection.execute(gone)).rowcount

    async def live_uploads(
        self, now: float, *, sha256: str | None = None, id_: str | None = None, url: str | None = None
    ) -> list[Upload]:
        """Uploads that have not expired, newest first; with the content, the id or the address, if given."""
        query = sa.select(uploads).where(uploads.c.expires > now).order_by(uploads.c.created.desc())
        for column, wanted in ((uploads.c.sha256, sha256), (uploads.c.id, id_), (uploads.c.url, url)):
            if wanted:
                query = query.where(column == wanted)
        return [Upload(**row) for row in await self._select(query)]

    async def _change(self, task: Task, values: dict[str, Any]) -> None:
        async with self._writing() as connection:
            await connection.execute(_update(task, values))

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        # A driver's thread whose caller was cancelled would never end, nor would the process.
        with anyio.CancelScope(shield=True):
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        # SQLite lets whoever waits for its lock try again from time to time: among many, some never get it.
        with anyio.CancelScope(shield=True):
            async with self._queue, self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that nobody writes beside."""
        async with self._writing() as connection:
            # What is written first takes the lock, and what is read then stays true.
            await connection.execute(sa.update(versions).values(version=versions.c.version))
            yield connection

    async def _select(self, query: sa.Select[Any]) -> Sequence[dict[str, Any]]:
        async with self._reading() as connection:
            return await _rows(connection, query)

    async def _tasks(self, query: sa.Select[Any]) -> list[Task]:
        return [_task(row) for row in await self._select(query)]


async def _rows(connection: AsyncConnection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def _repeated(connection: AsyncConnection, fingerprint: str, since: float) -> Task | None:
    # What is under way stays the same call for as long as it takes.
    asked = sa.or_(tasks.c.created >= since, tasks.c.state.not_in(FINAL))
    same = (tasks.c.fingerprint == fingerprint, asked, tasks.c.state.not_in(REPEATABLE))
    rows = await _rows(connection, sa.select(tasks).where(*same).order_by(tasks.c.created.desc()).limit(1))
    return _task(rows[0]) if rows else None


async def _spent(connection: AsyncConnection, task: Task) -> Spent:
    """What was charged, or may be, in the day and the session of a task."""
    # What failed without a word about credits was given back.
    failed = sa.case((tasks.c.state == "failed", 0), else_=tasks.c.reserved)
    cost = sa.func.coalesce(tasks.c.credits, failed)
    in_session = sa.case((tasks.c.session == task.session, cost), else_=0)
    day = tasks.c.created > task.created - 24 * 3600
    query = sa.select(
        sa.func.coalesce(sa.func.sum(sa.case((day, cost), else_=0)), 0).label("day"),
        sa.func.coalesce(sa.func.sum(in_session), 0).label("session"),
    ).where(sa.or_(day, tasks.c.session == task.session))
    (row,) = await _rows(connection, query)
    return Spent(**row)


def _alive(now: float) -> sa.ColumnElement[bool]:
    # One that is said to live longer than a lease was written by a clock that was ahead.
    return servers.c.alive_until.between(now, now + LEASE)


def _free(server: str, now: float) -> sa.ColumnElement[bool]:
    """Tasks that no other server watches."""
    others = sa.select(servers.c.id).where(servers.c.id != server, _alive(now))
    return sa.or_(tasks.c.watcher.is_(None), tasks.c.watcher.not_in(others))


def _row(task: Task) -> dict[str, Any]:
    return dataclasses.asdict(task)


def _present(task: Task) -> dict[str, Any]:
    row = _row(task)
    del row["cancelled"]
    return row


def _update(task: Task, values: dict[str, Any]) -> sa.Update:
    return sa.update(tasks).where(tasks.c.id == task.id).values(**values)


def _task(row: dict[str, Any]) -> Task:
    del row["watcher"]
    results = [Result(**each) for each in row.pop("results")]
    estimate = row.pop("estimate")
    return Task(**row, results=results, estimate=tuple(estimate) if estimate else None)
