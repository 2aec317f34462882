"""A batch, when something breaks: one budget, nothing lost, and nothing paid twice."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from reconciliation import Compare, order, reckon, settle
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send
from support.clock import JumpingClock, WallClock, wait_until
from support.effort import Effort
from support.runners import InterceptedKie, run_runner, run_to_end

from kie_mcp.errors import CapReached, ConfirmationNeeded, InvalidCall
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.batch import Batch
from kie_mcp.tasks.batch_watcher import MAX_AT_ONCE, reopen
from kie_mcp.tasks.caps import Caps, Rules
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

PROMPTS = ("a heron", "a fox", "an owl")
COUNT, COST = len(PROMPTS), 4
BUDGET = COUNT * COST
RULES = Rules(Caps(day=BUDGET), repeat_window=24 * 3600)
"""Rules by which no item may be paid twice: there is no credit left for it."""
HOUR = 3600
LOST_ANSWERS = {"502": ("502", "after:502"), "connection reset": ("reset-before", "reset-after")}
"""Faults of a create, before and after KIE has accepted it."""
KILLED_AT = range(1, 13) if Effort.is_thorough else (1, 2, 4, 5, 10, 11)
"""At which requests to KIE the server is killed: the read of the balance, the first and the last create, the first and
the last read of a status, and a download, or with `--thorough` each of the first twelve."""


async def submit(runner: Runner, *prompts: str, budget: float = BUDGET, confirm: str = "") -> Task:
    items = await runner.build_items([order(prompt) for prompt in prompts or PROMPTS])
    return await runner.submit_batch(Batch(items, budget), confirm=confirm)


async def make(runner: Runner, *prompts: str, budget: float = BUDGET) -> Task:
    return await run_to_end(runner, await submit(runner, *prompts, budget=budget))


class KilledAt:
    """A KIE whose answer to one request reaches nobody, because the server is killed then."""

    def __init__(self, kie: Sandbox, number: int, *, taken: bool) -> None:
        """Take the number of the request, counted from 1, and whether KIE gets it at all."""
        self.reached = anyio.Event()
        self._kie = kie
        self._left = number
        self._taken = taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._left -= 1
        if self._left > 0:
            await self._kie.app(scope, receive, send)
            return
        if self._left == 0 and self._taken:
            await self._kie.app(scope, receive, _drop)
        self.reached.set()
        await anyio.sleep_forever()


async def _drop(_: Message) -> None:
    pass


async def retry(runner: Runner, task: Task, budget: float = BUDGET) -> Task:
    """Make what is missing in a batch."""
    items = await runner.build_items([each.build_order() for each in Batch.read(task).find_missing()])
    return await run_to_end(runner, await runner.submit_batch(Batch(items, budget, task.id)))


@pytest.mark.parametrize("taken", [False, True], ids=["before KIE gets it", "after KIE took it"])
@pytest.mark.parametrize("number", KILLED_AT)
async def test_a_server_that_is_killed_at_a_request_of_a_batch_loses_nothing_and_pays_nothing_twice(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, number: int, taken: bool
) -> None:
    gate = KilledAt(sandbox, number, taken=taken)
    async with run_runner(tmp_path, gate, clock, rules=RULES, crash=True) as runner:
        task = await submit(runner)
        await clock.wait_for_first(gate.reached.wait, partial(run_to_end, runner, task))
    # The lease of the dead one ends.
    clock.now += 2 * LEASE_SECONDS
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await run_to_end(runner, await runner.get(task.id))
        await settle(clock, tmp_path)
        again = await run_to_end(runner, await submit(runner))
    # Whatever was on its way to KIE then may have been taken; it is not sent again.
    found, unknown = reckon(sandbox, tmp_path), sum(item.state == "unknown" for item in Batch.read(task).items)
    assert COUNT - unknown <= found.accepted <= COUNT
    assert len(task.results) == COUNT - unknown
    assert task.state == ("succeeded" if task.results else "failed")
    assert task.results or (task.error or {})["billed"] is None
    assert again.id == task.id or not task.results


async def test_an_item_fails_and_is_made_again(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare
) -> None:
    sandbox.inject_fault("create", "fail")
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner)
        again = await retry(runner, task, COST)
        await settle(clock, tmp_path)
    assert (task.state, task.credits, len(task.results)) == ("succeeded", 2 * COST, 2)
    assert (again.state, again.credits, len(again.results)) == ("succeeded", COST, 1)
    compare(
        sandbox,
        "an item of a batch fails",
        "while it runs; made again",
        accepted=4,
        charged=BUDGET,
        recorded="1 failed, 5 succeeded",
        saved=COUNT,
    )


async def test_the_budget_ends_in_the_middle(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner, budget=2 * COST)
        await settle(clock, tmp_path)
    assert [item.state for item in Batch.read(task).items] == ["succeeded", "succeeded", "left out"]
    compare(
        sandbox,
        "the budget of a batch ends",
        "after two of three items",
        accepted=2,
        charged=2 * COST,
        recorded="3 succeeded",
        saved=2,
    )


class OnceRefusingLedger(Ledger):
    """A ledger that cannot write the first item of a batch at the first attempt."""

    _has_refused = False

    async def add(self, task: Task, **more: Any) -> Task | None:
        """Refuse the row of the first item."""
        if not task.is_batch and not self._has_refused:
            self._has_refused = True
            raise sa.exc.OperationalError("INSERT", None, Exception("the disk is full"))
        return await super().add(task, **more)


async def test_a_ledger_that_refuses_an_item_for_a_moment_loses_no_item(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    def wrap(ledger: Ledger) -> Ledger:
        return OnceRefusingLedger(ledger.database)

    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES, wrap_ledger=wrap) as runner:
        begun = await submit(runner)
        await settle(clock, tmp_path)
        task = await runner.get(begun.id)
    assert [item.state for item in Batch.read(task).items] == ["succeeded"] * COUNT
    assert task.credits == BUDGET
    assert reckon(sandbox, tmp_path).accepted == COUNT


async def test_a_server_that_ends_while_an_item_is_about_to_start_leaves_it_to_the_next_server(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await submit(runner)
        runner._background.end()
        await clock.sleep(1)
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await run_to_end(runner, await runner.get(task.id))
        await settle(clock, tmp_path)
    assert [item.state for item in Batch.read(task).items] == ["succeeded"] * COUNT
    assert reckon(sandbox, tmp_path).accepted == COUNT


async def test_what_an_item_did_not_cost_is_there_for_the_next(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    """One that fails at KIE costs nothing, so that its credits pay for the last one."""
    sandbox.inject_fault("create", "fail")
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner, budget=2 * COST)
    assert sorted(item.state for item in Batch.read(task).items) == ["failed", "succeeded", "succeeded"]
    assert task.credits == 2 * COST == 1000 - sandbox.balance


async def test_all_that_a_batch_may_cost_counts_from_its_first_moment(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    counted: list[float] = []

    async def note(path: str) -> None:
        if path.endswith("/createTask"):
            counted.append((await runner.ledger.spent(task)).day)

    gate = InterceptedKie(sandbox.app, post=note)
    async with run_runner(tmp_path, gate, clock, rules=RULES) as runner:
        task = await submit(runner)
        with pytest.raises(CapReached):
            await runner.submit(order("a cat"))
        task = await run_to_end(runner, task)
        assert (await runner.ledger.spent(task)).day == BUDGET
        with pytest.raises(CapReached):
            await submit(runner, "a cat")
    # An item is recorded before the batch counts it no longer, so that the sum is never too small.
    assert len(counted) == COUNT
    assert min(counted) >= BUDGET


async def test_one_word_of_the_user_is_enough_for_all_items(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    """No item alone would need one, and the next call within the hour needs none because of the batch."""
    rules = Rules(confirm_above=BUDGET - 1, confirm_hourly=BUDGET - 1, repeat_window=600)
    async with run_runner(tmp_path, sandbox.app, clock, rules=rules) as runner:
        with pytest.raises(ConfirmationNeeded, match="3 calls of nano-banana-2") as asked:
            await submit(runner)
        assert sandbox.accepted == []
        task = await run_to_end(runner, await submit(runner, confirm=asked.value.confirm))
        assert task.state == "succeeded"
        assert (await run_to_end(runner, await runner.submit(order("a cat")))).state == "succeeded"


async def test_a_batch_that_its_caller_cancels_starts_no_further_item(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await submit(runner, budget=COST)
        task.cancelled = clock.time()
        await runner.ledger.cancel(task)
        task = await run_to_end(runner, task)
    assert [item.state for item in Batch.read(task).items].count("left out") >= COUNT - 1
    assert len(sandbox.accepted) <= 1


class SlowKie:
    """A KIE that answers some creates only after `go_on` is set."""

    def __init__(self, kie: Sandbox, slow: range) -> None:
        """Take the numbers of the creates, counted from 1, that have to wait."""
        self.posts = 0
        self.go_on = anyio.Event()
        self.app = InterceptedKie(kie.app, post=self._answer)
        self._slow = slow

    async def _answer(self, path: str) -> None:
        self.posts += path.endswith("/createTask")
        if self.posts in self._slow:
            await self.go_on.wait()


async def test_items_that_start_or_wait_for_their_turn_count_once_in_the_caps(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    prompts = [f"thing {number}" for number in range(2 * MAX_AT_ONCE)]
    budget = len(prompts) * COST
    # The first answer lets the batch save its row while the other items wait.
    kie = SlowKie(sandbox, range(2, MAX_AT_ONCE + 1))
    rules = replace(RULES, caps=Caps(day=budget))
    async with run_runner(tmp_path, kie.app, clock, rules=rules) as runner:
        task = await submit(runner, *prompts, budget=budget)
        await wait_until(lambda: kie.posts > MAX_AT_ONCE)
        with anyio.fail_after(60):
            while (await runner.ledger.spent(task)).day > budget:
                pass
        with pytest.raises(CapReached):
            await runner.submit(order("a cat"))
        kie.go_on.set()
        task = await run_to_end(runner, task)
        assert (await runner.ledger.spent(task)).day == budget == task.credits


async def test_a_batch_that_is_cancelled_leaves_out_the_items_that_wait_for_their_turn(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    prompts = [f"thing {number}" for number in range(2 * MAX_AT_ONCE)]
    kie = SlowKie(sandbox, range(1, MAX_AT_ONCE + 1))
    async with run_runner(tmp_path, kie.app, clock) as runner:
        task = await submit(runner, *prompts, budget=len(prompts) * COST)
        await wait_until(lambda: kie.posts == MAX_AT_ONCE)
        task.cancelled = clock.time()
        await runner.ledger.cancel(task)
        kie.go_on.set()
        task = await run_to_end(runner, task)
    assert [item.state for item in Batch.read(task).items].count("left out") == MAX_AT_ONCE
    assert len(sandbox.accepted) == MAX_AT_ONCE


async def test_an_item_that_another_batch_makes_meanwhile_is_counted_by_that_batch_alone(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    kie = SlowKie(sandbox, range(1, MAX_AT_ONCE + 1))
    async with run_runner(tmp_path, kie.app, clock, rules=Rules(repeat_window=600)) as runner:
        first = await submit(runner, *(f"thing {number}" for number in range(MAX_AT_ONCE + 1)), budget=1000)
        await wait_until(lambda: kie.posts == MAX_AT_ONCE)
        second = await run_to_end(runner, await submit(runner, f"thing {MAX_AT_ONCE}", "a fox"))
        kie.go_on.set()
        first = await run_to_end(runner, first)
    assert len(first.results) + len(second.results) == len(sandbox.accepted) + 1
    assert (first.credits, second.credits) == (MAX_AT_ONCE * COST, 2 * COST)


@pytest.mark.parametrize("how", LOST_ANSWERS)
@pytest.mark.parametrize("accepted", [False, True], ids=["before KIE accepted", "after KIE accepted"])
async def test_the_answer_to_an_item_is_lost_and_what_is_settled_later_is_in_the_batch(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare, how: str, accepted: bool
) -> None:
    sandbox.inject_fault("create", LOST_ANSWERS[how][accepted])
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner)
        (lost,) = (item for item in Batch.read(task).items if item.state == "unknown")
        assert (len(task.results), task.credits) == (COUNT - 1, None)
        known = {(await runner.get(item.task_id)).kie_id for item in Batch.read(task).items}
        outcome = next((made.id for made in sandbox.accepted if made.id not in known), NOT_CREATED)
        await runner.resolve(lost.task_id, outcome)
        task = await run_to_end(runner, await runner.get(task.id))
        if not accepted:
            assert Batch.read(task).find_missing()[0].task_id == lost.task_id
            assert len((await retry(runner, task)).results) == 1
        await settle(clock, tmp_path)
    assert [result.label for result in task.results] == [f"item {n}: {PROMPTS[n - 1]}" for n in made_items(task)]
    assert task.credits == len(task.results) * COST
    compare(
        sandbox,
        f"the answer to an item of a batch is lost: {how}",
        f"create, {'after' if accepted else 'before'} KIE accepted; settled{'' if accepted else ', made again'}",
        accepted=COUNT,
        charged=BUDGET,
        recorded="4 succeeded" if accepted else "1 failed, 5 succeeded",
        saved=COUNT,
    )


async def test_an_item_that_kie_did_not_know_and_that_is_settled_later_is_in_the_batch_and_not_made_again(
    tmp_path: Path, clock: JumpingClock
) -> None:
    sandbox, is_known = Sandbox(seconds=4, clock=clock.time), False

    async def forget(path: str) -> JSONResponse | None:
        is_hidden = path.endswith("/recordInfo") and not is_known
        return JSONResponse({"code": 422, "msg": "recordInfo is null", "data": None}) if is_hidden else None

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=forget), clock, rules=RULES) as runner:
        task = await make(runner)
        assert [item.state for item in Batch.read(task).items] == ["expired"] * COUNT
        # Reading the batch again changes nothing, as long as nothing is settled.
        assert await runner.get(task.id) == task
        is_known = True
        for item in Batch.read(task).items:
            lost = await runner.get(item.task_id)
            await run_to_end(runner, await runner.resolve(lost.id, lost.kie_id or ""))
        task = await run_to_end(runner, await runner.get(task.id))
        await settle(clock, tmp_path)
    assert Batch.read(task).find_missing() == []
    assert (task.state, len(task.results), task.credits) == ("succeeded", COUNT, BUDGET)
    reckon(sandbox, tmp_path)


async def test_a_new_server_adds_what_was_settled_meanwhile_to_the_batch_without_being_asked(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "reset-after")
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner)
        items = Batch.read(task).items
        known = {(await runner.get(item.task_id)).kie_id for item in items}
        (lost,) = (item for item in items if item.state == "unknown")
        (made,) = (each for each in sandbox.accepted if each.id not in known)
        await run_to_end(runner, await runner.resolve(lost.task_id, made.id))
        assert len((await runner.ledger.find(task.id) or task).results) == COUNT - 1
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        await runner.resume()
        while len((await runner.ledger.find(task.id) or task).results) < COUNT:
            await clock.sleep(1)
        # A batch in which nothing has changed is left as it is.
        before = await runner.ledger.find(task.id)
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        await runner.resume()
        await clock.sleep(LEASE_SECONDS)
        assert await runner.ledger.find(task.id) == before


@pytest.mark.on_postgresql
async def test_a_server_that_reopens_a_batch_late_changes_nothing_that_another_one_has_done_with_it(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "reset-after")
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner)
        (lost,) = (item for item in Batch.read(task).items if item.state == "unknown")
        await runner.resolve(lost.task_id, NOT_CREATED)
        read_early = [await runner.ledger.find(task.id) for _ in range(2)]
        reopened = await runner.get(task.id)
        assert reopened.state == "running"
        assert read_early[0]
        assert (await reopen(runner.ledger, read_early[0])).state == "running"
        ended = await run_to_end(runner, reopened)
        assert read_early[1]
        assert await reopen(runner.ledger, read_early[1]) == ended == await runner.ledger.find(task.id)


async def test_a_batch_that_runs_again_tells_no_error_that_is_settled(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "reset-after")
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner, "a fox")
        assert task.error
        await runner.resolve(Batch.read(task).items[0].task_id, sandbox.accepted[0].id)
        again = await runner.get(task.id)
        assert (again.state, again.error, again.note) == ("running", None, "0 of 1 are made.")
        assert Batch.read(again).items[0].error is None


def made_items(task: Task) -> list[int]:
    return [number for number, item in enumerate(Batch.read(task).items, start=1) if item.state == "succeeded"]


@pytest.mark.parametrize("number", [4, 5, 6])
async def test_items_that_were_started_are_found_again_though_the_clock_was_set_back(
    tmp_path: Path, number: int
) -> None:
    clock = WallClock()
    sandbox = Sandbox(seconds=4, clock=clock.monotonic)
    gate = KilledAt(sandbox, number, taken=True)
    async with run_runner(tmp_path, gate, clock, rules=RULES, crash=True) as runner:
        task = await submit(runner)
        clock.ahead -= HOUR
        await gate.reached.wait()
    clock.now += 2 * LEASE_SECONDS
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await run_to_end(runner, await runner.get(task.id))
        items = Batch.read(task).items
        assert {(await runner.get(item.task_id)).created < task.created for item in items} == {True}
    # Whatever was on its way to KIE is not sent again.
    unknown = sum(item.state == "unknown" for item in items)
    assert COUNT - unknown <= reckon(sandbox, tmp_path).accepted <= COUNT


async def test_what_failed_is_made_again_though_the_clock_was_set_back(tmp_path: Path) -> None:
    clock = WallClock()
    sandbox = Sandbox(seconds=4, clock=clock.monotonic)
    sandbox.inject_fault("create", "fail")
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner)
        clock.ahead -= HOUR
        again = await retry(runner, task)
    assert (again.state, len(again.results)) == ("succeeded", 1)
    reckon(sandbox, tmp_path)


async def test_items_that_a_killed_server_was_about_to_start_are_left_out_of_a_cancelled_batch(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        items = await runner.build_items([order(prompt) for prompt in PROMPTS])
        batch = Batch([replace(item, state="running") for item in items], BUDGET)
        # That server has written the batch down, and no item.
        task = batch.build_task("s_killed", clock.now)
        await runner.ledger.add(task)
        task.cancelled = clock.now
        await runner.ledger.cancel(task)
        task = await run_to_end(runner, await runner.get(batch.id))
    assert [item.state for item in Batch.read(task).items] == ["left out"] * COUNT
    assert (task.state, task.credits, sandbox.accepted) == ("failed", 0, [])


@pytest.mark.parametrize("change", [{"model": "nano-banana-0"}, {"fields": {"prompt": "a fox", "resolution": "9K"}}])
async def test_an_item_that_a_newer_version_cannot_make_any_more_fails_and_the_others_are_made(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, change: dict[str, Any]
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        items = await runner.build_items([order(prompt) for prompt in PROMPTS])
        batch = Batch([items[0], replace(items[1], **change), items[2]], BUDGET)
        # An earlier version has written the batch down, and ended.
        await runner.ledger.add(batch.build_task("s_earlier", clock.now))
        task = await run_to_end(runner, await runner.get(batch.id))
    items = Batch.read(task).items
    assert [item.state for item in items] == ["succeeded", "failed", "succeeded"]
    assert (items[1].error or {})["category"] == "invalid_call"
    assert task.credits == 2 * COST
    with pytest.raises(InvalidCall):
        items[1].build_order()


async def test_a_batch_with_a_broken_row_is_told_as_that(tmp_path: Path, sandbox: Sandbox, clock: JumpingClock) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=RULES) as runner:
        task = await make(runner)
        async with runner.ledger.database.writing() as connection:
            await connection.execute(sa.text("UPDATE tasks SET request = '{\"items\"' WHERE route = 'batch'"))
        found = await runner.get(task.id)
    assert (found.error or {})["category"] == "broken_row"
