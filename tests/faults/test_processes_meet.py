"""Two processes on one ledger: at the same call, at the same task, and when one of them is killed."""

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
from reconciliation import Compare, order, settle, tasks
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock
from support.media_files import picture
from support.runners import InterceptedKie, run_runner

from kie_mcp.errors import UnknownOutcome
from kie_mcp.kie.routes import DOCUMENTED, JOBS
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.runner import Runner

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


class Halt:
    """A KIE at which one process stops in its tracks, before KIE has heard of it or after."""

    def __init__(self, kie: Sandbox, path: str, *, after: bool = False) -> None:
        self.reached = anyio.Event()
        self._kie = kie
        self._path = path
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(self._path):
            if self._after:
                await self._kie.app(scope, receive, self._keep)
            self.reached.set()
            await anyio.sleep_forever()
        await self._kie.app(scope, receive, send)

    async def _keep(self, _: object) -> None:
        """The answer, which never arrives."""


async def test_the_same_call_in_both_at_once_is_one_task(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    gate, found = InterceptedKie(sandbox.app), list[Task]()

    async def ask(runner: Runner) -> None:
        found.extend(await runner.wait([await runner.submit(order())], 60))

    async with (
        run_runner(tmp_path, gate, clock, rules=Rules()) as one,
        run_runner(tmp_path, gate, clock, rules=Rules()) as two,
        anyio.create_task_group() as callers,
    ):
        for runner in (one, two, one, two):
            callers.start_soon(ask, runner)
    assert {(task.id, task.state, task.saved) for task in found} == {(found[0].id, "succeeded", True)}
    assert len(found) == 4
    assert gate.requests.count(f"POST {JOBS.create}") == 1
    compare(
        sandbox,
        "two processes",
        "the same call at once, twice each",
        accepted=1,
        charged=4,
        recorded="1 succeeded",
        saved=1,
    )


async def test_other_calls_in_both_are_other_tasks_and_each_can_answer_for_all(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    async with (
        run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as one,
        run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as two,
    ):
        ours = [await (one, two)[number % 2].submit(order(f"heron {number}")) for number in range(6)]
        for runner in (one, two):
            found = await runner.wait([await runner.get(task.id) for task in ours], 60)
            assert {(task.state, task.saved) for task in found} == {("succeeded", True)}
    compare(
        sandbox,
        "two processes",
        "three calls each, both wait for all",
        accepted=6,
        charged=24,
        recorded="6 succeeded",
        saved=6,
    )


@pytest.mark.parametrize(
    ("moment", "path", "after", "recorded"),
    [
        ("uploading", DOCUMENTED.upload_stream, False, "1 failed"),
        ("create, before KIE accepted", JOBS.create, False, "1 unknown"),
        ("create, after KIE accepted", JOBS.create, True, "1 unknown"),
        ("looking at the task", JOBS.status, False, "1 succeeded"),
        ("saving", MEDIA_PATH, False, "1 succeeded"),
    ],
)
async def test_one_that_is_killed_leaves_its_task_to_the_other(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    compare: Compare,
    moment: str,
    path: str,
    recorded: str,
    *,
    after: bool,
) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    halt = Halt(sandbox, path, after=after)
    async with AsyncExitStack() as killed, run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as other:
        one = await killed.enter_async_context(run_runner(tmp_path, halt, clock, rules=Rules(), crash=True))
        async with anyio.create_task_group() as caller:
            caller.start_soon(one.submit, order(images=[str(tmp_path / "a.png")]))
            await halt.reached.wait()
            caller.cancel_scope.cancel()
        (row,) = tasks(tmp_path)
        await killed.aclose()
        # For all that the other can know, it is still there.
        await other.get(row["id"])
        assert tasks(tmp_path)[0] == row
        clock.now += LEASE_SECONDS
        await settle(clock, tmp_path)
        if "unknown" in recorded:
            again = await other.submit(order(images=[str(tmp_path / "a.png")]))
            assert (again.id, again.state) == (row["id"], "unknown")
    taken, delivered = len(sandbox.accepted), "succeeded" in recorded
    assert taken == (after or delivered)
    compare(
        sandbox,
        "a process is killed, another is there",
        moment,
        accepted=taken,
        charged=4 * taken,
        recorded=recorded,
        saved=int(delivered),
    )


async def test_what_is_unknown_is_in_nobodys_way(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    async with (
        run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as one,
        run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as two,
    ):
        for number, how in enumerate(("reset-after", "garbage", "after:502", "empty")):
            sandbox.inject_fault("create", how)
            with pytest.raises(UnknownOutcome):
                await (one, two)[number % 2].submit(order(f"lost {number}"))
        for number in range(4):
            runner = (one, two)[number % 2]
            await runner.wait([await runner.submit(order(f"heron {number}"))], 60)
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as later:
        await later.wait([await later.submit(order("at last"))], 60)
    compare(
        sandbox,
        "four unknown tasks",
        "others go on, in both processes and the next",
        accepted=7,
        charged=28,
        recorded="5 succeeded, 4 unknown",
        saved=5,
    )
