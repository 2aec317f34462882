"""The create limiter that the ledger gives to all clients of one account."""

from pathlib import Path

import anyio
import pytest
from support.clock import JumpingClock
from support.ledgers import open_ledger
from support.runners import NO_REPEATS, model_call, run_runner, run_to_end, task_rows

from kie_mcp.background import Background
from kie_mcp.errors import KieMcpError
from kie_mcp.kie.rate_limit import CREATE_LIMIT
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.create_limiter import LedgerCreateLimiter
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.uploads import Uploader

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]

SLOTS, SECONDS = CREATE_LIMIT


def prepared(number: int, clock: JumpingClock) -> Task:
    return Task(
        id=f"t_{number}",
        tool="veo_video",
        model="veo3_fast",
        kind="video",
        route="veo",
        arguments={},
        created=clock.time(),
        idempotency_key=str(number),
    )


async def test_a_task_with_a_slot_is_submitting_in_the_ledger_and_one_without_is_still_prepared(
    clock: JumpingClock, tmp_path: Path
) -> None:
    ledger = await open_ledger(tmp_path)
    try:
        limiter = LedgerCreateLimiter(ledger, clock)
        tasks = [prepared(number, clock) for number in range(SLOTS + 1)]
        waits = []
        for task in tasks:
            await ledger.add(task)
            waits.append(await limiter.acquire("account", task))
        stored = [await ledger.find(task.id) for task in tasks]
    finally:
        await ledger.close()
    assert waits == [*[0] * SLOTS, pytest.approx(SECONDS)]
    assert [task.state for task in tasks] == [*["submitting"] * SLOTS, "prepared"]
    assert [task and task.state for task in stored] == [task.state for task in tasks]


async def test_two_accounts_do_not_share_slots(clock: JumpingClock, tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path)
    try:
        limiter = LedgerCreateLimiter(ledger, clock)
        tasks = [prepared(number, clock) for number in range(SLOTS + 2)]
        for task in tasks:
            await ledger.add(task)
        waits = [await limiter.acquire("one", task) for task in tasks[:-1]]
        assert waits[-1] > 0
        assert await limiter.acquire("other", tasks[-1]) == 0
    finally:
        await ledger.close()


async def test_a_second_runner_on_the_same_client_takes_nothing_from_the_first(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as first, anyio.create_task_group() as group:
        uploader = Uploader(first.client, first.ledger, folders=AllowedFolders([tmp_path]), clock=clock)
        parts = (first.client, first.ledger, uploader, None, Background(group))
        second = Runner(*parts, storage=first.storage, rules=NO_REPEATS, clock=clock)
        for runner in (first, second, first):
            task = await runner.submit(Order("veo_video", model_call("veo_video")))
            assert (await run_to_end(runner, task)).state == "succeeded"
        group.cancel_scope.cancel()
    assert len(sandbox.accepted) == 3
    assert {state for _, state, *_ in task_rows(tmp_path)} == {"succeeded"}


async def test_a_create_is_not_sent_once_another_server_has_taken_the_task_over(
    clock: JumpingClock, tmp_path: Path
) -> None:
    ledger = await open_ledger(tmp_path)
    try:
        task = prepared(1, clock)
        await ledger.add(task)
        await ledger.leases.claim(task.id, "s_other", clock.time())
        with pytest.raises(KieMcpError, match="KIE was not asked") as caught:
            await LedgerCreateLimiter(ledger, clock).acquire("account", task)
        stored = await ledger.find(task.id)
    finally:
        await ledger.close()
    assert (caught.value.billed, caught.value.retryable) == (False, True)
    assert stored
    assert (task.state, stored.state) == ("prepared", "prepared")
