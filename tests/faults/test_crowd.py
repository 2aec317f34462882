"""Two hundred calls at once."""

from pathlib import Path

import anyio
import pytest
from reconciliation import Compare, order, settle
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock, let_others_run
from support.runners import InterceptedKie, run_runner

from kie_mcp.kie.rate_limit import CREATE_LIMIT
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.download_slots import CONCURRENT_DOWNLOADS_PER_HOST
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

CROWD = 200


class Counter:
    """A KIE, and how many files are fetched from it at once."""

    def __init__(self, kie: Sandbox) -> None:
        self.gate = InterceptedKie(kie.app)
        self.most = self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fetches = scope["path"].startswith(MEDIA_PATH)
        self._now += fetches
        self.most = max(self.most, self._now)
        if fetches:
            await let_others_run()
        await self.gate(scope, receive, send)
        self._now -= fetches


async def test_two_hundred_equal_calls_are_one_task(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    gate, ids = InterceptedKie(sandbox.app), set[str]()

    async def ask(runner: Runner) -> None:
        ids.add((await runner.submit(order())).id)

    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        async with anyio.create_task_group() as callers:
            for _ in range(CROWD):
                callers.start_soon(ask, runner)
        await settle(clock, tmp_path)
    assert len(ids) == 1
    assert gate.requests.count(f"POST {JOBS.create}") == 1
    compare(sandbox, f"{CROWD} calls at once", "all the same", accepted=1, charged=4, recorded="1 succeeded", saved=1)


async def test_two_hundred_other_calls_are_all_delivered_and_none_refused(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    counter, begun = Counter(sandbox), clock.now

    async def ask(runner: Runner, number: int) -> None:
        await runner.submit(order(f"heron {number}"))

    async with run_runner(tmp_path, counter, clock, rules=Rules()) as runner:
        async with anyio.create_task_group() as callers:
            for number in range(CROWD):
                callers.start_soon(ask, runner, number)
        await settle(clock, tmp_path)
    # Had KIE refused one, it would have been sent again.
    assert counter.gate.requests.count(f"POST {JOBS.create}") == CROWD
    most, seconds = CREATE_LIMIT
    assert sandbox.accepted[-1].created_at - begun >= (CROWD / most - 1) * seconds
    assert 1 < counter.most <= CONCURRENT_DOWNLOADS_PER_HOST
    compare(
        sandbox,
        f"{CROWD} calls at once",
        "all different",
        accepted=CROWD,
        charged=4 * CROWD,
        recorded=f"{CROWD} succeeded",
        saved=CROWD,
    )
