"""Veo's larger versions: the create is sent again to ask after the clip, and billed once."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.responses import Response
from support.clock import JumpingClock
from support.effort import Effort
from support.errors import raises
from support.runners import InterceptedKie, run_runner, run_to_end, task_rows

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import ApiError, AuthError, InsufficientCredits, UnknownOutcome
from kie_mcp.kie.routes import PRODUCTS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.faults import build_envelope
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.polling import REPEAT_SECONDS
from kie_mcp.tasks.repeated_requests import find_body
from kie_mcp.tasks.transitions import REPEATED_FOR

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


class Size(NamedTuple):
    """A larger version."""

    model: str
    way: str
    price: float
    asked: str

    def call(self, task_id: str = "5f0c") -> KieModel:
        return MODELS[self.model].model_validate({"task_id": task_id})


SIZES = [
    Size("veo/get-1080p-video", "veo-1080p", 5, "GET /api/v1/veo/get-1080p-video"),
    Size("veo/get-4k-video", "veo-4k", 120, "POST /api/v1/veo/get-4k-video"),
]
NOBODY_KNOWS: list[int | str] = ["reset-before", "reset-after", "garbage", "truncated", "empty", 500, "code:500", 502]


def choose(answers: Sequence[int | str], database: str) -> Sequence[int | str]:
    """Return all answers, or some with PostgreSQL: which of them KIE gives makes no difference to the database."""
    return answers if database == "sqlite" or Effort.is_thorough else answers[::4]


# The two differ in what is sent, and not in what is stored.
both = pytest.mark.parametrize(
    ("database", "size"),
    [("sqlite", size) for size in SIZES]
    + [("postgresql", size) for size in SIZES if size.way == "veo-4k" or Effort.is_thorough],
    indirect=["database"],
    ids=lambda given: getattr(given, "way", given),
)


def test_no_route_of_these_is_left_out() -> None:
    assert {way for way, route in PRODUCTS.items() if route.repeated} == {size.way for size in SIZES}


@both
async def test_a_larger_clip_is_asked_for_until_it_is_there_and_billed_once(
    clock: JumpingClock, tmp_path: Path, size: Size
) -> None:
    times: list[float] = []

    async def note(path: str) -> None:
        if "/veo/" in path:
            times.append(clock.now)

    sandbox = Sandbox(seconds=200, clock=clock.time)
    gate = InterceptedKie(sandbox.app, get=note, post=note)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await runner.submit(Order("veo_upscale", size.call()))
        assert task_rows(tmp_path) == [(task.id, "running", None, size.way)]
        assert find_body(task) == {"taskId": "5f0c", "index": 0}
        task = await run_to_end(runner, task)
    assert (task.state, task.saved, task.error) == ("succeeded", True, None)
    assert [Path(result.path).suffix for result in task.results] == [".mp4"]
    assert len(times) > 5
    assert min(later - earlier for earlier, later in pairwise(times)) >= REPEAT_SECONDS
    assert gate.requests.count(size.asked) == len(times)
    assert len(sandbox.accepted) == 1
    assert sandbox.balance == 1000 - size.price


@both
async def test_a_larger_clip_goes_on_after_a_restart(clock: JumpingClock, tmp_path: Path, size: Size) -> None:
    sandbox = Sandbox(seconds=100, clock=clock.time)
    gate = InterceptedKie(sandbox.app)
    callbacks = Callbacks("https://me.example/done")
    async with run_runner(tmp_path, gate, clock, save=False, callbacks=callbacks) as runner:
        clip = await run_to_end(
            runner, await runner.submit(Order("veo_video", MODELS["veo3_fast"].model_validate({"prompt": "a heron"})))
        )
        task = await runner.submit(Order("veo_upscale", size.call(clip.id)))
        await runner.wait([task], 2 * REPEAT_SECONDS)
    assert task_rows(tmp_path)[1] == (task.id, "running", None, size.way)
    assert task.request
    assert task.request["taskId"] == clip.kie_id
    count, begun = gate.requests.count(size.asked), clock.now
    async with run_runner(tmp_path, gate, clock) as runner:
        found = await run_to_end(runner, await runner.get(task.id))
    assert (found.state, found.saved, len(found.results)) == ("succeeded", True, 1)
    assert gate.requests.count(size.asked) > count
    assert clock.now - begun >= REPEAT_SECONDS
    # The same words, or KIE would have begun a second one.
    assert len(sandbox.accepted) == 2
    assert sandbox.balance == 1000 - 60 - size.price


@both
async def test_a_clip_that_is_there_already_is_had_at_once_and_not_billed_again(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, size: Size
) -> None:
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock) as runner:
        await run_to_end(runner, await runner.submit(Order("veo_upscale", size.call())))
        count = gate.requests.count(size.asked)
        again = await runner.submit(Order("veo_upscale", size.call()))
        assert (again.state, again.route) == ("succeeded", size.way)
        assert (await run_to_end(runner, again)).saved
    assert gate.requests.count(size.asked) == count + 1
    assert sandbox.balance == 1000 - size.price


@both
async def test_whoever_asks_after_a_larger_clip_does_not_hurry_kie(
    clock: JumpingClock, tmp_path: Path, size: Size
) -> None:
    gate = InterceptedKie(Sandbox(seconds=600, clock=clock.time).app)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await runner.submit(Order("veo_upscale", size.call()))
        begun = clock.now
        while clock.now < begun + 3.5 * REPEAT_SECONDS:
            await runner.wait([await runner.get(task.id)], 2)
    assert 2 <= gate.requests.count(size.asked) <= 4


@both
async def test_a_larger_clip_is_asked_for_every_half_minute_also_after_failures_and_by_the_next_servers(
    clock: JumpingClock, tmp_path: Path, size: Size
) -> None:
    """As in a host that starts a server for each call."""
    times: list[float] = []

    async def note(path: str) -> None:
        if "/veo/" in path:
            times.append(clock.now)

    sandbox = Sandbox(seconds=400, clock=clock.time)
    gate = InterceptedKie(sandbox.app, get=note, post=note)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await runner.submit(Order("veo_upscale", size.call()))
        for how in (429, "code:455", 500, "reset-before"):
            sandbox.inject_fault("create", how)
        await runner.wait([task], 4.5 * REPEAT_SECONDS)
    for _ in range(7):
        async with run_runner(tmp_path, gate, clock) as runner:
            await runner.wait([await runner.get(task.id)], 11)
    assert len(times) > 6
    assert min(later - earlier for earlier, later in pairwise(times)) >= REPEAT_SECONDS


@both
async def test_a_larger_clip_that_fails_says_why(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, size: Size
) -> None:
    sandbox.inject_fault("create", "fail")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_upscale", size.call()))
        assert (task.state, task.route) == ("running", size.way)
        task = await run_to_end(runner, task)
    assert task.state == "failed"
    assert task.error
    assert task.error["message"] == 'KIE says: "This failure was injected into the sandbox"'
    assert (task.error["retryable"], task.error["billed"]) == (True, False)


@both
async def test_a_larger_clip_that_never_comes_is_given_up_with_kies_last_words(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, size: Size
) -> None:
    sandbox.inject_fault("create", "stall")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_upscale", size.call()))
        await runner.wait([task], 3 * REPEAT_SECONDS)
        clock.now = task.created + REPEATED_FOR - 3 * REPEAT_SECONDS
        task = await run_to_end(runner, task)
    assert (task.state, task.route) == ("failed", size.way)
    assert task.finished
    assert REPEATED_FOR < task.finished - task.created < REPEATED_FOR + 120
    assert task.error
    assert "video is processing" in str(task.error["message"])
    assert task.error["billed"] is True
    assert (task.credits, sandbox.balance) == (size.price, 1000 - size.price)


@both
async def test_a_larger_clip_is_refused_like_anything_else(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, size: Size, database: str
) -> None:
    refusals: dict[int | str, type[ApiError]] = {
        "code:422": ApiError,
        "code:400": ApiError,
        402: InsufficientCredits,
        401: AuthError,
        "code:455": ApiError,
        505: ApiError,
    }
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock) as runner:
        for how in choose([*refusals], database):
            sandbox.inject_fault("create", how)
            with raises(ApiError, how, "was injected into the sandbox") as caught:
                await runner.submit(Order("veo_upscale", size.call()))
            assert (type(caught.value), caught.value.billed) == (refusals[how], False), how
            assert task_rows(tmp_path)[-1][1:] == ("failed", None, size.way), how
            clock.now += 1
    assert gate.requests == [size.asked] * len(choose([*refusals], database))
    assert sandbox.balance == 1000


@both
async def test_a_first_answer_that_got_lost_leaves_a_larger_clip_unknown(
    clock: JumpingClock, tmp_path: Path, size: Size, database: str
) -> None:
    sandbox, answers = Sandbox(credits=10_000, clock=clock.time), choose(NOBODY_KNOWS, database)
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock) as runner:
        for number, how in enumerate(answers):
            before = sandbox.balance
            sandbox.inject_fault("create", how)
            with raises(UnknownOutcome, how):
                await runner.submit(Order("veo_upscale", size.call(f"clip{number}")))
            assert gate.requests == [size.asked] * (number + 1), how
            assert before - sandbox.balance in (0, size.price), how
            clock.now += 1
    rows = task_rows(tmp_path)
    assert [row[1:] for row in rows] == [("unknown", None, size.way)] * len(answers)
    async with run_runner(tmp_path, gate, clock) as runner:
        clock.now += 10 * REPEAT_SECONDS
        for id_, *_ in rows:
            await runner.get(id_)
    assert gate.requests == [size.asked] * len(answers)


@both
async def test_a_larger_clip_that_kie_refuses_later_fails_with_kies_words(
    clock: JumpingClock, tmp_path: Path, size: Size
) -> None:
    begun = clock.now

    async def refuse(_: str) -> Response | None:
        return build_envelope(400, "This video cannot be upgraded") if clock.now > begun + 1 else None

    sandbox = Sandbox(seconds=600, clock=clock.time)
    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=refuse, post=refuse), clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("veo_upscale", size.call())))
    assert (task.state, (task.error or {})["message"]) == ("failed", 'KIE says: "This video cannot be upgraded"')
    assert 3 * REPEAT_SECONDS < clock.now - begun < 6 * REPEAT_SECONDS


@both
async def test_a_first_answer_that_bids_to_wait_is_no_refusal(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, size: Size
) -> None:
    sandbox.inject_fault("create", "code:200")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_upscale", size.call()))
        assert (task.state, task.route) == ("running", size.way)
        assert (await run_to_end(runner, task)).state == "succeeded"
    assert sandbox.balance == 1000 - size.price


@both
async def test_a_later_answer_that_cannot_be_read_changes_nothing(
    clock: JumpingClock, tmp_path: Path, size: Size, database: str
) -> None:
    sandbox, answers = Sandbox(credits=10_000, clock=clock.time), [*NOBODY_KNOWS, 401, 429, "code:455", "null-record"]
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        for number, how in enumerate(choose(answers, database)):
            before = sandbox.balance
            task = await runner.submit(Order("veo_upscale", size.call(f"clip{number}")))
            sandbox.inject_fault("create", how, 2)
            task = await run_to_end(runner, task)
            assert (task.state, task.route, len(task.results)) == ("succeeded", size.way, 1), how
            assert before - sandbox.balance == size.price, how
