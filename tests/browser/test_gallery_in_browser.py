"""The gallery in a real browser, inside a small host of our own, with the real server on the sandbox behind it.

Screenshots go to test-output/gallery, for a person to look at.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import TextResourceContents
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from support.servers import serving

from kie_mcp.config import Settings
from kie_mcp.demo.chat import browser
from kie_mcp.sandbox.app import MEDIA_ORIGIN, Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.extensions import gallery
from kie_mcp.server.http import PATH, asgi

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPT = HERE / "gallery.mjs"
MODULES = ROOT / ".node" / "node_modules"
PICTURES = ROOT / "test-output" / "gallery"

CHROMIUM = browser()
NODE = MODULES / ".bin" / "node"
MISSING = [
    name
    for name, there in (
        ("chromium", CHROMIUM),
        ("node", NODE.exists()),
        ("playwright-core", (MODULES / "playwright-core").exists()),
    )
    if not there
]
SCENES = re.findall(r'^  async "(.+)"\(browser\)', SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}; see scripts/node"),
]


class AtKie:
    """The sandbox, with results at KIE's own host of media, and tasks whose prompt says how they end."""

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

        await self._sandbox.app(scope, receive, rename)
        for task in self._sandbox.accepted:
            for fate in ("fail", "stall"):
                task.fate = fate if task.prompt.endswith(f"({fate})") else task.fate


def policy(csp: dict[str, list[str]]) -> str:
    """What a strict host lets a page do: pictures not even as data URIs."""
    hosts = " ".join(csp.get("resourceDomains", []))
    return (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        f"img-src {hosts}; media-src data: {hosts}; connect-src 'none'; form-action 'none'; base-uri 'none'"
    )


def site(client: Client, sandbox: Sandbox) -> ASGIApp:
    """The host page and what it needs of its server."""

    async def host(_: Request) -> Response:
        return HTMLResponse((HERE / "host.html").read_text(encoding="utf-8"))

    async def view(request: Request) -> Response:
        (content,) = (await client.read_resource(gallery.URI)).contents
        assert isinstance(content, TextResourceContents)
        assert content.meta
        declared = content.meta["ui"]["csp"] if request.query_params["csp"] == "declared" else {}
        return HTMLResponse(content.text, headers={"Content-Security-Policy": policy(declared)})

    async def call(request: Request) -> Response:
        wanted = json.loads(await request.body())
        result = await client.call_tool(wanted["name"], wanted["arguments"])
        return JSONResponse(result.model_dump(mode="json", by_alias=True, exclude_none=True))

    return Starlette(
        routes=[
            Route("/", host),
            Route("/view", view),
            Route("/call", call, methods=["POST"]),
            Mount("/kie", sandbox.app),
        ]
    )


@asynccontextmanager
async def hosting(settings: Settings) -> AsyncIterator[str]:
    """Serve kie-mcp and a host that is connected to it, and give the host's address."""
    sandbox = Sandbox(seconds=2.5, credits=10_000)
    app = App(settings, transport=httpx2.ASGITransport(app=AtKie(sandbox)))
    speaks_apps = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})
    async with (
        serving(asgi(app, host="127.0.0.1")) as url,
        Client(url, extensions=[speaks_apps]) as client,
        serving(site(client, sandbox)) as host,
    ):
        yield host.removesuffix(PATH)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nothing is waited for inside a call: the page shows how it goes."""
    return settings.model_copy(update={"wait_seconds": 0})


async def test_every_scene_of_the_gallery_goes_as_it_should(settings: Settings) -> None:
    """They are played together, in one browser: alone, each would mostly wait."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert CHROMIUM
    async with hosting(settings) as host:
        with anyio.fail_after(100):
            ran = await anyio.run_process([NODE, SCRIPT, host, PICTURES, CHROMIUM, MODULES], check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    assert json.loads(ran.stdout) == dict.fromkeys(SCENES, "")
