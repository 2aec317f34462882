"""Long speech, which KIE makes in parts, when something breaks: no part is lost, and none is paid twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from reconciliation import Compare, order, settle
from starlette.responses import Response
from support.clock import JumpingClock, let_others_run, pass_time_until
from support.runners import InterceptedKie, run_runner, run_to_end

from kie_mcp.clock import to_local_day
from kie_mcp.errors import CapReached
from kie_mcp.kie.rate_limit import CreateLimiter
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.caps import Caps, Rules
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

TEXT = " ".join(f"Sentence {number} is one of many in this story." for number in range(270))
"""About 12,000 characters, which KIE takes in three parts."""
PRICE = 68.99
"""Credits for all parts."""
FIGURES: dict[str, Any] = {"accepted": 3, "charged": PRICE, "saved": 4}
"""What comes of it when all is well: a file of each part, and that of the parent task."""
FAULT = "a part of a long speech"
RULES = Rules(Caps(day=PRICE), repeat_window=24 * 3600)
"""Rules by which no part may be paid twice: there is no credit left for it."""


def speech() -> Order:
    return order(TEXT, "elevenlabs_speech")


async def make(runner: Runner) -> Task:
    return await run_to_end(runner, await runner.submit(speech()))


async def test_a_part_fails(tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare) -> None:
    sandbox.inject_fault("create", "fail")
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        assert (await make(runner)).state == "failed"
        assert (await make(runner)).state == "succeeded"
        await settle(clock, tmp_path)
    compare(
        sandbox,
        f"{FAULT} fails",
        "while it runs; called again",
        recorded="1 failed, 1 succeeded",
        **FIGURES | {"accepted": 4},
    )


async def test_a_speech_with_a_broken_row_is_made_again_from_the_parts_that_there_are(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "fail")
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        failed = await make(runner)
        assert (failed.state, len(sandbox.accepted)) == ("failed", 3)
        async with runner.ledger.database.writing() as connection:
            await connection.execute(sa.update(tasks).where(tasks.c.id == failed.id).values(request=None))
        assert (await make(runner)).state == "succeeded"
    assert len(sandbox.accepted) == 4


@pytest.mark.parametrize(("how", "accepted"), [("502", False), ("after:502", True)])
async def test_the_outcome_of_a_part_is_unknown(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare, how: str, accepted: bool
) -> None:
    count = 0

    async def meet(path: str) -> None:
        nonlocal count
        count += path.endswith("/createTask")
        if path.endswith("/createTask") and count == 2:
            sandbox.inject_fault("create", how)

    gate = InterceptedKie(sandbox.app, post=meet)
    async with run_runner(tmp_path, gate, clock, rules=RULES) as runner:
        for _ in range(2):
            failed = await make(runner)
            assert failed.state == "failed"
            assert count == 2
        ids = [each.id for each in await runner.ledger.find_parts((await runner.ledger.page(limit=1000))[-1].id)]
        (unknown,) = [id_ for id_ in ids if (await runner.get(id_)).state == "unknown"]
        await run_to_end(runner, await runner.resolve(unknown, sandbox.accepted[1].id if accepted else NOT_CREATED))
        assert (await make(runner)).state == "succeeded"
        await settle(clock, tmp_path)
    moment = f"create, {'after' if accepted else 'before'} KIE accepted; called again, settled, called again"
    compare(sandbox, f"{FAULT}: 502", moment, recorded="2 failed, 1 succeeded", **FIGURES)


class SecondHeld:
    """A limiter that never lets a process send its second create."""

    def __init__(self, inner: CreateLimiter) -> None:
        self._inner = inner
        self._count = 0

    async def acquire(self, account: str, task: Task) -> float:
        self._count += 1
        if self._count > 1:
            await anyio.sleep_forever()
        return await self._inner.acquire(account, task)

    async def note_refusal(self, task: Task) -> None:
        await self._inner.note_refusal(task)


async def test_a_process_dies_between_two_parts(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES, crash=True, wrap_limiter=SecondHeld) as runner:
        begun = await runner.submit(speech())
        while len(await runner.ledger.find_parts(begun.id)) < 2:
            await let_others_run()
    assert len(sandbox.accepted) == 1
    clock.now += 2 * LEASE_SECONDS
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        assert (await run_to_end(runner, begun)).state == "succeeded"
        assert (await runner.submit(speech())).id == begun.id
        await settle(clock, tmp_path)
    compare(
        sandbox,
        "a process is killed, another takes over",
        "between two parts of a long speech",
        recorded="1 succeeded",
        **FIGURES,
    )


@contextmanager
def blocked(place: Path) -> Iterator[None]:
    """A folder stands where a file is to be written."""
    place.mkdir(parents=True)
    yield
    place.rmdir()


async def test_the_joined_file_cannot_be_written(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare
) -> None:
    asked = speech()
    name = f".{to_local_day(clock.now)}-elevenlabs-text-to-speech-turbo-2-5-{asked.id}-1.part"
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        with blocked(tmp_path / "out" / name):
            task = await runner.submit(asked)
            await pass_time_until(lambda: "Not joined" in task.note, clock)
            (told,) = await runner.wait([task], 10)
            assert "It is tried again" in told.note
        await settle(clock, tmp_path)
        assert (await run_to_end(runner, task)).state == "succeeded"
    compare(
        sandbox, "output folder takes no files", "joining the parts of a long speech", recorded="1 succeeded", **FIGURES
    )


async def test_the_cap_allows_all_parts_but_one_credit(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare
) -> None:
    """The first parts alone would be allowed."""
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(Caps(day=PRICE - 1))) as runner:
        with pytest.raises(CapReached):
            await runner.submit(speech())
    compare(sandbox, "the day's cap is too small", "a long speech", accepted=0, charged=0, recorded="nothing", saved=0)


async def test_the_same_speech_is_asked_for_at_once(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        found: set[str] = set()

        async def ask() -> None:
            found.add((await runner.submit(speech())).id)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        assert len(found) == 1
        await settle(clock, tmp_path)
    compare(sandbox, "20 calls at once", "all the same long speech", recorded="1 succeeded", **FIGURES)


async def test_kie_refuses_a_part_in_the_middle(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare
) -> None:
    count = 0

    async def meet(path: str) -> Response | None:
        nonlocal count
        count += path.endswith("/createTask")
        return (
            Response('{"code": 422, "msg": "no such voice"}') if path.endswith("/createTask") and count == 2 else None
        )

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, post=meet), clock, rules=RULES) as runner:
        failed = await make(runner)
        assert failed.error
        assert failed.error["billed"] is True
        assert (await make(runner)).state == "succeeded"
        await settle(clock, tmp_path)
    compare(sandbox, f"{FAULT}: 422", "create; called again", recorded="1 failed, 1 succeeded", **FIGURES)
