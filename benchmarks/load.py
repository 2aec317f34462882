"""Measure the memory and CPU that a server needs for a thousand tasks at once: `python -m benchmarks.load`.

The tasks run in the sandbox, in this process, on a clock that jumps to the next wake-up when all tasks of the event
loop sleep. Memory and CPU include the sandbox, and are compared with the same server without tasks. They are measured
while all tasks run and KIE's rate limit delays their status reads. In no second may more status reads arrive than KIE
allows, and every task must end with its files saved. It takes a minute or two.
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

from kie_mcp.background import Background
from kie_mcp.catalog.registry import MODELS
from kie_mcp.clock import Clock
from kie_mcp.kie import routes
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.rate_limit import SLOW_READS, STATUS_READS
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.create_limiter import LedgerCreateLimiter
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.read_limiter import share_reads
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.storage import FolderStorage
from kie_mcp.tasks.uploads import Uploader

TASKS = 1000
SONGS = 4
"""One of this many tasks is a song; status reads of songs have a separate rate limit."""
ESTIMATED_SECONDS = 600.0
"""Duration in seconds that the polling schedule expects; it is too short, so that all tasks are polled often."""
DURATIONS = 1000.0, 1300.0
"""Shortest and longest real duration in seconds: KIE accepts all tasks within 550 s, then the load is measured."""
MEASURED_MINUTES = 5
SEED = 1


class HastyClock(Clock):
    """Clock that jumps to the next wake-up when all tasks of the event loop sleep."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        """Heap of wake-up times, each with a number that keeps equal times in order, and the event to set."""
        self._number = itertools.count()
        self._busy_connections = 0
        """Number of database connections in use; their threads may still wake a task."""
        sa.event.listen(sa.Pool, "checkout", self._count_checkout)
        sa.event.listen(sa.Pool, "checkin", self._count_checkin)

    def time(self) -> float:
        """Return the clock's time in seconds since 1970; it starts in 2027."""
        return self.now

    def monotonic(self) -> float:
        """Return the same time as `time()`."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has moved by some seconds."""
        wake = anyio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._number), wake))
        try:
            await wake.wait()
        finally:
            # A cancelled sleeper is marked as woken, so that the clock does not jump to its time.
            wake.set()

    async def idle(self, seconds: float) -> None:
        """Wait in a background loop."""
        await self.sleep(seconds)

    async def run(self) -> None:
        """Move the clock, in an endless loop."""
        # asyncio has no public way to see whether a callback is ready to run.
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # noqa: SLF001
        threads = anyio.to_thread.current_default_thread_limiter()
        while True:
            await anyio.lowlevel.checkpoint()
            if self._busy_connections or threads.borrowed_tokens:
                await anyio.sleep(0.0002)
            elif not ready and self._sleepers:
                moment, _, wake = heapq.heappop(self._sleepers)
                if not wake.is_set():
                    self.now = max(self.now, moment)
                    wake.set()

    def _count_checkout(self, *_: object) -> None:
        self._busy_connections += 1

    def _count_checkin(self, *_: object) -> None:
        self._busy_connections -= 1


class CountingKie:
    """A fake KIE that records when status reads arrive."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self.reads: list[float] = []
        """Times of all status reads."""
        self.songs: list[float] = []
        """Times of the status reads of songs."""
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record the time of a status read, and answer the request."""
        for path, times in ((VIDEO.status, self.reads), (SONG.status, self.reads), (SONG.status, self.songs)):
            if scope["path"] == path:
                times.append(self._clock.time())
        await self._app(scope, receive, send)


VIDEO, SONG = routes.find("veo"), routes.find("suno")


@dataclass(frozen=True)
class Load:
    """The resources that a server used."""

    memory: float
    """Resident memory in megabytes."""
    cpu: float
    """Milliseconds of processor time a minute."""


def resident_megabytes() -> float:
    """Return this process's resident memory in megabytes; works on Linux only."""
    gc.collect()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


