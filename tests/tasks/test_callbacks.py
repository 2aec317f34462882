"""KIE's callbacks: the watcher asks KIE at once, and polls rarely as long as callbacks come."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from starlette.responses import Response
from support.callbacks import Receiver, receive_callbacks, receiving
from support.clock import JumpingClock
from support.runners import InterceptedKie, model_call, run_runner, run_to_end

from kie_mcp.kie import routes
from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.faults import build_no_record
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.polling import DurationEstimate, next_poll
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.wake_files import FOLDER, KEPT_SECONDS, WakeFiles

pytestmark = pytest.mark.anyio
SECONDS = 60.0


class Stage:
    """A runner that receives the callbacks of a sandbox whose tasks take a minute."""

    def __init__(self, runner: Runner, sandbox: Sandbox, receiver: Receiver, kie: InterceptedKie) -> None:
        self.runner, self.sandbox, self.receiver, self.kie = runner, sandbox, receiver, kie

    async def make(self, tool: str = "nano_banana_image", **arguments: object) -> tuple[Task, float, int]:
        """Make a task, and return it with the seconds from its end to its notice, and the number of reads."""
        self.kie.requests.clear()
        task = await run_to_end(self.runner, await self.runner.submit(Order(tool, model_call(tool, **arguments))))
        reads = sum("record" in each for each in self.kie.requests)
        return task, (task.finished or 0) - self.sandbox.accepted[-1].ends_at, reads


@asynccontextmanager
async def stage(folder: Path, clock: JumpingClock, *, seconds: float = SECONDS) -> AsyncIterator[Stage]:
    sandbox = Sandbox(seconds=seconds, clock=clock.time, credits=10_000)
    kie = InterceptedKie(sandbox.app)
    async with (
        receive_callbacks(sandbox, clock) as receiver,
        run_runner(folder, kie, clock, callbacks=receiving(), usual_seconds=seconds, save=False) as runner,
    ):
        receiver.runner = runner
        yield Stage(runner, sandbox, receiver, kie)


async def test_each_task_has_an_address_that_nobody_can_guess(tmp_path: Path, clock: JumpingClock) -> None:
    async with stage(tmp_path, clock) as it:
        first, _, _ = await it.make()
        second, _, _ = await it.make(prompt="another")
        given = [task.body["callBackUrl"] for task in it.sandbox.accepted]
    assert [url.rsplit("/", 1)[0] for url in given] == [
        f"https://me.example/callbacks/{task.id}" for task in (first, second)
    ]
    tokens = [url.rsplit("/", 1)[1] for url in given]
    assert tokens[0] != tokens[1]
    assert all(len(token) == 43 for token in tokens)
    assert not receiving().is_address(first.id, tokens[1])
    assert not receiving().is_address(first.id, "")
    assert "secret" not in repr(receiving())


async def test_the_end_is_noticed_at_once_and_by_one_read(tmp_path: Path, clock: JumpingClock) -> None:
    async with stage(tmp_path, clock) as it:
        _, lag, reads = await it.make()
        assert lag == pytest.approx(0, abs=0.01)
        # Nobody knew yet whether callbacks come.
        assert reads > 5
        for prompt in "abc":
            task, lag, reads = await it.make(prompt=prompt)
            assert task.state == "succeeded"
            assert lag == pytest.approx(0, abs=0.01)
            assert reads == 1


async def test_a_callback_alone_is_not_believed(tmp_path: Path, clock: JumpingClock) -> None:
    async with stage(tmp_path, clock) as it:
        submitted = await it.runner.submit(Order("nano_banana_image", model_call("nano_banana_image")))
        await clock.sleep(5)
        it.kie.requests.clear()
        assert it.runner.handle_callback(submitted.id)
        await clock.sleep(0.5)
        assert it.kie.requests == [f"GET {routes.JOBS.status}"]
        assert (await it.runner.ledger.find(submitted.id) or submitted).state == "running"
        done = await run_to_end(it.runner, submitted)
        assert done.state == "succeeded"
        assert (done.finished or 0) - done.created == pytest.approx(SECONDS, abs=0.1)


async def test_a_lost_callback_costs_only_seconds_and_brings_polling_back(tmp_path: Path, clock: JumpingClock) -> None:
    async with stage(tmp_path, clock) as it:
        await it.make()
        it.sandbox.inject_fault("callback", "lost", 2)
        _, lag, reads = await it.make(prompt="a")
        assert 1 < lag < SECONDS / 2
        assert reads <= 3
        assert not it.runner.callbacks.arrive
        _, lag, reads = await it.make(prompt="b")
        assert lag < 2
        assert reads > 5
        await it.make(prompt="c")
        assert it.runner.callbacks.arrive
        assert (await it.make(prompt="d"))[2] == 1


async def test_a_receiver_that_is_down_costs_only_lag(tmp_path: Path, clock: JumpingClock) -> None:
    async with stage(tmp_path, clock) as it:
        await it.make()
        it.receiver.status = 503
        lags = [(await it.make(prompt=prompt))[1] for prompt in "abcd"]
        assert lags[0] < SECONDS / 2
        assert max(lags[1:]) < 2


@pytest.mark.parametrize("calls", [2, 50])
async def test_callbacks_that_come_in_numbers_cause_a_read_a_second(
    tmp_path: Path, clock: JumpingClock, calls: int
) -> None:
    async with stage(tmp_path, clock) as it:
        await it.make()
        submitted = await it.runner.submit(Order("nano_banana_image", model_call("nano_banana_image", prompt="a")))
        await clock.sleep(5)
        it.kie.requests.clear()
        for _ in range(calls):
            assert it.runner.handle_callback(submitted.id)
            await clock.sleep(0.01)
        await clock.sleep(3)
        assert len(it.kie.requests) == 2


async def test_a_callback_that_comes_twice_changes_nothing(tmp_path: Path, clock: JumpingClock) -> None:
    async with stage(tmp_path, clock) as it:
        it.sandbox.inject_fault("callback", "twice")
        task, lag, _ = await it.make()
        assert task.state == "succeeded"
        assert lag == pytest.approx(0, abs=0.01)
        await clock.sleep(30)
        assert len(it.receiver.bodies) == 2
        assert len(it.sandbox.accepted) == 1
        assert (await it.runner.ledger.find(task.id) or task).finished == task.finished


async def test_a_song_is_read_at_each_of_its_three_callbacks(tmp_path: Path, clock: JumpingClock) -> None:
    async with stage(tmp_path, clock) as it:
        await it.make()
        task, lag, reads = await it.make("suno_music", prompt="rain")
        assert task.state == "succeeded"
        assert lag == pytest.approx(0, abs=0.01)
        assert reads <= 4
        assert len(it.receiver.bodies) == 4


async def test_a_callback_before_the_answer_to_the_create_is_not_forgotten(tmp_path: Path, clock: JumpingClock) -> None:
    """KIE's network may deliver the callback of a quick task before the answer to its create."""
    async with stage(tmp_path, clock, seconds=2) as it:
        await it.make()
        held = it.kie

        async def delay(path: str) -> Response | None:
            answer = None
            if path == routes.JOBS.create:
                it.runner.handle_callback(next(iter(it.runner._watchers)))
            return answer

        held._intercept["post"] = delay
        held.requests.clear()
        submitted = await it.runner.submit(Order("nano_banana_image", model_call("nano_banana_image", prompt="a")))
        await clock.sleep(0.1)
        assert held.requests == [f"POST {routes.JOBS.create}", f"GET {routes.JOBS.status}"]
        assert (await run_to_end(it.runner, submitted)).state == "succeeded"


