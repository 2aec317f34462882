"""Several servers over HTTP on one ledger, of which one ends."""

import anyio
import httpx2
import pytest
from starlette.responses import Response
from support.clock import JumpingClock, let_others_run, wait_until
from support.runners import InterceptedKie, model_call

from kie_mcp.config import Settings
from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.tasks.order import Order

pytestmark = pytest.mark.anyio


def build_replica(settings: Settings, kie: InterceptedKie, clock: JumpingClock) -> App:
    return App(settings, local_files=False, transport=httpx2.ASGITransport(app=kie), clock=clock)


def order_picture() -> Order:
    return Order("nano_banana_image", model_call("nano_banana_image"))


async def test_a_server_that_ends_hands_its_tasks_over_within_two_seconds(
    settings: Settings, clock: JumpingClock
) -> None:
    kie = InterceptedKie(Sandbox(seconds=600, clock=clock.time).app)
    async with build_replica(settings, kie, clock).run() as other:
        theirs = await other.runner()
        with JumpingClock.hold():
            async with build_replica(settings, kie, clock).run() as one:
                made = await (await one.runner()).submit(order_picture())
                assert made.id not in theirs._watchers
        released = clock.time()
        await clock.sleep(2)
        await wait_until(lambda: made.id in theirs._watchers)
        assert clock.time() - released <= 2.1


async def test_a_server_that_ends_waits_for_the_answers_to_its_creates(settings: Settings, clock: JumpingClock) -> None:
    """Nobody would know whether KIE accepted a create that is cut."""
    asked, answered = anyio.Event(), anyio.Event()

    async def hold_back(path: str) -> Response | None:
        if path == JOBS.create:
            asked.set()
            await answered.wait()
        return None

    kie = InterceptedKie(Sandbox(seconds=600, clock=clock.time).app, post=hold_back)
    ended = anyio.Event()

    async def serve() -> None:
        async with build_replica(settings, kie, clock).run() as app:
            runner = await app.runner()

            async def submit() -> None:
                await runner.submit(order_picture())

            app.start_soon(submit)
            await asked.wait()
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        await asked.wait()
        for _ in range(20):
            await let_others_run()
        assert not ended.is_set()
        answered.set()
        await ended.wait()
    ledger = await Ledger.open(settings.state_dir)
    (task,) = await ledger.page()
    await ledger.close()
    assert task.state == "running"
    assert task.kie_id
