"""The world of a run: its servers, and all that can go wrong where they reach KIE, the ledger and the disk."""

import errno
import random
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import httpx2
import machine
import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.types import Message, Receive, Scope, Send
from support.runners import run_runner

from kie_mcp.kie.rate_limit import CreateLimiter
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger.database import Database
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.postgresql import PostgresqlDatabase
from kie_mcp.ledger.sqlite import SqliteDatabase
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.runner import Runner

T = TypeVar("T")

WINDOW = 30 * 24 * 3600
"""The repeat window in seconds; no jump of the clock is longer, so an equal call is always a repeated one."""
ACCEPTS = "reset-after", "hang-after", "after:502", "after:garbage", "after:empty", "truncated", "fail", "moved-urls"
FAULTS = {
    "create": ("unreachable", "reset-before", "hang-before", "429", "code:429", "500", "code:500", *ACCEPTS),
    "status": ("unreachable", "reset-before", "hang-before", "401", "429", "code:455", "502", "garbage", "truncated"),
    "media": ("reset-before", "403", "404", "500", "garbage", "xml", "truncated", "cut", "disk full"),
    "credit": ("unreachable", "hang-before", "500", "garbage"),
}
"""What can become of a request. KIE never forgets a task here, because it may be paid for anew after that."""
STOPS = 5, 20, 60
"""Seconds for which a process may stop."""
JUMPS = (-86_400, -3600, -60, 60, 3600, 86_400)
ID = re.compile(r"\b[0-9a-f]{8,32}|\b[tcs]_[a-z]{10}\b")


class Lost(AssertionError):
    """A promise is broken."""


@dataclass
class World:
    """What all processes share: the seed's choices, the faults so far, the trace, KIE, the clock and the disk."""

    choices: random.Random
    folder: Path
    trace: list[str]
    has_batches: bool
    """Whether there are batches and edits, beside single calls."""
    rules: Rules = field(default_factory=lambda: Rules(repeat_window=WINDOW))
    wrap_limiter: Callable[[CreateLimiter], CreateLimiter] = lambda limiter: limiter
    clock: machine.MachineClock = field(default_factory=machine.MachineClock)
    injected: Counter[str] = field(default_factory=Counter)
    calm: bool = False
    """Whether nothing goes wrong any more."""

    def __post_init__(self) -> None:
        # KIE's own clock is right. It has more credits than anybody can spend here.
        self.kie = Sandbox(credits=1e6, seconds=4, clock=lambda: machine.EPOCH)
        self.kie._clock = self.clock.true_time
        self.processes: list[Process] = []
        self._names: dict[str, str] = {}
        self._unused = count(1)

    def note(self, event: str) -> None:
        """Add to the trace, with a number in place of each id, because ids differ from run to run."""
        named = ID.sub(lambda found: self._names.setdefault(found[0], f"#{next(self._unused)}"), event)
        self.trace.append(f"{self.clock.monotonic():.3f} {named}")

    def happens(self, kind: str, share: float) -> bool:
        """Decide whether a fault happens, and count it."""
        if self.calm or self.choices.random() >= share:
            return False
        self.injected[kind] += 1
        return True