async def measure_load(clock: Clock) -> Load:
    """Let some minutes pass on the clock, and return the resources that the server used."""
    memory, began = resident_megabytes(), time.process_time()
    await clock.sleep(60 * MEASURED_MINUTES)
    return Load(memory, 1000 * (time.process_time() - began) / MEASURED_MINUTES)


def most_in_one_second(times: Sequence[float]) -> int:
    """Return the largest number of times within any one second; the times must be sorted."""
    begins, most = 0, 0
    for number, moment in enumerate(times):
        # The small tolerance is for rounding errors in sums of seconds.
        while times[begins] < moment - 1 + 1e-6:
            begins += 1
        most = max(most, number - begins + 1)
    return most


def order(number: int) -> Order:
    """Return the order of a task for a clip or a song."""
    model = MODELS["veo3_fast" if number % SONGS else "ai-music-api/generate"]
    return Order("load", model.model_validate({"prompt": f"heron {number}"}))


@asynccontextmanager
async def run_server(folder: Path, app: ASGIApp, clock: HastyClock) -> AsyncIterator[Runner]:
    """Run a runner with its client, ledger, uploads and downloads, but without MCP."""
    ledger = await Ledger.open(folder / "data")
    limiter = LedgerCreateLimiter(ledger, clock)
    reads = share_reads(ledger, clock)
    client = KieClient(
        "sandbox", transport=httpx2.ASGITransport(app), clock=clock, create_limiter=limiter, read_limiters=reads
    )
    try:
        async with client, anyio.create_task_group() as group:
            group.start_soon(clock.run)
            uploader = Uploader(client, ledger, folders=AllowedFolders(), clock=clock)
            storage = FolderStorage(folder / "out")
            downloader = Downloader(client, storage, guarded=False)
            runner = Runner(
                client,
                ledger,
                uploader,
                downloader,
                Background(group),
                storage=storage,
                usual_seconds=ESTIMATED_SECONDS,
                clock=clock,
            )
            await runner.resume()
            yield runner
            group.cancel_scope.cancel()
    finally:
        await ledger.close()


async def submit(runner: Runner, sandbox: Sandbox, numbers: range) -> list[Task]:
    """Submit tasks at the same time, and return them when KIE has accepted all."""
    chance = random.Random(SEED)  # noqa: S311 - the same durations each time
    tasks: list[Task] = []

    async def submit_one(number: int) -> None:
        tasks.append(await runner.submit(order(number)))

    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(submit_one, number)
    for accepted in sandbox.accepted[-len(numbers) :]:
        accepted.seconds = chance.uniform(*DURATIONS)
    return tasks


async def measure(folder: Path) -> tuple[Load, Load, CountingKie]:
    """Return the load without tasks and with all of them under way, and the KIE that counted the status reads.

    Raises:
        AssertionError: When the tasks did not all run at the same time, or did not all end with saved files.
    """
    clock = HastyClock()
    sandbox = Sandbox(credits=1e9, seconds=DURATIONS[1], clock=clock.time)
    kie = CountingKie(sandbox.app, clock)
    async with run_server(folder, kie, clock) as runner:
        # A few tasks run first: they create what all tasks share, so that both measurements contain it.
        await runner.wait(await submit(runner, sandbox, range(TASKS, TASKS + SONGS)), 2 * DURATIONS[1])
        without = await measure_load(clock)
        tasks = await submit(runner, sandbox, range(TASKS))
        loaded = await measure_load(clock)
        if any(task.final for task in tasks):
            raise AssertionError("They did not run all at once.")
        ended = await runner.wait(tasks, 4 * DURATIONS[1])
        if not all(task.state == "succeeded" and task.saved for task in ended):
            raise AssertionError("They did not all end with their files saved.")
    return without, loaded, kie


def main() -> int:
    """Measure, print, and return 1 when more status reads arrived than KIE allows."""
    with tempfile.TemporaryDirectory() as folder:
        without, loaded, kie = anyio.run(measure, Path(folder))
    reads, songs = most_in_one_second(kie.reads), most_in_one_second(kie.songs)
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
