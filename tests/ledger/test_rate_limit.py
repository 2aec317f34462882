"""The slots of the rate limits of creates and status reads, shared by all processes."""

import heapq
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa
from support.clock import JumpingClock
from support.effort import Effort
from support.ledgers import NOW, open_ledger, task

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.rate_limit import GUARD_SECONDS, LONG_LEASE, LONGEST_QUEUE, SHORT_LEASE
from kie_mcp.ledger.tables import reads

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def test_processes_share_the_slots(ledger: Ledger, tmp_path: Path, clock: JumpingClock) -> None:
    other = await open_ledger(tmp_path / "data")
    waits = [await each.create_slots.acquire("key", clock.time, 4, 10) for each in (ledger, other) * 3]
    assert waits == [0, 0, 0, 0, 10, 10]
    assert await ledger.create_slots.acquire("other key", clock.time, 4, 10) == 0
    for later, wait in ((9.5, 0.5), (10, 0)):
        clock.now = NOW + later
        assert await other.create_slots.acquire("key", clock.time, 4, 10) == wait
    await other.close()


async def test_a_clock_that_is_set_back_neither_frees_a_slot_nor_keeps_it_for_longer_than_the_window(
    ledger: Ledger, clock: JumpingClock
) -> None:
    for _ in range(4):
        assert await ledger.create_slots.acquire("key", clock.time, 4, 10) == 0
    for later, wait in ((-5, 10), (-3600, 10), (-3600 + 9.5, 0.5), (-3600 + 10, 0)):
        clock.now = NOW + later
        assert await ledger.create_slots.acquire("key", clock.time, 4, 10) == wait


async def test_an_account_moves_no_slot_of_another_one_when_the_clock_was_set_back(
    ledger: Ledger, clock: JumpingClock
) -> None:
    assert await ledger.create_slots.acquire("key", clock.time, 1, 10) == 0
    clock.now = NOW - 5
    assert await ledger.create_slots.acquire("other key", clock.time, 1, 10) == 0
    clock.now = NOW + 6
    assert await ledger.create_slots.acquire("key", clock.time, 1, 10) == 4


async def test_a_task_that_another_process_has_taken_over_gets_no_slot_and_is_not_changed(
    ledger: Ledger, clock: JumpingClock
) -> None:
    await ledger.add(theirs := task("t_1", session="s_other", state="prepared"))
    ours = replace(theirs, session="s_me", state="submitting")
    assert await ledger.create_slots.acquire("key", clock.time, 1, 10, ours) is None
    await ledger.create_slots.note_refusal(ours)
    assert await ledger.find("t_1") == theirs
    assert await ledger.create_slots.acquire("key", clock.time, 1, 10, replace(theirs, state="submitting")) == 0


async def test_many_at_once_acquire_no_more_slots_than_there_are(ledger: Ledger, clock: JumpingClock) -> None:
    waits: list[float] = []

    async def acquire() -> None:
        waits.append(await ledger.create_slots.acquire("key", clock.time, 20, 10) or 0)

    async with anyio.create_task_group() as group:
        for _ in range(60):
            group.start_soon(acquire)
    assert sorted(waits) == [0] * 20 + [10] * 40


class Readers:
    """Processes that lease slots for status reads, each again when its lease has ended, while the clock may be set."""

    def __init__(self, ledger: Ledger, clock: JumpingClock, slots: int) -> None:
        self.ledger, self.clock, self.slots = ledger, clock, slots
        self.passed = 0.0
        """Seconds that have really passed."""
        self.leases: list[tuple[int, float, float, str]] = []
        """Slot, start, end and holder of each lease; the times are seconds that have really passed."""

    async def lease(self, holder: str) -> float:
        """Lease one slot, and return when the lease ends."""
        (lease,) = await self.ledger.read_slots.book(
            holder, account="account", kind="suno", slots=self.slots, wanted=1, time=self.clock.time
        )
        start, end = self.passed + lease.start, self.passed + lease.end
        self.leases.append((lease.number, start, end, holder))
        return end

    async def run(self, processes: int, seconds: float) -> None:
        ends = [(self.passed, f"s_{number}") for number in range(processes)]
        stop = self.passed + seconds
        while (now := min(ends)[0]) < stop:
            _, holder = heapq.heappop(ends)
            self.clock.now += now - self.passed
            self.passed = now
            heapq.heappush(ends, (await self.lease(holder), holder))

    def find_longest_wait(self) -> float:
        """Return the longest time between two leases of one holder, in seconds."""
        by_holder = sorted(self.leases, key=lambda lease: (lease[3], lease[1]))
        pairs = [(one, two) for one, two in pairwise(by_holder) if one[3] == two[3]]
        return max(two[1] - one[2] for one, two in pairs)

    def assert_apart(self) -> None:
        """No slot is used by two processes at once."""
        ordered = sorted(self.leases)
        for (slot, _, end, holder), (other_slot, start, _, other) in pairwise(ordered):
            assert slot != other_slot or holder == other or start >= end + GUARD_SECONDS - 0.001


@pytest.mark.parametrize(
    ("database", "processes", "back"),
    [
        (database, processes, back)
        for database in ("sqlite", "postgresql")
        for back in (0, 3, 20, 600, 1e8)
        # So many that some would wait for longer than if each slot was leased once for a long time.
        for processes in (2, 60)
        if processes == 2 or back == 20 or (database == "sqlite" and back in (0, 600)) or Effort.is_thorough
    ],
    indirect=["database"],
)
async def test_each_process_gets_its_turn_and_no_slot_has_two_users_also_if_the_clock_is_set(
    ledger: Ledger, clock: JumpingClock, processes: int, back: float
) -> None:
    readers = Readers(ledger, clock, slots=3)
    await readers.run(processes, 3)
    clock.now -= back
    await readers.run(processes, 5 * processes + 60)
    readers.assert_apart()
    assert len({holder for *_, holder in readers.leases}) == processes
    # Each turn takes a short lease and the guard.
    assert readers.find_longest_wait() < (processes / 3 + 1) * (SHORT_LEASE + GUARD_SECONDS) + LONG_LEASE


async def test_a_process_that_comes_after_the_clock_was_set_back_waits_no_longer_than_a_lease(
    ledger: Ledger, clock: JumpingClock
) -> None:
    readers = Readers(ledger, clock, slots=1)
    await readers.lease("s_dead")
    clock.now -= 600
    await readers.lease("s_new")
    (_, _, end, _), (_, start, _, _) = readers.leases
    assert end + GUARD_SECONDS == pytest.approx(start)
    assert start <= LONG_LEASE + GUARD_SECONDS


@pytest.mark.parametrize("until", [1e300, -1e300, NOW + 1e9, NOW + 2 * LONGEST_QUEUE, NOW + 600])
async def test_a_broken_row_or_one_of_an_earlier_version_keeps_nobody_waiting(
    ledger: Ledger, clock: JumpingClock, until: float
) -> None:
    row = {"account": "account", "kind": "suno", "number": 0, "holder": "s_1", "until": until}
    async with ledger.database.writing() as connection:
        await connection.execute(sa.insert(reads).values(row))
    assert await Readers(ledger, clock, slots=1).lease("s_2") <= LONG_LEASE
