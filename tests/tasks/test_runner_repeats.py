"""Veo's larger versions: the create is sent again to ask after the clip, and billed once."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.responses import Response
from support.clock import JumpingClock
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

both = pytest.mark.parametrize("size", SIZES, ids=[size.way for size in SIZES])


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
    sandbox = Sandbox(seconds=200, clock=clock.time)
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock, callbacks=Callbacks("https://me.example/done")) as runner:
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
        while clock.now < begun + 10 * REPEAT_SECONDS:
            await runner.wait([await runner.get(task.id)], 1)
    assert 5 <= gate.requests.count(size.asked) <= 11


@both
@pytest.mark.parametrize("how", [429, "code:455", 500, "reset-before"])
async def test_a_larger_clip_is_asked_for_every_half_minute_also_after_failures_and_by_the_next_servers(
    clock: JumpingClock, tmp_path: Path, size: Size, how: int | str
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
        sandbox.inject_fault("create", how, 4)
        await runner.wait([task], 4.5 * REPEAT_SECONDS)
    for _ in range(12):
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
        task = await run_to_end(runner, await runner.submit(Order("veo_upscale", size.call())))
    assert (task.state, task.route) == ("failed", size.way)
    assert task.finished
    assert REPEATED_FOR < task.finished - task.created < REPEATED_FOR + 120
    assert task.error
    assert "video is processing" in str(task.error["message"])
    assert task.error["billed"] is True
    assert (task.credits, sandbox.balance) == (size.price, 1000 - size.price)


@both
@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("code:422", ApiError),
        ("code:400", ApiError),
        (402, InsufficientCredits),
        (401, AuthError),
        ("code:455", ApiError),
        (505, ApiError),
    ],
)
async def test_a_larger_clip_is_refused_like_anything_else(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    size: Size,
    how: int | str,
    error: type[ApiError],
) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("create", how)
    async with run_runner(tmp_path, gate, clock) as runner:
        with pytest.raises(error, match="was injected into the sandbox") as caught:
            await runner.submit(Order("veo_upscale", size.call()))
    assert caught.value.billed is False
    assert [row[1:] for row in task_rows(tmp_path)] == [("failed", None, size.way)]
    assert gate.requests == [size.asked]
    assert sandbox.balance == 1000


@both
@pytest.mark.parametrize("how", NOBODY_KNOWS)
async def test_a_first_answer_that_got_lost_leaves_a_larger_clip_unknown(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    size: Size,
    how: int | str,
) -> None:
    gate = InterceptedKie(sandbox.app)
    sandbox.inject_fault("create", how)
    async with run_runner(tmp_path, gate, clock) as runner:
        with pytest.raises(UnknownOutcome):
            await runner.submit(Order("veo_upscale", size.call()))
    assert [row[1:] for row in task_rows(tmp_path)] == [("unknown", None, size.way)]
    async with run_runner(tmp_path, gate, clock) as runner:
        clock.now += 10 * REPEAT_SECONDS
        await runner.get(task_rows(tmp_path)[0][0])
    assert gate.requests == [size.asked]
    assert sandbox.balance in (1000, 1000 - size.price)


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
@pytest.mark.parametrize("how", ["code:200"])
async def test_a_first_answer_that_bids_to_wait_is_no_refusal(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    size: Size,
    how: int | str,
) -> None:
    sandbox.inject_fault("create", how)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_upscale", size.call()))
        assert (task.state, task.route) == ("running", size.way)
        assert (await run_to_end(runner, task)).state == "succeeded"
    assert sandbox.balance == 1000 - size.price


@both
@pytest.mark.parametrize("how", [*NOBODY_KNOWS, 401, 429, "code:455", "null-record"])
async def test_a_later_answer_that_cannot_be_read_changes_nothing(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    size: Size,
    how: int | str,
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(Order("veo_upscale", size.call()))
        sandbox.inject_fault("create", how, 2)
        task = await run_to_end(runner, task)
    assert (task.state, task.route, len(task.results)) == ("succeeded", size.way, 1)
    assert sandbox.balance == 1000 - size.price
