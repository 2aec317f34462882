"""Session ids that tell a stateless HTTP server whether the client can show HTML pages (MCP Apps).

A client of a protocol before 2026-07-28 declares its capabilities only once, in `initialize`, and this server keeps no
sessions in which to remember them (a stateless server answers clients of all protocol versions). The protocol lets a
server hand out a session id (`Mcp-Session-Id`) with the answer to `initialize`, and the client sends it with every
later request. So the id itself carries the capability: it begins with `shows-pages-` when the client declared MCP Apps
with HTML pages; other clients get no id. `gallery.client_shows_gallery` reads the capability from the id.

The id is not signed, because it grants nothing: a client that invents an id is only shown one page and one tool more,
which it would also get by declaring MCP Apps. Clients of 2026-07-28 declare their capabilities with each request, send
no `initialize` and get no id. This module can be deleted when the SDK keeps capabilities in a stateless server.
"""

import secrets
from collections import deque

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kie_mcp.server.extensions import gallery

MAX_INITIALIZE_BYTES = 16 * 1024
"""Number of bytes of a request's body after which the middleware stops looking for an `initialize`."""


class CapabilitySession:
    """Adds a session id to the answer when a client's `initialize` declares MCP Apps."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; for a POST without a session id, read the body first and then hand it on unchanged."""
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

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                id_ = f"{gallery.SESSION_PREFIX}{secrets.token_hex(16)}".encode()
                message = {**message, "headers": [*message["headers"], (header, id_)]}
            await send(message)

        await self._app(scope, replay, send_with_id if gallery.declares_gallery(body) else send)
