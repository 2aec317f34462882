"""KIE's limit of status reads, which the processes on one ledger share."""

from collections.abc import Awaitable, Callable
from itertools import chain
from pathlib import Path

import pytest
from starlette.responses import Response
from support.clock import JumpingClock
from support.runners import InterceptedKie, model_call, run_runner

from kie_mcp.kie.client import STATUS_READS
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.order import Order

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]
TASKS = 30


def note_reads(times: list[float], clock: JumpingClock) -> Callable[[str], Awaitable[Response | None]]:
    async def note(path: str) -> None:
        if path == JOBS.status:
            times.append(clock.now)

    return note


async def test_processes_on_one_ledger_share_the_status_reads(clock: JumpingClock, tmp_path: Path) -> None:
    sandbox = Sandbox(seconds=60, clock=clock.time)
    times: tuple[list[float], list[float]] = ([], [])
    one, two = (InterceptedKie(sandbox.app, get=note_reads(each, clock)) for each in times)
    async with (
        run_runner(tmp_path, one, clock, save=False, usual_seconds=4) as first,
        run_runner(tmp_path, two, clock, save=False, usual_seconds=4) as second,
    ):
        orders = [Order("x", model_call("nano_banana_image", prompt=f"heron {number}")) for number in range(TASKS)]
        tasks = [await (first, second)[number % 2].submit(order) for number, order in enumerate(orders)]
        # Each process has renewed its lease by now, and knows of the other.
        began = clock.now + 10
        await first.wait(tasks, 120)
    assert all(times)
    reads = sorted(time for time in chain(*times) if time >= began)
    assert len(reads) > 2 * STATUS_READS
    # A moment less than a second holds no rounding.
    assert min(later - earlier for earlier, later in zip(reads, reads[STATUS_READS:], strict=False)) > 0.999
