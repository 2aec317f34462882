"""Two to four servers on one ledger, and all that can go wrong, drawn from one seed: the same seed is the same run."""

import errno
import hashlib
import json
import random
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import anyio
import anyio.lowlevel
import httpx2
import machine
import sqlalchemy as sa
from reconciliation import Figures, order, reckon, tasks
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.types import Message, Receive, Scope, Send
from support.runners import run_runner

from kie_mcp.errors import KieMcpError
from kie_mcp.kie.client import CREATE_SECONDS
from kie_mcp.kie.rate_limit import CreateLimiter
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger.database import Database
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.sqlite import SqliteDatabase
from kie_mcp.ledger.task import FINAL, Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.runner import Runner

T = TypeVar("T")

TOOLS = "nano_banana_image", "suno_music"
"""A picture whose cost KIE tells, and two songs whose cost only the balance tells."""
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
ID = re.compile(r"\b[0-9a-f]{8,32}|\b[tcs]_[a-z0-9]{12}\b")
PATIENCE = 3600
"""Seconds after the last fault in which everything has to come to its end."""


class Lost(AssertionError):
    """A promise is broken."""


@dataclass
class World:
    """What all processes share: the seed's choices, the faults so far, the trace, KIE, the clock and the disk."""

    choices: random.Random
    folder: Path
    trace: list[str]
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
                wrap_ledger=lambda ledger: Ledger(FragileDatabase(ledger.database, self)),
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
            try:
                return await function(self._runner)
            except RuntimeError:
                # It ended while it was taking a task over.
                if not self._life.cancel_called and not self._stopped.is_set():
                    raise
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


class FragileDatabase(SqliteDatabase):
    """The ledger's file, of which a process may see the disk full, or die before and after each writing."""

    _compiled: ClassVar[Any] = None

    def __init__(self, database: Database, process: Process) -> None:
        super().__init__(database._engine)
        self._process = process
        # All processes together compile each SQL statement once, which else takes most of the time.
        engine = database._engine.sync_engine
        FragileDatabase._compiled = FragileDatabase._compiled or (engine.dialect, engine._compiled_cache)
        engine.dialect, engine._compiled_cache = FragileDatabase._compiled

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        await self._process.reach("writes")
        if self._process.world.happens("disk full: ledger", 0.01):
            raise sa.exc.OperationalError("COMMIT", None, sqlite3.OperationalError("database or disk is full"))
        async with super().writing() as connection:
            yield connection
        await self._process.reach("has written")


class Agent:
    """Makes calls as agents do: the same one again after an error or a hang-up, and get_task, at any process."""

    def __init__(self, world: World, name: int) -> None:
        self._world = world
        self._name = name

    async def work(self) -> None:
        """Make a few calls, one after the other; some of them are those of other agents."""
        choices = self._world.choices
        for _ in range(choices.randint(1, 3)):
            await anyio.sleep(choices.choice((0, 0, 1, 10)))
            tool, prompt = choices.choice(TOOLS), f"heron {choices.randint(1, 4)}"
            prompt = f"{prompt} as {tool}"
            for _ in range(choices.randint(1, 3)):
                if (task := await self._ask(tool, prompt)) and await self._look(task):
                    break

    async def _ask(self, tool: str, prompt: str) -> Task | None:
        seconds = self._world.choices.choice((None, 0.5, 5))
        try:
            task = await self._choose().call(lambda runner: runner.submit(order(prompt, tool), seconds=seconds))
        except KieMcpError as error:
            self._world.note(f"agent {self._name}: {error}")
            return None
        if task and task.state == "running" and not task.note:
            (row,) = (row for row in tasks(self._world.folder) if row["id"] == task.id)
            if not row["kie_id"]:
                raise Lost(f"{task.id} was told as running before KIE's id was written down")
        return task

    async def _look(self, task: Task) -> bool:
        """Ask what has become of a task a few times; tell whether it has ended."""
        for _ in range(self._world.choices.randint(1, 4)):
            await anyio.sleep(self._world.choices.choice((0.5, 3, 8)))
            try:
                found = await self._choose().call(lambda runner: runner.get(task.id))
            except (KieMcpError, sa.exc.SQLAlchemyError) as error:
                self._world.note(f"agent {self._name}: {error}")
                continue
            if found and found.final:
                return found.state in ("succeeded", "unknown")
        return False

    def _choose(self) -> Process:
        return self._world.choices.choice(self._world.processes)