class Process:
    """One server process; it dies, stops for a while, or finds the disk full wherever it touches KIE or the ledger."""

    def __init__(self, world: World, name: int) -> None:
        self.world = world
        self.name = name
        self._life = anyio.CancelScope()
        self._calls: list[anyio.CancelScope] = []
        self._asleep_until = 0.0
        self._runner: Runner | None = None
        self._stopped = anyio.Event()

    async def live(self) -> None:
        """Run until it dies or is stopped."""
        world = self.world
        with self._life:
            world.note(f"{self.name} starts")
            async with run_runner(
                world.folder,
                self._reach_kie,
                world.clock,
                rules=world.rules,
                wrap_limiter=world.wrap_limiter,
                wrap_ledger=lambda ledger: Ledger(make_fragile(ledger.database, self)),
            ) as runner:
                # What it does in the background may have made it die while it started; nobody can call it then.
                await anyio.lowlevel.checkpoint_if_cancelled()
                self._runner = runner
                await self._stopped.wait()
                self._hang_up()
        world.note(f"{self.name} ends")

    def stop(self) -> None:
        """End as a server does whose client hangs up."""
        self._stopped.set()

    async def call(self, function: Callable[[Runner], Awaitable[T]]) -> T | None:
        """Call this process; None when it is not there, or ends before it answers."""
        if not self._runner:
            return None
        with anyio.CancelScope() as scope:
            self._calls.append(scope)
            return await function(self._runner)
        return None

    async def die(self) -> None:
        """End at once and release nothing."""
        self._life.cancel()
        self._hang_up()
        await anyio.sleep_forever()

    def _hang_up(self) -> None:
        self._runner = None
        for call in self._calls:
            call.cancel()

    async def reach(self, moment: str) -> None:
        """Come to a moment at which this process may be slower than others, or stop for a while, or die."""
        world = self.world
        if world.calm or self._stopped.is_set():
            return
        world.note(f"{self.name} {moment}")
        if world.happens("a process is killed", 0.006):
            await self.die()
        if world.happens("a process stops for a while", 0.004):
            self._asleep_until = world.clock.monotonic() + world.choices.choice(STOPS)
        if (seconds := self._asleep_until - world.clock.monotonic()) > 0:
            await anyio.sleep(seconds)
        elif world.choices.random() < 0.3:
            await anyio.sleep(world.choices.choice((0, 0.01, 0.2, 1)))

    async def _reach_kie(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be this process's KIE: the sandbox behind a network that loses requests and answers."""
        world, path = self.world, scope["path"]
        target = _find_target(scope["method"], path)
        await self.reach(f"{scope['method']} {path}")
        fault = world.choices.choice(FAULTS[target]) if target and world.choices.random() < 0.12 else ""
        if fault and not world.calm:
            world.injected[f"{target}: {fault}"] += 1
            world.note(f"{self.name} {fault}")
            if fault == "unreachable":
                raise httpx2.ConnectError(fault)
            if fault == "disk full":
                raise OSError(errno.ENOSPC, "No space left on device")
            world.kie.inject_fault(target, fault)
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await world.kie.app(scope, receive, keep)
        await self.reach("is answered")
        for message in answer:
            await send(message)


_compiled: dict[str, Any] = {}
"""For each kind of database, what all processes together compile once, which else takes most of the time."""


def _share_compiled(database: Database) -> Any:
    engine = database._engine.sync_engine
    shared = _compiled.setdefault(engine.name, (engine.dialect, engine._compiled_cache))
    engine.dialect, engine._compiled_cache = shared
    return database._engine


class FragileFile(SqliteDatabase):
    """The ledger's file, of which a process may see the disk full, or die before and after each writing."""

    def __init__(self, database: Database, process: Process) -> None:
        super().__init__(_share_compiled(database))
        self._process = process

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        await self._process.reach("writes")
        if self._process.world.happens("disk full: ledger", 0.01):
            raise sa.exc.OperationalError("COMMIT", None, sqlite3.OperationalError("database or disk is full"))
        async with super().writing() as connection:
            yield connection
        await self._process.reach("has written")


class FragilePostgresql(PostgresqlDatabase):
    """The ledger on PostgreSQL, to which a process may lose the connection, also while its commit is answered."""

    def __init__(self, database: PostgresqlDatabase, process: Process) -> None:
        super().__init__(_share_compiled(database), database._schema, database._busy_seconds)
        self._process = process

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        await self._process.reach("writes")
        self._lose("PostgreSQL: connection lost before the commit")
        async with super().writing() as connection:
            yield connection
        self._lose("PostgreSQL: connection lost after the commit")
        await self._process.reach("has written")

    def _lose(self, moment: str) -> None:
        if self._process.world.happens(moment, 0.005):
            raise sa.exc.OperationalError("COMMIT", None, psycopg.OperationalError("server closed the connection"))


def make_fragile(database: Database, process: Process) -> Database:
    """Return the database of a process, in which something may go wrong."""
    if isinstance(database, PostgresqlDatabase):
        return FragilePostgresql(database, process)
    return FragileFile(database, process)


def _find_target(method: str, path: str) -> Any:
    """Return the kind of a request, as `Sandbox.inject_fault` names it; empty if it gets no faults here."""
    if path.startswith(MEDIA_PATH):
        return "media"
    if path in (DOCUMENTED.credits, DOCUMENTED.download_url):
        return "credit" if path == DOCUMENTED.credits else ""
    return "create" if method == "POST" else "status"
