"""Give session ids to clients with certain capabilities, so that a stateless HTTP server recognises them.

A client of a protocol version before 2026-07-28 declares its capabilities only once, in `initialize`. This server keeps
no sessions that could store the capabilities, because only a stateless server answers clients of all protocol versions.
But the answer to `initialize` may contain a session id (`Mcp-Session-Id`), which the client sends with every later
request. So the session id contains the capabilities: it begins with `shows-pages-` if the client declared MCP Apps with
HTML pages, and it contains `opens-urls-` if the client opens URLs and this server asks for that (URL elicitation).
Clients without such a capability get no session id. `gallery.client_shows_gallery` and
`url_elicitation.client_opens_urls` read the session id.

The session id is not signed, because it gives no rights: a client that invents a session id only sees what it would
also see if it declared the capability. Clients of protocol version 2026-07-28 declare their capabilities with each
request, send no `initialize` and get no session id. This module can be deleted when the SDK stores capabilities in a
stateless server.
"""

import json
import secrets
from collections import deque
from contextlib import suppress

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kie_mcp.server import url_elicitation
from kie_mcp.server.extensions import gallery

MAX_INITIALIZE_BYTES = 16 * 1024
"""Maximum number of bytes of a request body in which the middleware looks for an `initialize` request."""


class CapabilitySession:
    """ASGI middleware: the answer to an `initialize` that declares MCP Apps or URL elicitation gets a session id."""

    def __init__(self, app: ASGIApp, *, asks_for_pages: bool) -> None:
        """Store the application, and whether it asks clients to open pages (URL elicitation)."""
        self._app = app
        self._asks_for_pages = asks_for_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on unchanged; add a session id to the answer if `_describe_capabilities()` finds a capability.

        The body of each POST without a session id is read first, to find `initialize`.
        """
        header = MCP_SESSION_ID_HEADER.encode()
        if scope["type"] != "http" or scope["method"] != "POST" or header in dict(scope["headers"]):
            await self._app(scope, receive, send)
            return
        messages: deque[Message] = deque()
        body, more = b"", True
        while more and len(body) < MAX_INITIALIZE_BYTES:
            message = await receive()
            messages.append(message)
            body += message.get("body", b"")
            more = message.get("more_body", False)

        async def replay() -> Message:
            return messages.popleft() if messages else await receive()

        known = self._describe_capabilities(body)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                id_ = f"{known}{secrets.token_hex(16)}".encode()
                message = {**message, "headers": [*message["headers"], (header, id_)]}
            await send(message)

        await self._app(scope, replay, send_with_id if known else send)

    def _describe_capabilities(self, body: bytes) -> str:
        """Return the start of the session id if `body` is an `initialize` with MCP Apps or URL elicitation; else ''."""
        with suppress(ValueError, RecursionError):
            match json.loads(body):
                case {"method": "initialize", "params": {"capabilities": dict(capabilities)}}:
                    shows = gallery.SESSION_PREFIX if gallery.declares_gallery(capabilities) else ""
                    opens = self._asks_for_pages and url_elicitation.declares_urls(capabilities)
                    return shows + (url_elicitation.SESSION_MARK if opens else "")
        return ""
