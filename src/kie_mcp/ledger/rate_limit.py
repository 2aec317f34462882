"""The rate limits of create requests and status reads of each KIE account, which all server processes share."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.rows import update_task
from kie_mcp.ledger.tables import creates, reads, tasks
from kie_mcp.ledger.task import Task

SHORTEST_WAIT = 0.01
"""Shortest waiting time, in seconds, that `CreateSlots.acquire()` returns when no slot is free."""
SHORT_LEASE, LONG_LEASE = 5.0, 30.0
"""Seconds for which a slot for status reads is leased: long leases only if more than half of the slots stay free."""
GUARD_SECONDS = 1.0
"""Pause in seconds between two processes' leases of one slot, because the slot may be used only once a second."""
LONGEST_QUEUE = 3600
"""Maximum seconds from now to the end of a slot's last lease; a row with a later end is broken."""


class CreateSlots:
    """The table of slots for create requests; each row has the time of one recent create request of an account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(
        self, account: str, time: Callable[[], float], slots: int, window: float, task: Task | None = None
    ) -> float | None:
        """Acquire a slot for a create request (the request that starts a paid task).

        Args:
            account: Name of the KIE account, as in `KieClient.account`.
            time: Function that returns the time in seconds, by a clock that all processes of the machine share;
                PostgreSQL uses its own time instead. The function is called only after the process has got the write
                lock, because the wait for this lock may take long.
            slots: Largest number of create requests of the account in one window.
            window: Length of the sliding window, in seconds.
            task: The task to create, already with its new state; it is saved in the same transaction as the slot.

        Returns:
            0 when the slot was acquired; otherwise the seconds until a slot may be free. None when another process has
            taken the task over because this process's lease had ended.
        """
        async with self._database.exclusive(f"creates of {account}") as connection:
            now = await self._database.read_time(connection, time())
            # Rows from before the window no longer count for any account. So the old rows of all accounts are deleted
            # here, although this transaction has only the lock of one account.
            await connection.execute(sa.delete(creates).where(creates.c.at <= now - window))
            ours = creates.c.account == account
            # A row with a time in the future means that the clock was set back, or restarted at 0 together with the
            # machine. Such a row gets the current time, because its request was sent before now.
            await connection.execute(sa.update(creates).where(ours, creates.c.at > now).values(at=now))
            query = sa.select(creates.c.at).where(ours).order_by(creates.c.at.desc())
            taken = (await connection.execute(query.limit(slots))).scalars().all()
            if len(taken) < slots:
                if task:
                    update, parameters = update_task(task)
                    is_ours = tasks.c.watcher == task.session
                    if not (await connection.execute(update.where(is_ours), parameters)).rowcount:
                        return None
                await connection.execute(sa.insert(creates).values(account=account, at=now))
                return 0
            return max(float(taken[-1]) + window - now, SHORTEST_WAIT)

    async def note_refusal(self, task: Task) -> None:
        """Save a task whose create request KIE has refused, unless another process has taken the task over.

        The slot stays in use, because KIE counts refused requests, too.
        """
        update, parameters = update_task(task)
        async with self._database.writing() as connection:
            await connection.execute(update.where(tasks.c.watcher == task.session), parameters)


@dataclass(frozen=True, slots=True)
class Booking:
    """The lease of a slot; its times are in seconds from now."""

    number: int
    start: float
    end: float


@dataclass(slots=True)
class _Lent:
    """A row of the table `reads`: the holder of a slot's last lease, and the time when this lease ends."""

    number: int
    holder: str = ""
    until: float = 0


class ReadSlots:
    """The table of slots for status reads; a slot is the right to send one status read a second.

    A process leases slots for some seconds at a time, so that the ledger is not written for each read. If too few slots
    are free, a process also leases slots that other processes hold now. Such a lease begins after the present lease,
    which the present holder can then no longer renew. So each process gets its share of the slots, and if there are
    more processes than slots, they take turns.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def book(
        self, holder: str, *, account: str, kind: str, slots: int, wanted: int, time: Callable[[], float]
    ) -> list[Booking]:
        """Lease free slots to a holder, and renew the leases that the holder has.

        Args:
            holder: Id of the holder: one process, or a part of it.
            account: Name of the KIE account, as in `KieClient.account`.
            kind: Name of the limit.
            slots: Number of slots that exist.
            wanted: Number of slots that the holder can use.
            time: Function that returns the time in seconds, by a clock that all processes of the machine share;
                PostgreSQL uses its own time instead.

        Returns:
            The holder's leases, old and new: at least one, and at most `wanted`. If another holder still has a slot,
            the new lease of this slot begins after the other holder's lease.
        """
        ours = sa.and_(reads.c.account == account, reads.c.kind == kind)
        async with self._database.exclusive(f"reads of {account} {kind}") as connection:
            now = await self._database.read_time(connection, time())
            # A lease made in the future means that the clock was set back, or restarted at 0 together with the machine.
            # It is then unknown how much of the lease is left, so its whole length is counted from now.
            moved = sa.update(reads).where(ours, reads.c.leased > now)
            await connection.execute(moved.values(until=reads.c.until - reads.c.leased + now, leased=now))
            lent = {number: _Lent(number) for number in range(slots)}
            for row in (await connection.execute(sa.select(reads).where(ours))).mappings():
                # In rows that an earlier version wrote, `leased` is 0, so the statement above cannot correct them.
                longest = LONGEST_QUEUE if row["leased"] else slots * LONG_LEASE
                if row["number"] in lent and row["until"] <= now + longest:
                    lent[row["number"]] = _Lent(row["number"], row["holder"], row["until"])
            chosen = _choose(list(lent.values()), holder, now, wanted)
            numbers = [each.number for each in chosen]
            await connection.execute(sa.delete(reads).where(ours, reads.c.number.in_(numbers)))
            rows = [{"number": each.number, "holder": holder, "until": now + each.end} for each in chosen]
            await connection.execute(sa.insert(reads).values(account=account, kind=kind, leased=now), rows)
            return chosen


def _choose(lent: list[_Lent], holder: str, now: float, wanted: int) -> list[Booking]:
    """Return leases for a holder: first its own slots, then free slots, then others' slots after their leases end."""
    mine = [each for each in lent if each.holder == holder]
    free = [each for each in lent if each.holder != holder and each.until + GUARD_SECONDS <= now]
    chosen = (mine + free)[:wanted]
    left = len(free) - max(len(chosen) - len(mine), 0)
    seconds = LONG_LEASE if left > len(lent) / 2 else SHORT_LEASE
    # A lease of this holder is renewed for `seconds` from now, but it never ends sooner than before.
    leases = [Booking(each.number, 0, max(seconds, each.until - now)) for each in chosen]
    others = sorted((each for each in lent if each not in mine + free), key=lambda each: each.until)
    counts = Counter(each.holder for each in others)
    share = max(len(lent) // (len(counts) + 1), 1)
    for each in others:
        if len(leases) < min(wanted, share) and (counts[each.holder] > share or not leases):
            counts[each.holder] -= 1
            start = each.until + GUARD_SECONDS - now
            leases.append(Booking(each.number, start, start + SHORT_LEASE))
    return leases
