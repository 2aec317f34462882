"""What a server does after its start and before the first call, so that this call finds all prepared."""

import gc
import subprocess
import sys
from collections.abc import Iterator

import anyio
import httpx2
import pytest
import uvicorn
from mcp import Client
from support.answers import answer
from support.clock import JumpingClock, pass_time_until
from support.runners import InterceptedKie

from kie_mcp.config import Settings
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server import warm_up
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.http import build_http_app

pytestmark = pytest.mark.anyio

DEFERRED = """\
import sys
from kie_mcp.server import stdio
stdio._defer_wire_models()
from kie_mcp.server import connection
built = [each for each in sys.modules["mcp_types._wire_base"].WireModel.__subclasses__() if each.__pydantic_complete__]
print(len(built), len(sys.modules["mcp_types._wire_base"].WireModel.__subclasses__()))
"""


@pytest.fixture
def collection_off() -> Iterator[None]:
    """Garbage collection is off, as after the start of a process; afterwards it is as before."""
    threshold = gc.get_threshold()
    gc.disable()
    yield
    gc.set_threshold(*threshold)
    gc.enable()


@pytest.mark.usefixtures("collection_off")
@pytest.mark.parametrize("by_callers", [False, True], ids=["one key", "a key per caller"])
async def test_over_http_garbage_is_collected_again_before_the_first_call(
    settings: Settings, *, by_callers: bool, clock: JumpingClock
) -> None:
    app = App(settings.model_copy(update={"caller_keys": by_callers}), clock=clock, local_files=False)
    asgi = build_http_app(app, host="127.0.0.1", token="t" * 40)
    server = uvicorn.Server(uvicorn.Config(asgi, port=0, log_level="warning"))
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        await pass_time_until(gc.isenabled, clock, step=warm_up.PAUSE_SECONDS)
        server.should_exit = True
    assert gc.get_threshold()[0] == warm_up.GARBAGE_THRESHOLD


@pytest.mark.usefixtures("collection_off")
async def test_a_rehearsed_call_is_neither_recorded_nor_sent(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    asked: list[str] = []

    async def note(path: str) -> None:
        asked.append(path)

    app = App(settings, transport=httpx2.ASGITransport(InterceptedKie(sandbox.app, get=note, post=note)), clock=clock)
    async with Client(build_server(app, rehearses=True), raise_exceptions=True) as client:
        await pass_time_until(gc.isenabled, clock, step=warm_up.PAUSE_SECONDS)
        assert answer(await client.call_tool("list_tasks"))["tasks"] == []
    assert set(asked) <= {DOCUMENTED.credits}


@pytest.mark.usefixtures("collection_off")
async def test_the_preparation_waits_while_a_call_runs(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    app = App(settings, transport=httpx2.ASGITransport(sandbox.app), clock=clock)
    app.running_calls = 1
    async with Client(build_server(app, rehearses=True), raise_exceptions=True):
        await clock.sleep(warm_up.OPEN_DELAY_SECONDS + 3 * warm_up.PAUSE_SECONDS)
        assert not gc.isenabled()
        app.running_calls = 0
        await pass_time_until(gc.isenabled, clock, step=warm_up.PAUSE_SECONDS)


def test_messages_of_the_sdk_are_built_when_they_are_needed() -> None:
    told = subprocess.run([sys.executable, "-c", DEFERRED], check=True, capture_output=True, text=True)
    built, known = map(int, told.stdout.split())
    assert built < known / 10
