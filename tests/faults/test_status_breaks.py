"""The status: it cannot be read, says nothing, says it wrongly, or never ends."""

from pathlib import Path

import pytest
from reconciliation import Compare, order, settle
from starlette.responses import Response
from support.clock import JumpingClock
from support.runners import InterceptedKie, run_runner, run_to_end

from kie_mcp.errors import InvalidCall
from kie_mcp.kie.client import READ_SECONDS
from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.task import KEPT_FOR
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.faults import build_envelope, build_no_record
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.transitions import GRACE_SECONDS
from kie_mcp.tasks.watcher import FRESH_SECONDS

pytestmark = pytest.mark.anyio

LOOK = f"GET {JOBS.status}"
IN_A_ROW = 6
PATIENCE = 0.3
"""Seconds that a read may take here, by the real clock."""


def test_a_read_that_hangs_is_cut_after_ten_seconds() -> None:
    assert READ_SECONDS == 10


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("connection reset", "reset-before"),
        ("401", "401"),
        ("429", "429"),
        ("429 under HTTP 200", "code:429"),
        ("455 under HTTP 200", "code:455"),
        ("500", "500"),
        ("408 under HTTP 200", "code:408"),
        ("500 under HTTP 200", "code:500"),
        ("502", "502"),
        ("504", "504"),
        ("not JSON", "garbage"),
        ("truncated JSON", "truncated"),
        ("empty answer", "empty"),
    ],
)
async def test_a_status_that_cannot_be_read_is_asked_for_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, fault: str, how: str
) -> None:
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        task = await runner.submit(order())
        sandbox.inject_fault("status", how, IN_A_ROW)
        await run_to_end(runner, task)
    assert gate.requests.count(LOOK) > IN_A_ROW
    compare(sandbox, fault, "status, six in a row", accepted=1, charged=4, recorded="1 succeeded", saved=1)


@pytest.mark.parametrize(
    ("code", "minutes", "advice"), [(401, 60, "This is the sandbox, whose key is"), (500, 10, "goes on asking")]
)
async def test_a_task_that_kie_cannot_be_asked_about_for_long_says_so_and_is_delivered_after_it(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, code: int, minutes: int, advice: str
) -> None:
    begun = clock.now

    async def refuse(path: str) -> Response | None:
        return build_envelope(code, "no") if path == JOBS.status and clock.now < begun + 60 * minutes + 100 else None

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=refuse), clock, rules=Rules()) as runner:
        task = await runner.submit(order())
        await runner.wait([task], 60 * minutes)
        assert (task.state, task.error) == ("running", None)
        assert f'KIE says {code}: "no"' in task.note
        assert advice in task.note
        assert (await runner.ledger.find(task.id) or task) == task
        await run_to_end(runner, task)
    assert not task.note
    compare(sandbox, f"{code} for {minutes} minutes", "status", accepted=1, charged=4, recorded="1 succeeded", saved=1)


async def test_three_failures_in_a_row_delay_the_end_by_five_seconds_at_most(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    took = []
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        for prompt, faults in (("in peace", 0), ("in trouble", 3)):
            sandbox.inject_fault("status", 500, faults)
            task = await run_to_end(runner, await runner.submit(order(prompt)))
            took.append((task.finished or 0) - task.created)
    assert 0 < took[1] - took[0] <= 5
    compare(sandbox, "500, three in a row", "status", accepted=2, charged=8, recorded="2 succeeded", saved=2)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_read_that_hangs_is_cut_and_made_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, times: int
) -> None:
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock, rules=Rules(), read_seconds=PATIENCE) as runner:
        sandbox.inject_fault("status", "hang-before", times)
        task = await run_to_end(runner, await runner.submit(order()))
    assert gate.requests.count(LOOK) > times
    assert task.finished
    assert task.finished - task.created < 10
    compare(
        sandbox, "no answer at all", f"status, {times} in a row", accepted=1, charged=4, recorded="1 succeeded", saved=1
    )


async def test_a_failure_told_by_the_envelope_is_one_at_once(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    """Here KIE keeps the credits all the same, and the balance tells."""
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("status", "code:501", 1000)
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.submit(order()))
    assert gate.requests.count(LOOK) == 1
    assert task.error
    assert (task.state, task.credits, task.error["billed"], task.error["retryable"]) == ("failed", 4, True, True)
    compare(sandbox, "501 under HTTP 200", "status", accepted=1, charged=4, recorded="1 failed", saved=0)


async def test_a_failure_that_kie_gives_the_credits_back_for_costs_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        task = await runner.submit(order())
        sandbox.inject_fault("status", "fail")
        await run_to_end(runner, task)
    compare(sandbox, "the task fails", "while it runs", accepted=1, charged=0, recorded="1 failed", saved=0)


async def test_a_new_task_that_kie_does_not_know_for_a_minute_is_delivered(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    begun = clock.now

    async def not_yet(path: str) -> Response | None:
        return build_no_record() if path == JOBS.status and clock.now < begun + 60 else None

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=not_yet), clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.submit(order()))
    assert task.finished
    assert 60 <= task.finished - task.created < GRACE_SECONDS
    compare(sandbox, "recordInfo is null for 60 s", "status", accepted=1, charged=4, recorded="1 succeeded", saved=1)


