"""The create: its answer gets lost, or is a refusal."""

from pathlib import Path

import anyio
import pytest
from reconciliation import Compare, order, settle
from starlette.responses import JSONResponse, Response
from support.clock import JumpingClock, wait_until
from support.media_files import picture
from support.runners import InterceptedKie, model_call, run_runner, run_to_end, task_rows

from kie_mcp.errors import InvalidCall, RateLimited, UnknownOutcome
from kie_mcp.kie.client import CREATE_ATTEMPTS, CREATE_SECONDS
from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.faults import build_envelope
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.order import Order

pytestmark = pytest.mark.anyio

BEFORE, AFTER = "create, before KIE accepted", "create, after KIE accepted"
CREATE = f"POST {JOBS.create}"
PATIENCE = 0.5
"""Seconds that a create may take here, by the real clock."""

LOST = [
    ("connection reset", "reset-before", "reset-after"),
    ("no answer at all", "hang-before", "hang-after"),
    ("500", "500", "after:500"),
    ("502", "502", "after:502"),
    ("504", "504", "after:504"),
    ("500 under HTTP 200", "code:500", "after:code:500"),
    ("not JSON", "garbage", "after:garbage"),
    ("empty answer", "empty", "after:empty"),
]
BOTH = [(fault, how, taken) for fault, *hows in LOST for taken, how in enumerate(hows)]
EITHER = pytest.mark.parametrize(("fault", "how", "taken"), [*BOTH, ("truncated JSON", "truncated", 1)])


def test_a_create_is_waited_for_longer_than_kie_takes_and_not_for_ever() -> None:
    assert CREATE_SECONDS == 90


@EITHER
async def test_a_create_whose_answer_is_lost_is_unknown_never_sent_again_and_in_nobodys_way(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, fault: str, how: str, taken: int
) -> None:
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock, rules=Rules(), create_seconds=PATIENCE) as runner:
        await runner.balance.read()
        sandbox.inject_fault("create", how)
        with pytest.raises(UnknownOutcome) as caught:
            await runner.submit(order())
        balance = "996" if taken else "1,000"
        told = str(caught.value)
        assert f"The balance was 1,000 credits ($5.00) before the call, and {balance} credits" in told
        again = await runner.submit(order())
        assert (again.id, again.state) == (caught.value.task_id, "unknown")
        assert gate.requests.count(CREATE) == 1
        await run_to_end(runner, await runner.submit(order("another")))
    clock.now += 60
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        assert (await runner.submit(order())).id == again.id
        await run_to_end(runner, await runner.submit(order("a third")))
    assert gate.requests.count(CREATE) == 3
    compare(
        sandbox,
        fault,
        AFTER if taken else BEFORE,
        accepted=2 + taken,
        charged=4 * (2 + taken),
        recorded="2 succeeded, 1 unknown",
        saved=2,
    )


@EITHER
async def test_a_person_settles_what_became_of_it(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, fault: str, how: str, taken: int
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(), create_seconds=PATIENCE) as runner:
        sandbox.inject_fault("create", how)
        with pytest.raises(UnknownOutcome) as caught:
            await runner.submit(order())
        id_ = caught.value.task_id
        with pytest.raises(InvalidCall, match="KIE knows no task"):
            await runner.resolve(id_, "0123456789abcdef")
        if taken:
            task = await run_to_end(runner, await runner.resolve(id_, f" {sandbox.accepted[0].id} "))
            assert (task.id, task.state, task.error) == (id_, "succeeded", None)
        else:
            task = await runner.resolve(id_, "not created")
            assert (task.state, task.credits) == ("failed", 0)
            await run_to_end(runner, await runner.submit(order()))
    compare(
        sandbox,
        fault,
        f"{AFTER}; settled by its id" if taken else f"{BEFORE}; settled, called again",
        accepted=1,
        charged=4,
        recorded="1 succeeded" if taken else "1 failed, 1 succeeded",
        saved=1,
    )


