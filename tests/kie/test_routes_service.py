"""The common pattern of the model list, where a server is told to speak it."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from mcp import Client
from support.clock import JumpingClock

from kie_mcp.catalog.registry import MODELS
from kie_mcp.config import Settings
from kie_mcp.kie import files, routes, status
from kie_mcp.kie.client import KieClient
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(transport: httpx2.ASGITransport, clock: JumpingClock) -> AsyncIterator[KieClient]:
    async with KieClient("sandbox", service=True, transport=transport, clock=clock) as client:
        yield client


CLIP = "kling/v2-1-master-text-to-video"


async def test_the_lists_own_pattern_runs_a_task_to_its_end(
    service: KieClient, sandbox: Sandbox, clock: JumpingClock
) -> None:
    call = MODELS[CLIP].model_validate({"prompt": "rain"})
    (way,) = routes.route_ids(call, service=True)
    route = routes.find(way)
    id_ = await service.create_task(route.create, routes.build_body(call, way, str))
    assert sandbox.accepted[0].path == "/api/v1/kling/generate"

    running = await service.read_status(route.status, id_)
    assert running["data"]["status"] == 0
    assert status.parse_status(route.shape, running).state == "running"

    clock.now += 4
    done = await service.read_status(route.status, id_)
    assert done["data"]["status"] == 1
    seen = status.parse_status(route.shape, done)
    assert seen.state == "succeeded"
    assert [media.url for media in seen.media] == done["data"]["resultUrls"]


async def test_the_lists_own_pattern_says_when_a_task_failed(
    service: KieClient, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "fail")
    route = routes.find("service:kling/generate")
    id_ = await service.create_task(route.create, {"model": CLIP, "prompt": "rain", "duration": "5", "cfgScale": 0.5})
    clock.now += 4
    answer = await service.read_status(route.status, id_)
    assert answer["data"]["status"] == 2
    assert status.parse_status(route.shape, answer).state == "failed"


async def test_the_lists_own_pattern_has_calls_of_its_own(sandbox: Sandbox, clock: JumpingClock) -> None:
    asked: list[httpx2.Request] = []

    async def note(request: httpx2.Request) -> None:
        asked.append(request)

    async with KieClient("sandbox", service=True, transport=httpx2.ASGITransport(sandbox.app), clock=clock) as kie:
        kie.http.event_hooks["request"].append(note)
        assert await kie.read_balance() == 1000
        uploaded = await files.upload_base64(kie, b"x", "a.txt", "text/plain")
        assert (await kie.request_download_url(uploaded.url)).startswith(f"{uploaded.url}?")
        await files.upload_from_url(kie, uploaded.url, "b.txt")
    assert [(request.method, str(request.url)) for request in asked] == [
        ("GET", "https://api.kie.ai/api/v1/account/credits"),
        ("POST", "https://api.kie.ai/api/v1/files/upload-base64"),
        ("POST", "https://api.kie.ai/api/v1/files/download-url"),
        ("POST", "https://api.kie.ai/api/v1/files/upload-url"),
    ]


async def test_a_server_told_so_speaks_the_lists_own_pattern(
    settings: Settings, transport: httpx2.ASGITransport, sandbox: Sandbox, clock: JumpingClock
) -> None:
    told = settings.model_copy(update={"route": "service", "callback_url": "https://hooks.example/kie"})
    async with Client(build_server(App(told, transport=transport, clock=clock)), raise_exceptions=True) as client:
        answer = await client.call_tool("nano_banana_image", {"prompt": "rain"})
        assert answer.structured_content is not None
        assert answer.structured_content["status"] == "succeeded"
    (task,) = sandbox.accepted
    assert task.path == "/api/v1/nano-banana/generate"
    assert task.body["callBackUrl"] == "https://hooks.example/kie"
    assert "aspectRatio" in task.body
