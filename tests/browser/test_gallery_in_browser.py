"""The gallery in a real browser, inside a small MCP Apps host, with the real server on the sandbox behind it.

With `--thorough`, screenshots go to test-output/gallery, for a person to look at.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from chromium import CHROMIUM, MODULES, NODE, list_scenes, needs_browser
from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import TextResourceContents
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from support.effort import Effort
from support.paths import ROOT
from support.servers import serve_app

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.requests import MEDIA_ORIGIN
from kie_mcp.server.app import App
from kie_mcp.server.extensions import gallery
from kie_mcp.server.http import PATH, build_http_app

SCRIPT = Path(__file__).with_name("gallery.mjs")
PICTURES = ROOT / "test-output" / "gallery"
SCENES = list_scenes(SCRIPT)
SPEED = 3
"""Seconds of the server for one of the page."""

pytestmark = [pytest.mark.anyio, needs_browser("playwright-core", "axe-core")]


class FastClock(Clock):
    """A clock that runs faster than the machine's, so that tasks end before the page first asks for them."""

    def monotonic(self) -> float:
        return SPEED * super().monotonic()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / SPEED)


class SandboxAtKie:
    """The sandbox, with result URLs at KIE's media host; a prompt that ends in (fail) or (stall) has that fate."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}

        async def rename(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body = message.get("body", b"")
            if not message.get("more_body") and body.startswith(b"{"):
                body = body.replace(MEDIA_ORIGIN.encode(), gallery.MEDIA_HOSTS[0].encode())
                headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                start["headers"] = [*headers, (b"content-length", str(len(body)).encode())]
            if start:
                await send(start)
                start = {}
            await send({**message, "body": body})

        known = len(self._sandbox.accepted)
        await self._sandbox.app(scope, receive, rename)
        for task in self._sandbox.accepted[known:]:
            for fate in ("fail", "stall"):
                task.fault = fate if task.prompt.endswith(f"({fate})") else task.fault


def policy(csp: dict[str, list[str]]) -> str:
    """Return the content security policy of a strict host, which allows pictures not even as data URIs."""
    hosts = " ".join(csp.get("resourceDomains", []))
    return (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        f"img-src {hosts}; media-src data: {hosts}; connect-src 'none'; form-action 'none'; base-uri 'none'"
    )


def site(client: Client, sandbox: Sandbox) -> ASGIApp:
    """Return the application with the host page and what it asks its server for."""

    async def host(_: Request) -> Response:
        return HTMLResponse(Path(__file__).with_name("host.html").read_text(encoding="utf-8"))

    async def view(request: Request) -> Response:
        (content,) = (await client.read_resource(gallery.URI)).contents
        assert isinstance(content, TextResourceContents)
        assert content.meta
        if request.query_params["csp"] == "all":
            return HTMLResponse(content.text)
        declared = content.meta["ui"]["csp"] if request.query_params["csp"] == "declared" else {}
        return HTMLResponse(content.text, headers={"Content-Security-Policy": policy(declared)})

    async def call(request: Request) -> Response:
        wanted = json.loads(await request.body())
        result = await client.call_tool(wanted["name"], wanted["arguments"])
        return JSONResponse(result.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def resume(request: Request) -> Response:
        prompt = (await request.body()).decode()
        for task in sandbox.accepted:
            if task.prompt == prompt:
                task.fault = ""
        return Response()

    return Starlette(
        routes=[
            Route("/", host),
            Route("/resume", resume, methods=["POST"]),
            Route("/view", view),
            Route("/call", call, methods=["POST"]),
            Mount("/kie", sandbox.app),
        ]
    )


@asynccontextmanager
async def serve_host(settings: Settings) -> AsyncIterator[str]:
    """Serve kie-mcp and a host connected to it; give the host's address."""
    sandbox = Sandbox(seconds=2.5 / SPEED, credits=10_000)
    app = App(settings, transport=httpx2.ASGITransport(app=SandboxAtKie(sandbox)), clock=FastClock())
    speaks_apps = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})
    async with (
        serve_app(build_http_app(app, host="127.0.0.1")) as url,
        Client(url, extensions=[speaks_apps]) as client,
        serve_app(site(client, sandbox)) as host,
    ):
        yield host.removesuffix(PATH)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings without waiting inside a call, so that the page shows the progress."""
    return settings.model_copy(update={"wait_seconds": 0})


async def test_every_scene_of_the_gallery_goes_as_it_should(settings: Settings) -> None:
    """They run together in one browser, because each alone would mostly wait."""
    if Effort.is_thorough:
        PICTURES.mkdir(parents=True, exist_ok=True)
    assert CHROMIUM
    folder = PICTURES if Effort.is_thorough else ""
    async with serve_host(settings) as host:
        with anyio.fail_after(100):
            ran = await anyio.run_process([NODE, SCRIPT, host, folder, CHROMIUM, MODULES], check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    played = json.loads(ran.stdout)
    assert set(played) == set(SCENES)
    assert not any(played.values()), "\n".join(played.values())