async def test_a_refusal_for_the_rate_is_waited_out_and_holds_nobody_else(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    refused: list[float] = []

    async def refuse(path: str) -> Response | None:
        if "/veo/" in path and len(refused) < CREATE_ATTEMPTS - 1:
            refused.append(clock.now)
            return build_envelope(429, "Too many requests")
        return None

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, post=refuse), clock, rules=Rules()) as runner:
        async with anyio.create_task_group() as callers:
            callers.start_soon(runner.submit, Order("veo_video", model_call("veo_video")))
            await runner.wait([await runner.submit(order())], 60)
        await settle(clock, tmp_path)
    assert len(refused) == CREATE_ATTEMPTS - 1
    assert refused[1] - refused[0] >= 5
    assert [task.path for task in sandbox.accepted] == [JOBS.create, "/api/v1/veo/generate"]
    compare(
        sandbox,
        "429 under HTTP 200, seven in a row",
        "create",
        accepted=2,
        charged=64,
        recorded="2 succeeded",
        saved=2,
    )


@pytest.mark.parametrize(("fault", "how"), [("429", "429"), ("429 under HTTP 200", "code:429")])
async def test_a_refusal_for_the_rate_that_does_not_end_costs_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, fault: str, how: str
) -> None:
    sandbox.inject_fault("create", how, CREATE_ATTEMPTS)
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        with pytest.raises(RateLimited) as caught:
            await runner.submit(order())
        assert (caught.value.billed, caught.value.retryable) == (False, True)
        await run_to_end(runner, await runner.submit(order()))
    compare(
        sandbox,
        f"{fault}, eight in a row",
        "create; called again",
        accepted=1,
        charged=4,
        recorded="1 failed, 1 succeeded",
        saved=1,
    )


@pytest.mark.parametrize("restart", [False, True])
async def test_a_file_that_kie_has_lost_is_uploaded_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, *, restart: bool
) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    images = [str(tmp_path / "a.png")]
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        await run_to_end(runner, await runner.submit(order(images=images)))
        sandbox.drop_uploads()
        if not restart:
            await run_to_end(runner, await runner.submit(order("another", images=images)))
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        await run_to_end(runner, await runner.submit(order("another", images=images)))
    assert gate.requests.count("POST /api/file-stream-upload") == 2
    sent = [task.body["input"]["image_input"] for task in sandbox.accepted]
    assert sent[0] != sent[1]
    compare(sandbox, "451, an upload is gone", "create", accepted=2, charged=8, recorded="2 succeeded", saved=2)


class RefusingKie:
    """A KIE that answers each create with 429, and wants the next one a minute later."""

    def __init__(self, kie: Sandbox) -> None:
        self.refused = 0
        self.app = InterceptedKie(kie.app, post=self._refuse)

    async def _refuse(self, _: str) -> Response:
        self.refused += 1
        return JSONResponse({"code": 429, "msg": "Too many requests"}, 429, headers={"Retry-After": "60"})


async def test_a_server_that_ends_while_it_waits_after_a_refusal_leaves_no_unknown_task(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    kie = RefusingKie(sandbox)
    async with run_runner(tmp_path, kie.app, clock, rules=Rules(), crash=True) as runner:
        with JumpingClock.hold():
            task = await runner.submit(order(), seconds=0)
            await wait_until(lambda: [row[1] for row in task_rows(tmp_path)] == ["prepared"] and kie.refused == 1)
    clock.now += 2 * LEASE_SECONDS
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.get(task.id))
        assert (task.state, (task.error or {})["billed"]) == ("failed", False)
        again = await run_to_end(runner, await runner.submit(order()))
    assert (again.state, len(sandbox.accepted)) == ("succeeded", 1)


async def test_a_server_that_ends_does_not_wait_for_a_create_that_kie_has_refused(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    kie = RefusingKie(sandbox)
    async with run_runner(tmp_path, kie.app, clock) as runner:
        with JumpingClock.hold():
            await runner.submit(order(), seconds=0)
            await wait_until(lambda: [row[1] for row in task_rows(tmp_path)] == ["prepared"] and kie.refused == 1)
            with anyio.fail_after(60):
                await runner.settle_creates()
