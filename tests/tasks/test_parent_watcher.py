"""A parent task is one task that KIE makes in parts: one price, no part paid twice, and one file."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from starlette.responses import JSONResponse, Response
from support.clock import JumpingClock, let_others_run
from support.ledgers import open_ledger
from support.runners import Intercept, InterceptedKie, model_call, run_runner, run_to_end, saved_files

from kie_mcp.catalog.credits import format_credits
from kie_mcp.catalog.dynamic_model import add_live_fields
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import ApiError, CapReached, ConfirmationNeeded, InsufficientCredits, KieMcpError
from kie_mcp.kie.rate_limit import CreateLimiter
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import KEPT_FOR, Task
from kie_mcp.media.lengths import measure_seconds
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.caps import Caps, Rules
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.parts import Plan, make_plan
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

TEXT = " ".join(f"Sentence {number} is one of many in this story." for number in range(270))
"""About 12,000 characters, which KIE takes in three parts."""
PRICE = sum(part.estimate().high or 0 for part in model_call("elevenlabs_speech", prompt=TEXT).split())
CREATE = "POST /api/v1/jobs/createTask"
DAY = 24 * 3600
REPEATS = Rules(repeat_window=DAY)


def speech(**more: Any) -> Order:
    variation = more.pop("variation", 1)
    return Order("elevenlabs_speech", model_call("elevenlabs_speech", prompt=TEXT, **more), variation=variation)


async def parts(runner: Runner) -> list[Task]:
    """Return all parts in the ledger, oldest first, and in the order of the text if they are equally old."""
    rows = await runner.ledger.database.select(sa.select(tasks.c.id).where(tasks.c.parent.is_not(None)))
    found = [await runner.ledger.find(row["id"]) for row in rows]
    return sorted(
        (each for each in found if each), key=lambda each: (each.created, TEXT.index(each.arguments["prompt"]))
    )


def at_create(number: int, do: Callable[[], Response | None]) -> Intercept:
    """Return an intercepting function that does something as KIE gets a create, counted from 1."""
    count = 0

    async def intercept(path: str) -> Response | None:
        nonlocal count
        count += path.endswith("/createTask")
        return do() if path.endswith("/createTask") and count == number else None

    return intercept


async def test_the_whole_price_is_reserved_before_the_first_part_is_sent(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    reserved: list[float] = []

    async def note(path: str) -> None:
        if path.endswith("/createTask"):
            parent = await runner.ledger.find(order.id)
            assert parent
            reserved.append((await runner.ledger.spent(parent)).day)

    gate, order = InterceptedKie(sandbox.app, post=note), speech()
    async with run_runner(tmp_path, gate, clock, save=False) as runner:
        await run_to_end(runner, await runner.submit(order))
    assert reserved == pytest.approx([PRICE] * 3)


@pytest.mark.parametrize("cap", ["task", "day", "session"])
async def test_caps_see_the_price_of_all_parts_to_the_last_credit(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, cap: str
) -> None:
    gate = InterceptedKie(sandbox.app)
    exact, less = (Rules(Caps(**{cap: PRICE + more})) for more in (0.001, -0.01))
    async with run_runner(tmp_path, gate, clock, rules=less) as runner:
        with pytest.raises(CapReached):
            await runner.submit(speech())
    assert CREATE not in gate.requests
    async with run_runner(tmp_path, gate, clock, rules=exact) as runner:
        task = await run_to_end(runner, await runner.submit(speech()))
        assert task.state == "succeeded"
        assert (await runner.ledger.spent(task)).day == pytest.approx(PRICE) == pytest.approx(1000 - sandbox.balance)
        if cap != "task":
            with pytest.raises(CapReached):
                await runner.submit(speech(variation=2))


async def test_one_confirmation_covers_all_parts(tmp_path: Path, sandbox: Sandbox, clock: JumpingClock) -> None:
    """No part alone would need one."""
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock, save=False, rules=Rules(confirm_above=PRICE - 1)) as runner:
        with pytest.raises(ConfirmationNeeded, match="3 parts") as asked:
            await runner.submit(speech())
        assert CREATE not in gate.requests
        task = await runner.submit(speech(), confirm=asked.value.confirm)
        assert (await run_to_end(runner, task)).state == "succeeded"
    assert gate.requests.count(CREATE) == 3


async def test_the_parts_are_sent_in_order_and_their_files_are_joined_in_order(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.submit(speech()))
        made = await parts(runner)
    sent = [each.body["input"]["text"] for each in sandbox.accepted]
    assert " ".join(sent) == TEXT
    assert [each.prompt for each in made] == sent
    assert {each.parent for each in made} == {task.id}
    (result,) = task.results
    joined = await _length(Path(result.path))
    assert joined == pytest.approx(sum([await _length(Path(each.results[0].path)) for each in made]), abs=0.1)
    assert task.credits == pytest.approx(sum(each.credits or 0 for each in made))
    assert (task.note, task.saved, task.kie_id) == ("", True, None)
    sidecar = json.loads(Path(f"{result.path}.json").read_text())  # noqa: ASYNC240
    assert (sidecar["task_id"], sidecar["prompt"]) == (task.id, TEXT)
    top = [file for file in saved_files(tmp_path / "out") if file.parent.name == "out"]
    assert [str(file) for file in top] == [result.path]
    assert {Path(each.results[0].path).parent.name for each in made} == {"parts"}


async def _length(path: Path) -> float:
    with path.open("rb") as file:
        return measure_seconds(file) or 0


async def test_a_running_parent_task_tells_how_many_parts_are_made(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "stall")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(speech())
        assert (task.state, task.note) == ("running", "0 of 3 parts are made.")
        clock.now += 60
        (task,) = await runner.wait([task], 60)
        assert (task.state, task.results) == ("running", [])
        states = [each.state for each in await parts(runner)]
    assert states == ["running", "succeeded", "succeeded"]


async def test_a_repeated_call_gets_the_same_parent_task(tmp_path: Path, sandbox: Sandbox, clock: JumpingClock) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, save=False, rules=REPEATS) as runner:
        first = await runner.submit(speech())
        assert (await runner.submit(speech())).id == first.id
        await run_to_end(runner, first)
        assert (await runner.submit(speech())).id == first.id
        assert len(sandbox.accepted) == 3
        another = await run_to_end(runner, await runner.submit(speech(variation=2)))
    assert (another.state, len(sandbox.accepted)) == ("succeeded", 6)


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_part_that_kie_cannot_make_ends_the_parent_task_and_the_next_call_pays_only_for_what_is_missing(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, number: int
) -> None:
    rules = Rules(Caps(day=PRICE + 0.001), repeat_window=DAY)
    gate = InterceptedKie(sandbox.app, post=at_create(number, lambda: sandbox.inject_fault("create", "fail")))
    async with run_runner(tmp_path, gate, clock, rules=rules) as runner:
        task = await run_to_end(runner, await runner.submit(speech()))
        assert task.state == "failed"
        assert task.error
        assert f"Part {number} of 3" in task.error["message"]
        assert "2 of 3 parts are made" in task.error["message"]
        assert "pays only for these" in task.error["next_step"]
        quoted = await runner.quote(speech())
        missing = [each for each in await parts(runner) if each.state == "failed"]
        assert quoted.reserve == pytest.approx(sum(each.reserved for each in missing))
        assert "1 of 3 parts, the others are paid" in quoted.basis
        again = await run_to_end(runner, await runner.submit(speech()))
        assert (again.state, len(again.results)) == ("succeeded", 1)
        assert again.id != task.id
        total = sum(each.credits or 0 for each in (task, again))
    assert total == pytest.approx(PRICE) == pytest.approx(1000 - sandbox.balance)
    assert len(sandbox.accepted) == 4
    assert await _length(Path(again.results[0].path)) > 9


async def test_when_kie_refuses_the_first_part_nothing_else_is_sent(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    answer = JSONResponse({"code": 402, "msg": "Credits insufficient", "data": None})
    gate = InterceptedKie(sandbox.app, post=at_create(1, lambda: answer))
    async with run_runner(tmp_path, gate, clock, rules=REPEATS) as runner:
        with pytest.raises(InsufficientCredits, match="Part 1 of 3") as caught:
            await runner.submit(speech())
        assert caught.value.billed is False
        (parent,) = await runner.ledger.page(limit=1000)
        assert (parent.state, parent.credits, parent.id) == ("failed", 0, caught.value.task_id)
        assert (await runner.ledger.spent(parent)).day == 0
        assert gate.requests.count(CREATE) == 1
        assert (await run_to_end(runner, await runner.submit(speech()))).state == "succeeded"


async def test_a_part_of_unknown_outcome_is_never_sent_again(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    gate = InterceptedKie(sandbox.app, post=at_create(2, lambda: Response(status_code=502)))
    async with run_runner(tmp_path, gate, clock, rules=REPEATS) as runner:
        task = await run_to_end(runner, await runner.submit(speech()))
        (unknown,) = [each for each in await parts(runner) if each.state == "unknown"]
        assert task.error
        assert task.error["billed"] is None
        assert unknown.id in task.error["message"]
        assert "resolve_task" in task.error["next_step"]
        assert gate.requests.count(CREATE) == 2
        again = await run_to_end(runner, await runner.submit(speech()))
        assert again.error
        assert unknown.id in again.error["message"]
        assert again.error["billed"] is None
        assert gate.requests.count(CREATE) == 2
        await runner.resolve(unknown.id, NOT_CREATED)
        last = await run_to_end(runner, await runner.submit(speech()))
        assert (last.state, gate.requests.count(CREATE)) == ("succeeded", 4)
        spent = await runner.ledger.spent(last)
    assert spent.day == pytest.approx(PRICE) == pytest.approx(1000 - sandbox.balance)


async def fail_last_part(runner: Runner) -> list[Task]:
    """Make the speech, of which KIE cannot make the last part, and return the other parts."""
    assert (await run_to_end(runner, await runner.submit(speech()))).state == "failed"
    return [each for each in await parts(runner) if each.state == "succeeded"]


async def test_a_file_that_is_gone_here_is_taken_from_kie_again(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    gate = InterceptedKie(sandbox.app, post=at_create(3, lambda: sandbox.inject_fault("create", "fail")))
    async with run_runner(tmp_path, gate, clock, rules=REPEATS) as runner:
        first, second = await fail_last_part(runner)
        Path(second.results[0].path).unlink()  # noqa: ASYNC240
        clock.now += 2 * DAY
        again = await run_to_end(runner, await runner.submit(speech()))
    assert (again.state, len(again.results), again.note) == ("succeeded", 1, "")
    assert await _length(Path(again.results[0].path)) > 8
    assert len(sandbox.accepted) == 4
    assert first.saved


async def test_a_part_that_is_lost_here_and_at_kie_is_paid_again_only_when_the_caller_asks_once_more(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    gate = InterceptedKie(sandbox.app, post=at_create(3, lambda: sandbox.inject_fault("create", "fail")))
    async with run_runner(tmp_path, gate, clock, rules=REPEATS) as runner:
        first, second = await fail_last_part(runner)
        path = Path(second.results[0].path)
        path.unlink()  # noqa: ASYNC240
        clock.now += KEPT_FOR + DAY
        sandbox.inject_fault("media", 404, times=2)
        with pytest.raises(ApiError) as caught:
            await runner.submit(speech())
        error = caught.value
        assert error.message.startswith(f"Part 2 of 3, task {second.id}, which cost ")
        assert format_credits(second.credits or 0) in error.message
        assert str(path) in error.message
        assert "pay for it again" in error.next_step
        assert error.billed is False
        assert len(sandbox.accepted) == 3
        quoted = await runner.quote(speech())
        assert "2 of 3 parts, the others are paid" in quoted.basis
        again = await run_to_end(runner, await runner.submit(speech()))
        assert (again.state, len(again.results), again.note) == ("succeeded", 1, "")
        assert [each.body["input"]["text"] for each in sandbox.accepted[3:]] == [
            each.body["input"]["text"] for each in sandbox.accepted[1:3]
        ]
        assert again.credits == pytest.approx(quoted.reserve)
    assert first.saved


async def test_a_part_whose_file_is_gone_before_it_is_joined_is_taken_from_kie_again(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("media", 503)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(speech())
        saved: list[Task] = []
        while len(saved) < 2:
            await clock.sleep(1)
            saved = [each for each in await parts(runner) if each.saved]
        for each in saved:
            Path(each.results[0].path).unlink()  # noqa: ASYNC240
        # A part whose watcher has just ended is looked at again after a while, which the clock does not skip by itself.
        while not task.done:
            await clock.sleep(1)
            task = await runner.get(task.id)
    assert (task.state, len(task.results), task.note) == ("succeeded", 1, "")
    assert len(sandbox.accepted) == 3


class Held:
    """A limiter that lets a process send only so many creates."""

    def __init__(self, inner: CreateLimiter, allowed: int) -> None:
        self._inner = inner
        self._left = allowed

    async def acquire(self, account: str, task: Task) -> float:
        if not self._left:
            await anyio.sleep_forever()
        self._left -= 1
        return await self._inner.acquire(account, task)

    async def note_refusal(self, task: Task) -> None:
        await self._inner.note_refusal(task)


@pytest.mark.parametrize("sent", [0, 1, 2])
async def test_a_parent_task_of_which_something_was_sent_is_continued_by_the_next_process(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, sent: int
) -> None:
    """One of which nothing was sent fails, as any other task does, and costs nothing."""

    def hold(inner: CreateLimiter) -> CreateLimiter:
        return Held(inner, sent)

    async with run_runner(tmp_path, sandbox.app, clock, rules=REPEATS, crash=True, wrap_limiter=hold) as runner:
        begun = await runner.submit(speech(), seconds=1)
        while len(await runner.ledger.find_parts(begun.id)) < sent + 1:
            await let_others_run()
    assert len(sandbox.accepted) == sent
    clock.now += 2 * LEASE_SECONDS
    async with run_runner(tmp_path, sandbox.app, clock, rules=REPEATS) as runner:
        found = await run_to_end(runner, begun)
        if not sent:
            assert found.refused
            assert (await runner.ledger.spent(found)).day == 0
        again = await run_to_end(runner, await runner.submit(speech()))
        assert (again.id == begun.id) == bool(sent)
        assert again.state == "succeeded"
        spent = await runner.ledger.spent(again)
    assert spent.day == pytest.approx(PRICE) == pytest.approx(1000 - sandbox.balance)
    assert len(sandbox.accepted) == 3


async def test_a_part_that_another_live_process_watches_is_waited_for_and_made_again_if_it_was_not_sent(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with run_runner(
        tmp_path, sandbox.app, clock, rules=REPEATS, crash=True, wrap_limiter=lambda inner: Held(inner, 1)
    ) as runner:
        begun = await runner.submit(speech(), seconds=1)
        while len(await runner.ledger.find_parts(begun.id)) < 2:
            await let_others_run()
        (unsent,) = (part for part in await parts(runner) if part.state == "prepared")
    clock.now += 2 * LEASE_SECONDS
    # Another process takes this part over, and dies before it has written down that it was not sent.
    other = await open_ledger(tmp_path / "data")
    await other.leases.renew("s_other", clock.now)
    assert await other.leases.claim(unsent.id, "s_other", clock.now)
    await other.close()
    async with run_runner(tmp_path, sandbox.app, clock, rules=REPEATS) as runner:
        found = await run_to_end(runner, begun)
    assert found.state == "succeeded"
    assert len(sandbox.accepted) == 3


async def test_without_saving_the_parts_are_listed(tmp_path: Path, sandbox: Sandbox, clock: JumpingClock) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        task = await run_to_end(runner, await runner.submit(speech()))
    assert task.state == "succeeded"
    assert len([each for each in task.results if each.link]) == 3
    assert "listed in order" in task.note


async def test_a_field_that_is_newer_than_this_server_is_sent_with_every_part(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    schema = {"type": "object", "properties": {"emotion": {"type": "string"}}}
    call = add_live_fields(speech().call, schema, {"emotion": "sad"})
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        await run_to_end(runner, await runner.submit(Order("elevenlabs_speech", call)))
    assert [each.body["input"]["emotion"] for each in sandbox.accepted] == ["sad"] * 3


LONG = {
    "elevenlabs/text-to-speech-turbo-2-5": {"prompt": TEXT, "language": "en", "speed": 0.9, "style": 0.5},
    "elevenlabs/text-to-speech-multilingual-v2": {"prompt": TEXT, "voice": "Sarah", "previous_text": "Well."},
    "elevenlabs/text-to-dialogue-v3": {
        "lines": [{"prompt": TEXT, "voice": "Adam"}, {"prompt": "Yes.", "voice": "Sam"}]
    },
    "google/gemini-3-1-flash-tts": {
        "dialogue": [{"speaker": 2, "prompt": TEXT}, {"speaker": 1, "prompt": "Yes."}],
        "speakers": [{"voice": "Kore", "style": "Whisper"}, {"voice": "Puck", "pace": "Rapid Fire"}],
    },
    "google/gemini-2-5-pro-tts": {"prompt": TEXT, "scene": "A pond.", "context": "It rains."},
    "google/gemini-3-8-flash-tts": {
        "dialogue": [{"speaker": 1, "prompt": TEXT, "style": "calm"}],
        "filler_words": True,
    },
    "google/gemini-3-8-flash-lite-tts": {"prompt": TEXT},
}
"""Calls that KIE takes only in parts."""


def test_these_are_all_the_models_that_split() -> None:
    assert set(LONG) == {id_ for id_, model in MODELS.items() if model.task_type == "text-to-speech"}


async def test_the_ledger_keeps_everything_that_the_parts_need(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    """Another process, perhaps of a later version, makes the same parts."""
    extra = {"nsfw_checker": True}
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        for id_, given in LONG.items():
            order = Order("any", MODELS[id_].model_validate(given), "jobs", extra)
            plan = await make_plan(runner.ledger, order, "key")
            assert plan, id_
            parent = Task("t_parent", "any", id_, "audio", "parts", {}, clock.now)
            parent.request = json.loads(json.dumps(plan.as_dict()))
            found = Plan.read(parent)
            assert [each.call.sent(str) for each in found.orders] == [each.sent(str) for each in order.call.split()]
            assert {(each.route, *each.extra.items()) for each in found.orders} == {("jobs", *extra.items())}, id_
            assert [found.key(number) for number in (0, 1)] == [plan.key(number) for number in (0, 1)], id_
            task = await run_to_end(runner, await runner.submit(order))
            assert (task.state, len(task.results)) == ("succeeded", 1), id_


class LosesConnection(Ledger):
    """A ledger whose database does not answer when the first part of a new parent task is looked for."""

    is_lost = True

    async def find_newest(self, idempotency_key: str) -> Task | None:
        """Fail once, after the row of the parent task is written."""
        if self.is_lost and await self._select_tasks(sa.select(tasks)):
            self.is_lost = False
            raise sa.exc.OperationalError("SELECT", None, Exception("the connection is lost"))
        return await super().find_newest(idempotency_key)


async def test_a_speech_of_which_the_caller_heard_that_nothing_was_sent_is_not_sent_later(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    def wrap(ledger: Ledger) -> Ledger:
        return LosesConnection(ledger.database)

    async with run_runner(tmp_path, sandbox.app, clock, rules=REPEATS, wrap_ledger=wrap) as runner:
        order = speech()
        with pytest.raises(KieMcpError, match="KIE was not asked") as told:
            await runner.submit(order)
        await clock.sleep(60)
        task = await runner.get(order.id)
        assert (told.value.billed, task.state, task.reserved, sandbox.accepted) == (False, "failed", 0, [])
        again = await run_to_end(runner, await runner.submit(speech()))
    assert (again.state, len(sandbox.accepted)) == ("succeeded", 3)


async def test_a_speech_whose_model_a_newer_version_does_not_have_ends_and_counts_what_its_parts_cost(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with run_runner(
        tmp_path, sandbox.app, clock, crash=True, wrap_limiter=lambda inner: Held(inner, 1)
    ) as runner:
        begun = await runner.submit(speech(), seconds=1)
        first = await run_to_end(runner, (await parts(runner))[0])
        await runner.ledger.save(replace(begun, model="elevenlabs/gone"))
    clock.now += 2 * LEASE_SECONDS
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.get(begun.id))
        # The second part was not sent, and that is known a little later.
        for _ in range(60):
            if task.credits is None:
                await clock.sleep(1)
                task = await runner.get(begun.id)
    assert (task.state, task.credits, (task.error or {})["category"]) == ("failed", first.credits, "invalid_call")
    assert (task.error or {})["billed"] is None
