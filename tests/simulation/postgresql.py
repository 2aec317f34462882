"""PostgreSQL on a machine on which nothing happens by chance: at any moment, it works for one process only."""

import random
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psycopg
from psycopg import waiting
from psycopg.waiting import Wait
from support.ledgers import find_database
from support.postgresql import PostgresqlServer

from kie_mcp.ledger import postgresql
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.postgresql import PostgresqlDatabase

BLOCKED_SECONDS = 0.001
"""Seconds between two looks at a statement that waits for another process's lock."""
PATIENCE_SECONDS = 0.005
"""Real seconds in which a statement usually ends, if it does not wait for a lock."""
TABLES = "tasks, prompts, uploads, servers, creates, reads, confirmations, marks, reservations, keys"


def wait_for_socket(socket: int, wanted: int) -> int:
    """Wait for real until a socket is ready; return 0 if it is not, because the statement probably waits for a lock."""
    poll = select.poll()
    poll.register(socket, (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0))
    events = sum(event for _, event in poll.poll(PATIENCE_SECONDS * 1000))
    if events & (select.POLLERR | select.POLLHUP):
        return wanted
    return (Wait.R if events & select.POLLIN else 0) | (Wait.W if events & select.POLLOUT else 0)


class SimulatedPostgresql:
    """What the machine's processes see of PostgreSQL, in place of psycopg's way to wait for it.

    Every statement ends before anything else goes on, unless it waits for a lock; otherwise, the machine would decide
    which of two statements is faster. Between two statements of a transaction, others have a turn now and then.
    """

    def __init__(self, server: PostgresqlServer, time: Callable[[], float]) -> None:
        self._monitor = psycopg.connect(server.url("postgres", "postgres"), autocommit=True)
        self._time = time

    def is_blocked(self, pid: int) -> bool:
        """Return whether the backend of a connection waits for a lock of another one."""
        row = self._monitor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid]).fetchone()
        return bool(row and row[0])

    async def wait(self, connection: psycopg.AsyncConnection[Any], generator: Any) -> Any:
        """Do one step of a connection."""
        await anyio.sleep(random.choice((0, 0, BLOCKED_SECONDS)))
        try:
            wanted = next(generator)
            while True:
                while not (ready := wait_for_socket(connection.pgconn.socket, wanted)):
                    if self.is_blocked(connection.pgconn.backend_pid):
                        await anyio.sleep(BLOCKED_SECONDS)
                wanted = generator.send(ready)
        except StopIteration as end:
            return end.value

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Put this in place of the real PostgreSQL until the block ends."""

        async def wait(connection: psycopg.AsyncConnection[Any], generator: Any, *_: object, **__: object) -> Any:
            return await self.wait(connection, generator)

        async def connect(*arguments: Any, **named: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            return waiting.wait_conn(*arguments, **named)

        async def read_time(*_: object) -> float:
            return self._time()

        async def listen(_: object) -> None:
            """Hear of nothing: when a notification arrives depends on the machine."""

        connections, database, module = psycopg.AsyncConnection, PostgresqlDatabase, waiting
        replaced: tuple[tuple[Any, str, Any], ...] = (
            (connections, "wait", wait),
            (module, "wait_conn_async", connect),
            (database, "read_time", read_time),
            (database, "listen", listen),
            # The server measures this time by its own clock, and a test may be stopped for a while.
            (postgresql, "STATEMENT_SECONDS", 3600),
        )
        before = [getattr(owner, name) for owner, name, _ in replaced]
        for owner, name, function in replaced:
            setattr(owner, name, function)
        try:
            yield
        finally:
            for (owner, name, _), function in zip(replaced, before, strict=True):
                setattr(owner, name, function)
            self._monitor.close()


@contextmanager
def empty_ledger(folder: Path, time: Callable[[], float]) -> Iterator[None]:
    """If a database is used in place of a ledger's folder, simulate PostgreSQL with empty tables."""
    if not (found := find_database(folder)):
        yield
        return
    server, name = found
    anyio.run(_create_tables, server.url(name))
    with server.connection(name, "postgres") as connection:
        connection.execute(f"TRUNCATE {TABLES}".encode())
    with SimulatedPostgresql(server, time).in_use():
        yield
    server.disconnect(name)


async def _create_tables(url: str) -> None:
    await (await Ledger.open(Path(), url=url)).close()
