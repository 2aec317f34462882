"""KIE's limit of status reads, which all processes with one ledger share."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import chain, pairwise
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa
from starlette.responses import Response
from support.clock import JumpingClock, WallClock
from support.ledgers import find_database, open_ledger
from support.runners import InterceptedKie, full_disk, model_call, run_runner

from kie_mcp.kie.rate_limit import SLOW_READS, STATUS_READS, ReadLimiter
from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.rate_limit import LONG_LEASE, SHORT_LEASE
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.read_limiter import share_reads

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]
TASKS = 24
SONG = "/api/v1/generate/record-info"


@pytest.fixture
def wall_clock() -> WallClock:
    return WallClock()


def assert_kept(times: Sequence[float], limit: int) -> None:
    """No second has more reads than the limit; a moment less than a second holds no rounding."""
    assert len(times) > limit
    ordered = sorted(times)
    assert min(later - earlier for earlier, later in zip(ordered, ordered[limit:], strict=False)) > 0.999


@contextmanager
def count_leases() -> Iterator[Counter[str]]:
    """Count the statements that write slots into a ledger."""
    counted = Counter[str]()

    def note(*event: object) -> None:
        # On PostgreSQL, the schema is before the name of the table.
        counted["leases"] += bool(re.match(r"INSERT INTO (\w+\.)?reads", str(event[2])))

    sa.event.listen(sa.Engine, "after_cursor_execute", note)
    yield counted
    sa.event.remove(sa.Engine, "after_cursor_execute", note)


class Readers:
    """Processes with one ledger that read as often as they may."""

    def __init__(self, clock: JumpingClock) -> None:
        self.clock = clock
        self.limiters: list[ReadLimiter] = []
        self.times: list[list[float]] = []

    async def open(self, stack: AsyncExitStack, folder: Path, processes: int) -> None:
        for _ in range(processes):
            ledger = await open_ledger(folder)
            stack.push_async_callback(ledger.close)
            self.limiters.append(share_reads(ledger, self.clock).find("account"))
            self.times.append([])

    async def read(self, number: int, path: str, seconds: float, pause: float = 0) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            await self.limiters[number].acquire(path)
            self.times[number].append(self.clock.now)
            await self.clock.sleep(pause)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seconds", [3600, -3600], ids=["forward", "back"])
async def test_a_clock_that_is_set_lends_no_slot_twice_and_holds_none(
    wall_clock: WallClock, tmp_path: Path, seconds: float
) -> None:
    async with AsyncExitStack() as stack:
        readers = Readers(wall_clock)
        await readers.open(stack, tmp_path, processes=2)
        begin = wall_clock.now

        async def set_clock() -> None:
            await wall_clock.sleep(10)
            wall_clock.ahead = seconds

        async with anyio.create_task_group() as group:
            group.start_soon(set_clock)
            group.start_soon(readers.read, 0, JOBS.status, 30)
            await wall_clock.sleep(9)
            group.start_soon(readers.read, 1, JOBS.status, 21)
        assert_kept([*chain(*readers.times)], STATUS_READS)
        for number, times in enumerate(readers.times):
            assert max(later - earlier for earlier, later in pairwise([begin, *times][number:])) < 2 * SHORT_LEASE


async def test_processes_on_one_ledger_share_the_status_reads(clock: JumpingClock, tmp_path: Path) -> None:
    sandbox = Sandbox(seconds=10, clock=clock.time)
    times: tuple[list[float], list[float]] = ([], [])

    def note_reads(noted: list[float]) -> InterceptedKie:
        async def note(path: str) -> Response | None:
            if path == JOBS.status:
                noted.append(clock.now)
            return None

        return InterceptedKie(sandbox.app, get=note)

    one, two = map(note_reads, times)
    async with (
        run_runner(tmp_path, one, clock, save=False, usual_seconds=4) as first,
        run_runner(tmp_path, two, clock, save=False, usual_seconds=4) as second,
    ):
        orders = [Order("x", model_call("nano_banana_image", prompt=f"heron {number}")) for number in range(TASKS)]
        tasks = [await (first, second)[number % 2].submit(order) for number, order in enumerate(orders)]
        await first.wait(tasks, 120)
    assert all(times)
    assert_kept([*chain(*times)], STATUS_READS)


@pytest.mark.parametrize(
    ("path", "limit", "processes", "least"),
    [
        pytest.param(JOBS.status, STATUS_READS, 3, 1.8, id="three processes"),
        pytest.param(SONG, SLOW_READS, 5, 0.1, id="more processes than slots"),
    ],
)
async def test_the_slots_change_hands_and_each_process_gets_its_share(
    clock: JumpingClock, tmp_path: Path, path: str, limit: int, processes: int, least: float
) -> None:
    """The first process has all slots for some time before the others come."""
    readers, seconds = Readers(clock), 60
    async with AsyncExitStack() as stack:
        await readers.open(stack, tmp_path, processes)
        with count_leases() as counted:
            await readers.read(0, path, 10)
            async with anyio.create_task_group() as group:
                for number in range(processes):
                    group.start_soon(readers.read, number, path, seconds)
    assert_kept([*chain(*readers.times)], limit)
    assert min(len(times) for times in readers.times) > least * seconds
    # Most of what KIE allows is used, and the ledger is written once a second by each process at most.
    assert sum(map(len, readers.times)) > 0.5 * limit * seconds
    assert counted["leases"] < 2 * processes * seconds


async def test_a_process_that_reads_now_and_then_writes_to_the_ledger_every_half_minute(
    clock: JumpingClock, tmp_path: Path
) -> None:
    readers = Readers(clock)
    async with AsyncExitStack() as stack:
        await readers.open(stack, tmp_path, 1)
        with count_leases() as counted:
            await readers.read(0, JOBS.status, 10 * LONG_LEASE, pause=2.5)
    assert len(readers.times[0]) == 10 * LONG_LEASE / 2.5
    assert counted["leases"] <= 11


async def test_a_process_that_is_alone_reads_as_often_as_kie_allows(clock: JumpingClock, tmp_path: Path) -> None:
    readers = Readers(clock)
    async with AsyncExitStack() as stack:
        await readers.open(stack, tmp_path, 1)
        with count_leases() as counted:
            await readers.read(0, JOBS.status, 60)
    assert len(readers.times[0]) > 0.9 * 60 * STATUS_READS
    assert counted["leases"] < 3 * 60 / SHORT_LEASE


async def test_the_slots_of_a_dead_process_are_used_by_another_a_few_seconds_later(
    clock: JumpingClock, tmp_path: Path
) -> None:
    readers = Readers(clock)
    async with AsyncExitStack() as stack:
        await readers.open(stack, tmp_path, 2)
        await readers.read(0, JOBS.status, 20)
        await readers.read(1, JOBS.status, 2 * SHORT_LEASE + 20)
    assert_kept([*chain(*readers.times)], STATUS_READS)
    assert sum(time > clock.now - 5 for time in readers.times[1]) > 4 * STATUS_READS


async def test_a_search_in_all_places_lets_other_processes_read_a_few_seconds_later(
    clock: JumpingClock, tmp_path: Path
) -> None:
    readers = Readers(clock)
    async with AsyncExitStack() as stack:
        await readers.open(stack, tmp_path, 2)
        await readers.limiters[0].expect_burst()
        began = clock.now
        await readers.limiters[1].acquire(SONG)
    assert clock.now - began < SHORT_LEASE + 2


async def test_accounts_do_not_share_slots(clock: JumpingClock, tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path)
    limiters = share_reads(ledger, clock)
    one, other = limiters.find("one"), limiters.find("other")
    assert limiters.find("one") is one
    for limiter in (one, other):
        for _ in range(STATUS_READS):
            await limiter.acquire(JOBS.status)
    began = clock.now
    await other.acquire(SONG)
    assert clock.now - began < 2
    await ledger.close()


async def test_results_are_still_asked_for_once_a_second_while_the_ledger_cannot_be_used(
    clock: JumpingClock, tmp_path: Path
) -> None:
    readers, found = Readers(clock), find_database(tmp_path)
    async with AsyncExitStack() as stack:
        await readers.open(stack, tmp_path, 1)
        with found[0].lose(found[1]) if found else full_disk():
            await readers.read(0, JOBS.status, 10)
        assert 9 <= len(readers.times[0]) <= 11
        await readers.read(0, JOBS.status, 10)
    assert len(readers.times[0]) > 60
