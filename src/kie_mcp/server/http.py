"""Streamable HTTP, for clients that do not start a process of their own."""

import hmac
import ipaddress
import secrets
from collections import deque
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kie_mcp.errors import ConfigurationError
from kie_mcp.server import gallery
from kie_mcp.server.app import App, build

PATH = "/mcp"
LONGEST_INTRODUCTION = 16 * 1024
"""Bytes in which a client has said what it can do."""


class BearerToken:
    """Lets in who knows the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] != "http" or hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
            return
        refusal = JSONResponse({"error": "unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)


class Sessions:
    """Gives a client that can show the gallery an id that says so.

    Clients of the older era tell what they can do only once, and the server keeps no sessions.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; if it is a first one, read it before."""
        header = MCP_SESSION_ID_HEADER.encode()
        if scope["type"] != "http" or scope["method"] != "POST" or header in dict(scope["headers"]):
            await self._app(scope, receive, send)
            return
        read: deque[Message] = deque()
        body, more = b"", True
        while more and len(body) < LONGEST_INTRODUCTION:
            message = await receive()
            read.append(message)
            body += message.get("body", b"")
            more = message.get("more_body", False)

        async def again() -> Message:
            return read.popleft() if read else await receive()

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                id_ = f"{gallery.SESSION}{secrets.token_hex(16)}".encode()
                message = {**message, "headers": [*message["headers"], (header, id_)]}
            await send(message)

        await self._app(scope, again, named if gallery.introduces(body) else send)


def asgi(app: App, *, host: str, token: str = "") -> ASGIApp:
    """The server as an ASGI application.

    Args:
        app: What it serves.
        host: The address it will listen on.
        token: What callers have to show; needed when others than this machine can connect.

    Raises:
        ConfigurationError: When the address is open to others and there is no token: each call costs credits.
    """
    if not token and not _is_loopback(host):
        raise ConfigurationError(
            f"{host} can be reached by others, and every call spends your credits.",
            "Set KIE_MCP_HTTP_TOKEN to a long random text that callers send as a bearer token, or use 127.0.0.1.",
        )
    served = streamable(build(app, sessions=False), host)
    return BearerToken(served, token) if token else served


def streamable(server: Server[Any], host: str) -> ASGIApp:
    """A server as an ASGI application, open to whoever reaches it."""
    # Clients mix protocol eras on one connection; only a stateless server answers all of them.
    return Sessions(
        server.streamable_http_app(streamable_http_path=PATH, stateless_http=True, transport_security=_security(host))
    )


def _security(host: str) -> TransportSecuritySettings:
    """Where no token is asked for, a web page must not reach the server by a name of its own that leads here."""
    names = [f"{name}{port}" for name in ("localhost", "127.0.0.1", "[::1]", host) for port in ("", ":*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=_is_loopback(host),
        allowed_hosts=names,
        allowed_origins=[f"http://{name}" for name in names],
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