async def test_a_task_that_never_ends_is_watched_until_kie_would_have_forgotten_it(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare
) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("create", "stall")
    async with run_runner(tmp_path, gate, clock, rules=Rules()) as runner:
        task = await runner.submit(order())
        await runner.wait([task], 600)
        assert task.state == "running"
        assert gate.requests.count(LOOK) < 70
        # Nobody is kept waiting by it.
        await run_to_end(runner, await runner.submit(order("another")))
        clock.now += KEPT_FOR
        await run_to_end(runner, task)
    assert task.error
    assert task.error["billed"] is None
    compare(sandbox, "the task never ends", "status", accepted=2, charged=8, recorded="1 expired, 1 succeeded", saved=1)


@pytest.mark.parametrize("seconds", [2, 60])
async def test_an_outage_in_which_kie_knows_no_task_ends_none(
    clock: JumpingClock, tmp_path: Path, compare: Compare, seconds: float
) -> None:
    """KIE has said before that the task runs; a part of KIE that lags behind does not know it."""
    begun = clock.now

    async def lag(path: str) -> Response | None:
        lags = path == JOBS.status and begun + 100 < clock.now < begun + 100 + seconds
        return build_no_record() if lags else None

    slow = Sandbox(seconds=200, clock=clock.time)
    async with run_runner(tmp_path, InterceptedKie(slow.app, get=lag), clock, rules=Rules()) as runner:
        await run_to_end(runner, await runner.submit(order()))
    compare(
        slow,
        f"recordInfo is null for {seconds} s",
        "while it runs",
        accepted=1,
        charged=4,
        recorded="1 succeeded",
        saved=1,
    )


@pytest.mark.parametrize("message", ["record status is not success", "record result data is blank"])
async def test_a_422_that_says_not_yet_ends_no_task(
    clock: JumpingClock, tmp_path: Path, compare: Compare, message: str
) -> None:
    begun = clock.now

    async def not_yet(path: str) -> Response | None:
        runs = path.endswith("/veo/record-info") and clock.now < begun + 180
        return build_envelope(422, message) if runs else None

    sandbox = Sandbox(seconds=60, clock=clock.time)
    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=not_yet), clock, rules=Rules()) as runner:
        await run_to_end(runner, await runner.submit(order(tool="veo_video")))
    compare(sandbox, f"422 {message}", "status, for 180 s", accepted=1, charged=60, recorded="1 succeeded", saved=1)


@pytest.mark.parametrize("restart", [False, True])
async def test_a_task_that_kie_does_not_know_any_more_is_given_up_after_ninety_seconds(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, *, restart: bool
) -> None:
    sandbox.inject_fault("create", "stall")
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        task = await runner.submit(order())
        await runner.wait([task], 2 * GRACE_SECONDS)
        sandbox.inject_fault("status", "null-record", 1000)
        clock.now += FRESH_SECONDS
        begun = clock.now
        if not restart:
            task = await run_to_end(runner, await runner.get(task.id))
    if restart:
        async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
            task = await run_to_end(runner, task)
    assert task.state == "expired"
    assert GRACE_SECONDS < clock.now - begun < GRACE_SECONDS + 15
    compare(
        sandbox,
        "KIE has forgotten the task",
        "at the next start" if restart else "while it runs",
        accepted=1,
        charged=4,
        recorded="1 expired",
        saved=0,
    )


@pytest.mark.parametrize("id_", ["0123456789abcdef0123456789abcdef", "veo_task_1234567890"])
async def test_an_id_that_exists_nowhere_is_an_error_within_three_seconds(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, id_: str
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        begun = clock.now
        with pytest.raises(InvalidCall, match="There is no task"):
            await runner.get(id_)
        assert clock.now - begun <= 3
    compare(sandbox, "an id that exists nowhere", "get_task", accepted=0, charged=0, recorded="nothing", saved=0)


@pytest.mark.parametrize("late", [True, False])
async def test_a_success_without_urls_is_asked_after_for_a_while(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, compare: Compare, *, late: bool
) -> None:
    sandbox.inject_fault("create", "no-urls")
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        task = await runner.submit(order())
        await runner.wait([task], 20)
        if late:
            sandbox.accepted[0].fault = ""
        await run_to_end(runner, task)
        await settle(clock, tmp_path)
    compare(
        sandbox,
        "success without URLs",
        "status, 20 s long" if late else "status, for ever",
        accepted=1,
        charged=4,
        recorded="1 succeeded",
        saved=int(late),
    )


@pytest.mark.parametrize(
    ("tool", "credits_", "files"), [("nano_banana_image", 4, 1), ("veo_video", 60, 1), ("suno_music", 12, 2)]
)
@pytest.mark.parametrize("legacy", [False, True])
async def test_a_result_in_a_new_place_is_found_and_saved(
    clock: JumpingClock, tmp_path: Path, compare: Compare, tool: str, credits_: float, files: int, *, legacy: bool
) -> None:
    sandbox = Sandbox(seconds=4, clock=clock.time, legacy=legacy)
    sandbox.inject_fault("create", "moved-urls")
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        task = await run_to_end(runner, await runner.submit(order(tool=tool)))
    assert (task.error, task.note) == (None, "")
    compare(
        sandbox,
        "success with its URLs in a new place",
        f"{tool}",
        accepted=1,
        charged=credits_,
        recorded="1 succeeded",
        saved=files,
    )