async def simulate(world: World) -> Figures:
    """Run one seed to the end of every task, and compare KIE, the ledger and the disk.

    Raises:
        AssertionError: When a promise is broken.
    """
    choices = world.choices
    async with anyio.create_task_group() as group:
        for name in range(choices.randint(2, 4)):
            world.processes.append(Process(world, name))
            group.start_soon(_keep_up, world, name)
        group.start_soon(_set_clock, world)
        async with anyio.create_task_group() as agents:
            for name in range(choices.randint(2, 4)):
                agents.start_soon(Agent(world, name).work)
        world.calm = True
        await _settle(world)
        await _resolve_unknown(world)
        group.cancel_scope.cancel()
    await _start_once_more(world)
    return reckon(world.kie, world.folder)


def _find_target(method: str, path: str) -> Any:
    """Return the kind of a request, as `Sandbox.inject_fault` names it; empty if it gets no faults here."""
    if path.startswith(MEDIA_PATH):
        return "media"
    if path in (DOCUMENTED.credits, DOCUMENTED.download_url):
        return "credit" if path == DOCUMENTED.credits else ""
    return "create" if method == "POST" else "status"


async def _keep_up(world: World, name: int) -> None:
    """Start a process, and another one in its place whenever it has ended."""
    while True:
        process = world.processes[name] = Process(world, name)
        async with anyio.create_task_group() as group:
            group.start_soon(process.live)
            await anyio.sleep(world.choices.choice((20, 60, 300)))
            process.stop()
        await anyio.sleep(0 if world.calm else world.choices.choice((0, 1, 20)))


async def _set_clock(world: World) -> None:
    """Set the machine's time of day now and then."""
    while not world.calm:
        await anyio.sleep(world.choices.choice((3, 20, 60)))
        if world.happens("the clock jumps", 0.3):
            world.clock.ahead += world.choices.choice(JUMPS)
            world.note(f"the clock is {world.clock.ahead:g} s ahead")


async def _settle(world: World) -> None:
    """Ask after every task until all have ended and every file is saved."""
    with anyio.move_on_after(PATIENCE) as waiting:
        while left := [row["id"] for row in tasks(world.folder) if row["state"] not in FINAL or not row["saved"]]:
            for id_ in left:
                await world.choices.choice(world.processes).call(partial(Runner.get, id_=id_))
            await anyio.sleep(5)
    if waiting.cancelled_caught:
        raise Lost(f"{left} do not come to their end")


async def _resolve_unknown(world: World) -> None:
    """Look KIE's list of tasks through for each unknown task, as its owner does; then make the call once more."""
    if any(row["state"] == "unknown" for row in tasks(world.folder)):
        # Another process may still be asking KIE for a task that was taken from it.
        await anyio.sleep(CREATE_SECONDS + max(STOPS))
        await _settle(world)
    for row in tasks(world.folder):
        if row["state"] == "unknown":
            tool, prompt = row["tool"], json.loads(row["arguments"])["prompt"]
            known = {each["kie_id"] for each in tasks(world.folder)}
            lost = [task for task in world.kie.accepted if task.id not in known and task.prompt == prompt]
            world.note(f"{row['id']} is resolved: {[task.id for task in lost]}")
            outcome = lost[0].id if lost else NOT_CREATED
            async with run_runner(world.folder, world.kie.app, world.clock, rules=world.rules) as runner:
                await runner.resolve(row["id"], outcome)
                await runner.submit(order(prompt, tool))
    await _settle(world)


async def _start_once_more(world: World) -> None:
    """Start a server for a second; it removes what a process left that died while another one saved its task."""
    async with run_runner(world.folder, world.kie.app, world.clock, rules=world.rules):
        await anyio.sleep(1)


@dataclass(frozen=True)
class Run:
    """What came of one seed."""

    seed: int
    figures: Figures
    injected: Counter[str]
    trace: list[str]

    @property
    def digest(self) -> str:
        """A hash of the trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def run_seed(seed: int, trace: list[str] | None = None, **how: Any) -> Run:
    """Run one seed on a machine of its own, and compare KIE, the ledger and the disk afterwards.

    Raises:
        Exception: Whatever went wrong, with the command that repeats it.
    """
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="kie-simulation-", dir=memory if memory.is_dir() else None))
    world = World(random.Random(seed), folder, [] if trace is None else trace, **how)
    try:
        return Run(seed, machine.run(simulate, world, seed=seed), world.injected, world.trace)
    except Exception as error:
        error.add_note(f"To repeat it: .venv/bin/python tests/simulation --seed {seed}")
        raise
    finally:
        shutil.rmtree(folder)
