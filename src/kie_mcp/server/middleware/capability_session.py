"""A session id that tells what the client can do.

A client of the protocol before 2026-07-28 says only in `initialize` whether it shows pages (MCP Apps), and this server
keeps no sessions in which to remember that. So the session id that the client is given, and sends with every later
request, carries it: an id that begins with `shows-pages-` means that the client shows pages. The id grants nothing: a
client that makes one up is offered a page and one more tool, which it could have had by declaring MCP Apps. Clients of
2026-07-28 declare what they can do with each request, and get no id.
"""

import secrets
from collections import deque

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kie_mcp.server.extensions import gallery

LONGEST_INTRODUCTION = 16 * 1024
"""Bytes in which a client has said what it can do."""


class CapabilitySession:
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
