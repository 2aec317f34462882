"""The ledger and the disk: full, or held by another process."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from reconciliation import Compare, locked, order, settle, tasks
from support.clock import JumpingClock, wait_until
from support.effort import Effort
from support.ledgers import find_database
from support.postgresql import PostgresqlServer
from support.runners import InterceptedKie, full_disk, run_runner, run_to_end

from kie_mcp.errors import KieMcpError
from kie_mcp.kie.rate_limit import CreateLimiter
from kie_mcp.kie.routes import DOCUMENTED, JOBS
from kie_mcp.ledger.database import BUSY_SECONDS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.tasks.balance import FRESH_SECONDS
from kie_mcp.tasks.caps import Rules

pytestmark = pytest.mark.anyio


def on_server(
    trouble: Callable[[PostgresqlServer, str], AbstractContextManager[None]], folder: Path
) -> AbstractContextManager[None]:
    """Return trouble with the database that stands for the ledger of a folder."""
    found = find_database(folder / "data")
    assert found
    return trouble(*found)


BUSY = 0.05
"""Seconds that a locked ledger is waited for here."""
TROUBLE: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "disk full": lambda _: full_disk(),
    "ledger locked": locked,
    "PostgreSQL away": lambda folder: on_server(PostgresqlServer.lose, folder),
    "no connection to PostgreSQL left": lambda folder: on_server(PostgresqlServer.use_up_connections, folder),
    "serialization errors of PostgreSQL": lambda folder: on_server(PostgresqlServer.refuse_writing, folder),
}
FAULTS = [
    ("sqlite", "disk full"),
    ("sqlite", "ledger locked"),
    *(("postgresql", fault) for fault in TROUBLE if fault != "disk full"),
]
EITHER = pytest.mark.parametrize(("database", "fault"), FAULTS, indirect=["database"])
ENDS = [
    ("at the end", JOBS.status, False),
    ("saving", MEDIA_PATH, True),
    ("at the end", JOBS.status, True),
    ("saving", MEDIA_PATH, False),
]
"""When a fault of the ledger begins that lasts until it can be written, and whether by then the server is another."""


class Trap:
    """A KIE at which trouble begins when it is asked for something; it lasts until it is let go."""

    def __init__(self, kie: Sandbox, trouble: AbstractContextManager[None], path: str = "") -> None:
        self.gate = InterceptedKie(kie.app, get=self._meet, post=self._meet)
        self._kie = kie
        self._trouble = trouble
        self._path = path
        self._stack = ExitStack()

    async def _meet(self, path: str) -> None:
        if self._path and path.startswith(self._path):
            self.spring()

    def set(self, path: str) -> None:
        """Let trouble begin when KIE is asked for this path."""
        self._path = path

    def spring(self) -> None:
        """Begin, if that has not been."""
        for task in self._kie.accepted:
            # The built-in KIE keeps its files on the same disk.
            for name in task.file_names:
                self._kie._files.render_result(task, name)
        trouble, self._trouble = self._trouble, nullcontext()
        self._stack.enter_context(trouble)

    def release(self) -> None:
        """End."""
        self._stack.close()


class TrappedLimiter:
    """A create limiter that springs a trap as a create asks for its slot."""

    def __init__(self, trap: Trap, limiter: CreateLimiter) -> None:
        self._trap = trap
        self._limiter = limiter

    async def acquire(self, account: str, task: Any) -> float:
        self._trap.spring()
        return await self._limiter.acquire(account, task)

    async def note_refusal(self, task: Any) -> None:
        await self._limiter.note_refusal(task)


def test_a_locked_ledger_is_waited_for_longer_than_any_writing_takes() -> None:
    assert BUSY_SECONDS == 10


@EITHER
@pytest.mark.parametrize(
    ("moment", "recorded"),
    [
        ("before the reservation", "1 succeeded"),
        ("before the create", "1 failed, 1 succeeded"),
        ("at the create's turn", "1 failed, 1 succeeded"),
    ],
)
async def test_what_cannot_be_written_down_is_not_asked_of_kie(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    compare: Compare,
    fault: str,
    moment: str,
    recorded: str,
) -> None:
    trap = Trap(sandbox, TROUBLE[fault](tmp_path))
    # KIE's record of a song does not state the charge, so that the balance is read before its create.
    tool, cost, files = ("suno_music", 12, 2) if moment == "before the create" else ("nano_banana_image", 4, 1)
    wrap = partial(TrappedLimiter, trap) if moment == "at the create's turn" else lambda limiter: limiter
    async with run_runner(tmp_path, trap.gate, clock, rules=Rules(), busy_seconds=BUSY, wrap_limiter=wrap) as runner:
        if moment == "before the reservation":
            trap.spring()
        if moment == "before the create":
            # The read at the start, which goes on beside this, is over.
            await wait_until(lambda: trap.gate.balance_reads == 1)
            clock.now += FRESH_SECONDS + 1
            trap.set(DOCUMENTED.credits)
        with pytest.raises(KieMcpError, match="so KIE was not asked") as caught:
            await runner.submit(order(tool=tool))
        assert (caught.value.billed, caught.value.retryable, sandbox.accepted) == (False, True, [])
        trap.release()
        await settle(clock, tmp_path)
        await run_to_end(runner, await runner.submit(order(tool=tool)))
    compare(sandbox, fault, f"{moment}; called again", accepted=1, charged=cost, recorded=recorded, saved=files)


@EITHER
@pytest.mark.parametrize("restart", [False, True])
async def test_what_kie_accepted_is_written_down_as_soon_as_that_goes(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, fault: str, *, restart: bool
) -> None:
    """Where the process ends first, all that is left is that the create was being sent: so nobody sends it again."""
    trap = Trap(sandbox, TROUBLE[fault](tmp_path), JOBS.create)
    async with run_runner(tmp_path, trap.gate, clock, rules=Rules(), busy_seconds=BUSY) as runner:
        with pytest.raises(KieMcpError, match="KIE accepted task") as caught:
            await runner.submit(order())
        assert caught.value.billed is True
        assert sandbox.accepted[0].id in caught.value.message
        if not restart:
            trap.release()
            await settle(clock, tmp_path)
    trap.release()
    async with run_runner(tmp_path, trap.gate, clock, rules=Rules()) as runner:
        await settle(clock, tmp_path)
        again = await runner.submit(order())
        assert again.id == caught.value.task_id
    compare(
        sandbox,
        fault,
        f"as KIE accepts{'; started anew' if restart else ''}",
        accepted=1,
        charged=4,
        recorded="1 unknown" if restart else "1 succeeded",
        saved=int(not restart),
    )


@pytest.mark.parametrize(
    ("database", "fault", "moment", "path", "restart"),
    [(*fault, *end) for fault in FAULTS for end in (ENDS if fault[0] == "sqlite" or Effort.is_thorough else ENDS[:2])],
    indirect=["database"],
)
async def test_the_end_and_the_files_wait_until_they_can_be_written(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    compare: Compare,
    fault: str,
    moment: str,
    path: str,
    *,
    restart: bool,
) -> None:
    trap = Trap(sandbox, TROUBLE[fault](tmp_path), path)
    async with run_runner(tmp_path, trap.gate, clock, rules=Rules(), busy_seconds=BUSY) as runner:
        (task,) = await runner.wait([await runner.submit(order())], 60)
        assert not tasks(tmp_path)[0]["saved"]
        if not restart:
            trap.release()
            await settle(clock, tmp_path)
    trap.release()
    async with run_runner(tmp_path, trap.gate, clock, rules=Rules()) as runner:
        await settle(clock, tmp_path)
        assert (await runner.submit(order())).id == task.id
    moment += "; started anew" if restart else ""
    compare(sandbox, fault, moment, accepted=1, charged=4, recorded="1 succeeded", saved=1)


@pytest.mark.on_postgresql
async def test_a_lock_that_is_let_go_in_time_is_waited_for(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    trap = Trap(sandbox, locked(tmp_path))
    async with run_runner(tmp_path, trap.gate, clock, rules=Rules()) as runner:
        trap.spring()
        async with anyio.create_task_group() as callers:
            callers.start_soon(runner.submit, order())
            await anyio.sleep(4 * BUSY)
            assert not sandbox.accepted
            trap.release()
        await settle(clock, tmp_path)
    compare(sandbox, "ledger locked", "for a moment", accepted=1, charged=4, recorded="1 succeeded", saved=1)
