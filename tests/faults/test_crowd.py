"""Two hundred calls at once."""

from pathlib import Path

import anyio
import pytest
from reconciliation import Compare, order, settle
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock, a_moment
from support.runners import Gate, running

from kie_mcp.kie.client import CREATES
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.files import MEDIA
from kie_mcp.tasks.downloads import AT_ONCE
from kie_mcp.tasks.money import Rules
from kie_mcp.tasks.runner import Runner

pytestmark = [pytest.mark.anyio, pytest.mark.untraced]

CROWD = 200


class Counter:
    """A KIE, and how many files are fetched from it at once."""

    def __init__(self, kie: Sandbox) -> None:
        self.gate = Gate(kie.app)
        self.most = self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fetches = scope["path"].startswith(MEDIA)
        self._now += fetches
        self.most = max(self.most, self._now)
        if fetches:
            await a_moment()
        await self.gate(scope, receive, send)
        self._now -= fetches


async def test_two_hundred_equal_calls_are_one_task(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    gate, ids = Gate(sandbox.app), set[str]()

    async def ask(runner: Runner) -> None:
        ids.add((await runner.submit(order())).id)

    async with running(tmp_path, gate, clock, rules=Rules()) as runner:
        async with anyio.create_task_group() as callers:
            for _ in range(CROWD):
                callers.start_soon(ask, runner)
        await settle(clock, tmp_path)
    assert len(ids) == 1
    assert gate.asked.count(f"POST {JOBS.create}") == 1
    compare(sandbox, f"{CROWD} calls at once", "all the same", accepted=1, charged=4, recorded="1 succeeded", saved=1)


async def test_two_hundred_other_calls_are_all_delivered_and_none_refused(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    counter, begun = Counter(sandbox), clock.now

    async def ask(runner: Runner, number: int) -> None:
        await runner.submit(order(f"heron {number}"))

    async with running(tmp_path, counter, clock, rules=Rules()) as runner:
        async with anyio.create_task_group() as callers:
            for number in range(CROWD):
                callers.start_soon(ask, runner, number)
        await settle(clock, tmp_path)
    # Had KIE refused one, it would have been sent again.
    assert counter.gate.asked.count(f"POST {JOBS.create}") == CROWD
    most, seconds = CREATES
    assert sandbox.accepted[-1].created - begun >= (CROWD / most - 1) * seconds
    assert 1 < counter.most <= AT_ONCE
    compare(
        sandbox,
        f"{CROWD} calls at once",
        "all different",
        accepted=CROWD,
        charged=4 * CROWD,
        recorded=f"{CROWD} succeeded",
        saved=CROWD,
    )
