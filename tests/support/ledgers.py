"""Tasks as rows of a ledger, in the year 2027, and the ledgers of tests: SQLite files or PostgreSQL databases."""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from kie_mcp.config import Settings
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import Result, Task
from support.postgresql import EMPTY, LEDGER, PostgresqlServer

NOW = 1_800_000_000.0


def task(id_: str, **more: Any) -> Task:
    """Return a task that was created at `NOW`; `more` sets further fields."""
    plain: dict[str, Any] = {
        "tool": "veo_video",
        "model": "veo3_fast",
        "kind": "video",
        "route": "veo",
        "arguments": {},
        "created": NOW,
    }
    return Task(**{"id": id_, **plain, **more})


def ids(tasks: Sequence[Task]) -> list[str]:
    """Return the ids of tasks."""
    return [each.id for each in tasks]


class NewLedgers:
    """The ledgers that the tests of this process create."""

    are_copies: ClassVar[bool] = True
    """Whether they are copies of one, because creating the tables takes five times as long as the rest."""


class _InUse:
    """The PostgreSQL server and the databases that the present test uses; no server for SQLite files."""

    server: ClassVar[PostgresqlServer | None] = None
    databases: ClassVar[set[str]] = set()


def use_server(server: PostgresqlServer | None) -> None:
    """Store the ledgers of this test on a PostgreSQL server, or in SQLite files if `server` is None."""
    if _InUse.server:
        for name in _InUse.databases:
            _InUse.server.drop_database(name)
    _InUse.databases.clear()
    _InUse.server = server


def find_database(folder: Path) -> tuple[PostgresqlServer, str] | None:
    """Return the server and the database name that replace a ledger's folder; None if SQLite is used."""
    if not (server := _InUse.server):
        return None
    name = f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"
    if name not in _InUse.databases:
        server.create_database(name, LEDGER if NewLedgers.are_copies else EMPTY)
        _InUse.databases.add(name)
    return server, name


def find_url(folder: Path) -> str:
    """Return the URL of the database that replaces a ledger's folder; empty if SQLite is used."""
    found = find_database(folder)
    return found[0].url(found[1]) if found else ""


async def open_ledger(folder: Path, **how: Any) -> Ledger:
    """Open the ledger of a folder: the SQLite file, or the database that replaces the folder."""
    return await Ledger.open(folder, url=find_url(folder), **how)


async def open_server_ledger(settings: Settings) -> Ledger:
    """Open the ledger of a server with these settings, as another process does."""
    return await Ledger.open(settings.state_dir, url=settings.ledger_url, schema=settings.ledger_schema)


def select_rows(folder: Path, query: str) -> Sequence[Mapping[str, Any]]:
    """Run a query on the ledger of a folder with a new connection, as another process does, and return the rows."""
    if found := find_database(folder):
        server, name = found
        return server.select(name, query)
    with closing(sqlite3.connect(folder / FILE_NAME)) as file:
        file.row_factory = sqlite3.Row
        return [dict(row) for row in file.execute(query)]


def change_rows(folder: Path, statement: str) -> None:
    """Run a statement that writes to the ledger of a folder with a new connection, as another process does."""
    if found := find_database(folder):
        server, name = found
        with server.connection(name) as connection:
            connection.execute(statement.encode())
        return
    with closing(sqlite3.connect(folder / FILE_NAME)) as file, file:
        file.execute(statement)


async def fill_ledger(folder: Path, count: int) -> None:
    """Write a ledger with `count` pictures, one for each minute; `thing 0` is the oldest. Their files do not exist."""
    ledger = await open_ledger(folder)
    made: dict[str, Any] = {"model": "z-image", "kind": "image", "state": "succeeded", "credits": 4.0, "saved": True}
    rows = [
        row_from_task(
            task(
                f"t_{number:012}",
                arguments={"prompt": f"thing {number}"},
                created=NOW - 60 * (count - number),
                results=[Result("https://kie.example/a.png", str(folder / f"{number}.png"), "image/png")],
                **made,
            )
        )
        for number in range(count)
    ]
    async with ledger.database.writing() as connection:
        await connection.execute(sa.insert(tasks), rows)
    await ledger.close()
