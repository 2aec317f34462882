"""The audit log: for each call that KIE accepted, one line about that and one about its end, whatever breaks."""

import logging
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from support.clock import JumpingClock
from support.runners import InterceptedKie, full_disk, model_call, run_runner, run_to_end

from kie_mcp.errors import KieMcpError
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.routes import JOBS, build_body
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.server.operation.audit import write_audit
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.batch import Batch
from kie_mcp.tasks.order import Order

pytestmark = pytest.mark.anyio

COST = 4
"""Credits of a picture."""


def order(prompt: str = "a heron") -> Order:
    return Order("nano_banana_image", model_call("nano_banana_image", prompt=prompt))


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """It keeps the lines of all servers of a test."""
    caplog.set_level(logging.INFO, write_audit.__module__)
    return caplog


def lines(audit: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    """Return the event and the credits of each line."""
    found = [vars(record) for record in audit.records if record.name == write_audit.__module__]
    return [(each["audit"], each["credits"]) for each in found]


run_server = partial(run_runner, on_change=write_audit)


async def test_a_task_whose_server_was_killed_has_one_line_when_it_is_accepted_and_one_when_it_ends(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, audit: pytest.LogCaptureFixture
) -> None:
    async with run_server(tmp_path, sandbox.app, clock, crash=True) as runner:
        task = await runner.submit(order())
    clock.now += 2 * LEASE_SECONDS
    async with run_server(tmp_path, sandbox.app, clock) as runner:
        await run_to_end(runner, await runner.get(task.id))
    assert lines(audit) == [("accepted", None), ("ended", COST)]


async def test_a_server_that_saves_the_files_of_an_ended_task_writes_no_second_line(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, audit: pytest.LogCaptureFixture
) -> None:
    async def lack_file(path: str) -> Response | None:
        return Response(status_code=502) if path.startswith(MEDIA_PATH) else None

    async with run_server(tmp_path, InterceptedKie(sandbox.app, get=lack_file), clock) as runner:
        task = await run_to_end(runner, await runner.submit(order()))
        assert (task.state, task.saved) == ("succeeded", False)
    async with run_server(tmp_path, sandbox.app, clock) as runner:
        assert (await run_to_end(runner, await runner.get(task.id))).saved
    assert lines(audit) == [("accepted", None), ("ended", COST)]


async def test_a_call_that_kie_refused_has_no_line(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, audit: pytest.LogCaptureFixture
) -> None:
    sandbox.inject_fault("create", "code:422")
    async with run_server(tmp_path, sandbox.app, clock) as runner:
        with pytest.raises(KieMcpError):
            await runner.submit(order())
    assert lines(audit) == []


@pytest.mark.parametrize("is_created", [True, False])
async def test_a_call_of_unknown_outcome_counts_as_accepted_when_it_is_found_at_kie(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, audit: pytest.LogCaptureFixture, is_created: bool
) -> None:
    sandbox.inject_fault("create", "after:502" if is_created else 502)
    async with run_server(tmp_path, sandbox.app, clock) as runner:
        with pytest.raises(KieMcpError) as refusal:
            await runner.submit(order())
    async with run_server(tmp_path, sandbox.app, clock) as runner:
        outcome = sandbox.accepted[0].id if is_created else NOT_CREATED
        await run_to_end(runner, await runner.resolve(refusal.value.task_id, outcome))
    assert lines(audit) == [("unknown", None), *([("accepted", None), ("ended", COST)] if is_created else ())]


async def test_each_item_of_a_batch_has_its_lines_and_the_batch_has_none(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, audit: pytest.LogCaptureFixture
) -> None:
    ended = list[str]()

    async def observe(task: Task, before: Task) -> None:
        await write_audit(task, before)
        if task.final and not before.final:
            ended.append(task.route)

    async with run_server(tmp_path, sandbox.app, clock, on_change=observe) as runner:
        items = await runner.build_items([order("a heron"), order("a fox")])
        await run_to_end(runner, await runner.submit_batch(Batch(items, 2 * COST)))
    assert sorted(lines(audit), key=str) == [("accepted", None), ("accepted", None), ("ended", COST), ("ended", COST)]
    assert sorted(ended) == ["batch", "jobs", "jobs"], "each end is told once, with the task as it was before"


async def test_a_task_to_which_kie_gives_no_id_has_both_lines(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, audit: pytest.LogCaptureFixture
) -> None:
    async with run_server(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("suno_style", model_call("suno_style"))))
        assert (task.state, task.kie_id) == ("succeeded", None)
    assert [event for event, _ in lines(audit)] == ["accepted", "ended"]


async def test_a_task_that_was_made_elsewhere_has_no_line(
    tmp_path: Path, sandbox: Sandbox, kie: KieClient, clock: JumpingClock, audit: pytest.LogCaptureFixture
) -> None:
    kie_id = await kie.create_task(JOBS.create, build_body(order().call, "jobs", str))
    async with run_server(tmp_path, sandbox.app, clock) as runner:
        await run_to_end(runner, await runner.get(kie_id))
    assert lines(audit) == []


async def test_a_task_that_kie_accepted_while_the_disk_was_full_has_one_line_when_it_is_written_down(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, audit: pytest.LogCaptureFixture
) -> None:
    full = ExitStack()

    async def fill_disk(path: str) -> None:
        if path == JOBS.create:
            full.enter_context(full_disk())

    async with run_server(tmp_path, InterceptedKie(sandbox.app, post=fill_disk), clock) as runner:
        with pytest.raises(KieMcpError, match="KIE accepted task") as refusal:
            await runner.submit(order())
        full.close()
        await run_to_end(runner, await runner.get(refusal.value.task_id))
    assert lines(audit) == [("accepted", None), ("ended", COST)]
