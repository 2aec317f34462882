"""Several tenants of one HTTP server, and a client for each of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.config import Settings
from kie_mcp.ledger.task import Task
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.accounts.tenants import Tenants
from kie_mcp.server.app import App
from kie_mcp.server.http import PATH, build_app_for_tenants
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.permission import Permission
from support.clock import JumpingClock
from support.runners import model_call
from support.servers import serve_app

ANNS_KEY, BOBS_KEY = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
ANN, BOB = Caller("ann", key=SecretStr(ANNS_KEY)), Caller("bob", key=SecretStr(BOBS_KEY))
"""Callers who pay with KIE keys of their own."""
CALLERS = {
    "ann": Caller("ann"),
    "bob": Caller("bob"),
    "eve": Caller("eve", may_spend=False),
    "ann-reads": Caller("ann", may_spend=False),
    "ann-later": Caller("ann", key=ANN.key),
}
"""For each name that a client sends, the caller; all share one KIE account, so KIE itself separates nothing.

`ann-later` is Ann after she has stored a key of her own.
"""
NAME = b"x-test-name"


def build_app(settings: Settings, transport: httpx2.AsyncBaseTransport, clock: JumpingClock) -> App:
    """Return the app of a server over HTTP."""
    return App(settings, local_files=False, transport=transport, clock=clock)


@asynccontextmanager
async def run_tenants(app: App, find_caller: Any = None) -> AsyncIterator[Tenants]:
    """Yield the tenants of a server until the block ends."""
    tenants = Tenants(app, find_caller)
    async with tenants.run():
        yield tenants


async def make_picture(app: App, prompt: str = "a fox") -> Task:
    """Make a picture, and return its task when KIE has accepted it."""
    return await (await app.runner()).submit(Order("nano_banana_image", model_call("nano_banana_image", prompt=prompt)))


class _KnowByName:
    """Replaces the check of keys or tokens: the caller is identified only by the name that it sends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (caller := CALLERS.get(dict(scope["headers"]).get(NAME, b"").decode())):
            with Permission(caller.may_spend, missing_right="the right to", budget=caller.budget).apply():
                await self._app({**scope, SCOPE: caller}, receive, send)
            return
        await self._app(scope, receive, send)


def build_tenants_app(settings: Settings, transport: httpx2.AsyncBaseTransport, clock: JumpingClock) -> ASGIApp:
    """Build a server that identifies callers by the name that they send."""
    return build_app_for_tenants(build_app(settings, transport, clock), "127.0.0.1", _KnowByName)


@asynccontextmanager
async def serve_tenants(
    settings: Settings, transport: httpx2.AsyncBaseTransport, clock: JumpingClock
) -> AsyncIterator[str]:
    """Serve the application of `build_tenants_app`, and yield the URL of its MCP endpoint."""
    async with serve_app(build_tenants_app(settings, transport, clock)) as url:
        yield url


@asynccontextmanager
async def visit(url: str, name: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield an HTTP client of a caller; its paths are relative to the root of the server."""
    headers = {NAME.decode(): name}
    async with httpx2.AsyncClient(base_url=url.removesuffix(PATH), headers=headers) as http:
        yield http


@asynccontextmanager
async def connect(url: str, name: str, **how: Any) -> AsyncIterator[Client]:
    """Yield an MCP client of a caller."""
    async with (
        httpx2.AsyncClient(headers={NAME.decode(): name}, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), **how) as client,
    ):
        yield client


def list_calls(tool: Mapping[str, Any], values: Sequence[str], plain: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the arguments of several calls of a tool: one call with only what it needs, and calls for each argument.

    Args:
        tool: The tool as clients see it.
        values: Texts that are given to each argument that accepts a text or a list of texts.
        plain: Values of required arguments; a required argument that is not here gets a value that fits its schema.
    """
    schema = tool["inputSchema"]
    properties = schema.get("properties", {})
    needed = {name: plain.get(name, _fill(properties[name], schema, "rain")) for name in schema.get("required", ())}
    filled = [(name, _fill(part, schema, value), value) for name, part in properties.items() for value in values]
    return [needed, *({**needed, name: given} for name, given, value in filled if value in str(given))]


def _fill(part: Mapping[str, Any], schema: Mapping[str, Any], text: str) -> Any:
    """Return a value that fits a part of a schema; it contains `text` in each place that accepts a text."""
    if reference := part.get("$ref"):
        return _fill(schema["$defs"][reference.rpartition("/")[2]], schema, text)
    if choices := part.get("anyOf") or part.get("oneOf"):
        filled = [_fill(each, schema, text) for each in choices]
        return next((each for each in filled if text in str(each)), filled[0])
    if "enum" in part:
        return part["enum"][0]
    match part.get("type"):
        case "array":
            return [_fill(part.get("items", {"type": "string"}), schema, text)]
        case "object":
            return {name: _fill(each, schema, text) for name, each in part.get("properties", {}).items()}
        case "integer" | "number":
            return part.get("minimum", 1)
        case "boolean":
            return True
    return text
