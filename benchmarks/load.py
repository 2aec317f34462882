"""What a thousand tasks at once cost a server: `python -m benchmarks.load`.

They run in the sandbox, in this process, on a clock that jumps to the next sleeper once everybody sleeps. Memory and
CPU stand beside those of the same server without tasks, and contain what the sandbox needs. They are measured when
all tasks are under way and KIE's rate holds their reads back. No second may see more status reads than KIE allows,
counted where they arrive, and every task must end with its files saved. It takes a minute or two.
"""

import asyncio
import gc
import heapq
import itertools
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
import sqlalchemy as sa
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.catalog.registry import MODELS
from kie_mcp.clock import Clock
from kie_mcp.kie import routes
from kie_mcp.kie.client import SLOW_READS, STATUS_READS, KieClient
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.uploads import Uploader

TASKS = 1000
SONGS = 4
"""One task of so many is a song, whose reads have a limit of their own."""
USUAL = 600.0
"""Seconds that tasks are thought to take, so that all of them are due soon."""
LENGTHS = 1000.0, 1300.0
"""Seconds that they take: it is 550 until KIE has accepted all, and then they are measured."""
MINUTES = 5
SEED = 1


class HastyClock(Clock):
    """Time that jumps to the next sleeper once everybody sleeps."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._number = itertools.count()
        self._lent = 0
        sa.event.listen(sa.Pool, "checkout", self._lend)
        sa.event.listen(sa.Pool, "checkin", self._give_back)

    def time(self) -> float:
        """Seconds since 1970, if it is 2027."""
        return self.now

    def monotonic(self) -> float:
        """The same."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        wake = anyio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._number), wake))
        try:
            await wake.wait()
        finally:
            # Time need not stop for one who was called away.
            wake.set()

    async def idle(self, seconds: float) -> None:
        """Wait where nobody waits for the end of it."""
        await self.sleep(seconds)

    async def run(self) -> None:
        """Let time pass."""
        # asyncio tells in no other way whether it has anything to do.
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # noqa: SLF001
        threads = anyio.to_thread.current_default_thread_limiter()
        while True:
            await anyio.lowlevel.checkpoint()
            if self._lent or threads.borrowed_tokens:
                await anyio.sleep(0.0002)
            elif not ready and self._sleepers:
                moment, _, wake = heapq.heappop(self._sleepers)
                if not wake.is_set():
                    self.now = max(self.now, moment)
                    wake.set()

    def _lend(self, *_: object) -> None:
        self._lent += 1

    def _give_back(self, *_: object) -> None:
        self._lent -= 1


class Counter:
    """A KIE, and when it was asked after a task."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self.reads: list[float] = []
        self.songs: list[float] = []
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        for path, times in ((VIDEO.status, self.reads), (SONG.status, self.reads), (SONG.status, self.songs)):
            if scope["path"] == path:
                times.append(self._clock.time())
        await self._app(scope, receive, send)


VIDEO, SONG = routes.find("veo"), routes.find("suno")


@dataclass(frozen=True)
class Load:
    """What a server needs for some tasks."""

    memory: float
    """Megabytes."""
    cpu: float
    """Milliseconds a minute."""


def resident() -> float:
    """Megabytes that this process takes up; Linux alone tells."""
    gc.collect()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


async def measured(clock: Clock) -> Load:
    """What it takes to let some minutes pass."""
    memory, began = resident(), time.process_time()
    await clock.sleep(60 * MINUTES)
    return Load(memory, 1000 * (time.process_time() - began) / MINUTES)


def densest(times: Sequence[float]) -> int:
    """How many of these lie in one second, at most."""
    begins, most = 0, 0
    for number, moment in enumerate(times):
        # Sums of seconds are rounded.
        while times[begins] < moment - 1 + 1e-6:
            begins += 1
        most = max(most, number - begins + 1)
    return most


def order(number: int) -> Order:
    """A clip, or a song."""
    model = MODELS["veo3_fast" if number % SONGS else "ai-music-api/generate"]
    return Order("load", model.model_validate({"prompt": f"heron {number}"}))


@asynccontextmanager
async def serving(folder: Path, app: ASGIApp, clock: HastyClock) -> AsyncIterator[Runner]:
    """A server's inside."""
    client = KieClient("sandbox", transport=httpx2.ASGITransport(app), clock=clock)
    ledger = await Ledger.open(folder / "data")
    try:
        async with client, anyio.create_task_group() as group:
            group.start_soon(clock.run)
            publisher = Uploader(client, ledger, readable=(), clock=clock)
            saver = Downloader(client, folder / "out", guarded=False)
            runner = Runner(client, ledger, publisher, saver, group, usual_seconds=USUAL, clock=clock)
            await runner.resume()
            yield runner
            group.cancel_scope.cancel()
    finally:
        await ledger.close()


async def accepted(runner: Runner, sandbox: Sandbox, numbers: range) -> list[Task]:
    """Have KIE accept these tasks, all asked for at once."""
    chance = random.Random(SEED)  # noqa: S311 - the same lengths each time
    found: list[Task] = []

    async def ask(number: int) -> None:
        found.append(await runner.submit(order(number)))

    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(ask, number)
    for task in sandbox.accepted[-len(numbers) :]:
        task.seconds = chance.uniform(*LENGTHS)
    return found


async def measure(folder: Path) -> tuple[Load, Load, Counter]:
    """Without tasks, and with all of them under way; and what KIE was asked in all.

    Raises:
        AssertionError: When they did not run all at once, or not all to their end.
    """
    clock = HastyClock()
    sandbox = Sandbox(credits=1e9, seconds=LENGTHS[1], clock=clock.time)
    kie = Counter(sandbox.app, clock)
    async with serving(folder, kie, clock) as runner:
        # What is made once for all tasks is there.
        await runner.wait(await accepted(runner, sandbox, range(TASKS, TASKS + SONGS)), 2 * LENGTHS[1])
        without = await measured(clock)
        tasks = await accepted(runner, sandbox, range(TASKS))
        loaded = await measured(clock)
        if any(task.final for task in tasks):
            raise AssertionError("They did not run all at once.")
        ended = await runner.wait(tasks, 4 * LENGTHS[1])
        if not all(task.state == "succeeded" and task.saved for task in ended):
            raise AssertionError("They did not all end with their files saved.")
    return without, loaded, kie


def main() -> int:
    """Measure, print, and return 1 when KIE was asked too often."""
    with tempfile.TemporaryDirectory() as folder:
        without, loaded, kie = anyio.run(measure, Path(folder))
    reads, songs = densest(kie.reads), densest(kie.songs)
    print(f"| | no tasks | {TASKS:,} tasks | a task |")
    print("|---|--:|--:|--:|")
    memory = loaded.memory - without.memory
    print(f"| memory | {without.memory:.0f} MB | {loaded.memory:.0f} MB | {1024 * memory / TASKS:.0f} KB |")
    cpu = loaded.cpu - without.cpu
    print(f"| CPU a minute | {without.cpu:.0f} ms | {loaded.cpu:.0f} ms | {cpu / TASKS:.2f} ms |")
    print(f"| most status reads in a second | 0 | {reads} of {STATUS_READS} allowed | |")
    print(f"| of songs | 0 | {songs} of {SLOW_READS} allowed | |")
    return int(reads > STATUS_READS or songs > SLOW_READS)


if __name__ == "__main__":
    sys.exit(main())