async def test_the_callback_of_a_task_that_was_taken_over_is_heard_too(tmp_path: Path, clock: JumpingClock) -> None:
    """Its address is derived from the task's id, so the next process knows it."""
    sandbox = Sandbox(seconds=SECONDS, clock=clock.time)
    async with receive_callbacks(sandbox, clock) as receiver, AsyncExitStack() as second:
        with JumpingClock.hold():
            async with run_runner(tmp_path, sandbox.app, clock, callbacks=receiving(), crash=True) as runner:
                made = await runner.submit(Order("nano_banana_image", model_call("nano_banana_image")))
        await clock.sleep(20)
        with JumpingClock.hold():
            runner = await second.enter_async_context(
                run_runner(tmp_path, sandbox.app, clock, callbacks=receiving(), usual_seconds=600)
            )
            receiver.runner = runner
        done = await run_to_end(runner, made)
        assert (done.finished or 0) - sandbox.accepted[-1].ends_at == pytest.approx(0, abs=0.01)
        assert runner.callbacks.arrive
        assert not runner.handle_callback(made.id)


async def test_a_wake_up_reaches_the_process_that_watches_the_task(tmp_path: Path, clock: JumpingClock) -> None:
    ours, theirs = WakeFiles(tmp_path, clock), WakeFiles(tmp_path, clock)
    heard: list[str] = []

    def hear(id_: str) -> bool:
        heard.append(id_)
        return id_ == "t_a"

    ours.send("t_a")
    ours.send("t_a")
    ours.send("t_b")
    theirs.receive(hear)
    assert sorted(heard) == ["t_a", "t_b"]
    theirs.receive(hear)
    assert heard.count("t_a") == 1
    (left,) = (tmp_path / FOLDER).iterdir()
    assert left.name == "t_b"
    old = left.stat().st_mtime - KEPT_SECONDS - 1
    os.utime(left, (old, old))
    ours.receive(hear)
    assert not list((tmp_path / FOLDER).iterdir())


async def test_a_wake_up_that_cannot_be_written_is_lost(
    tmp_path: Path, clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FOLDER).write_text("no folder")
    WakeFiles(tmp_path, clock).send("t_a")
    assert "t_a" in caplog.text


@pytest.mark.parametrize("usual", [2.0, 8.0, 60.0, 180.0])
def test_while_callbacks_come_polls_only_make_sure(usual: float) -> None:
    estimate = DurationEstimate(usual)
    assert next_poll(0, estimate, relaxed=True) > 1.5 * next_poll(0, estimate)
    late = 1.2 * next_poll(0, estimate, relaxed=True)
    assert next_poll(late, estimate, relaxed=True) > 5 * next_poll(late, estimate)
    assert next_poll(0, DurationEstimate(9e9, is_measured=False), relaxed=True) < 60


async def test_single_answers_minutes_apart_that_kie_does_not_know_the_task_end_nothing(
    tmp_path: Path, clock: JumpingClock
) -> None:
    reads = list[str]()

    async def lag(path: str) -> Response | None:
        if path != JOBS.status:
            return None
        reads.append(path)
        return build_no_record() if len(reads) <= 2 else None

    slow = Sandbox(seconds=1000, clock=clock.time)
    callbacks = Callbacks("https://me.example", b"secret", arrive=True)
    async with run_runner(tmp_path, InterceptedKie(slow.app, get=lag), clock, callbacks=callbacks) as runner:
        task = await runner.submit(Order("nano_banana_image", model_call("nano_banana_image")))
        await clock.sleep(4)
        await runner.get(task.id)
        await clock.sleep(900)
        assert (await runner.get(task.id)).state == "running"
