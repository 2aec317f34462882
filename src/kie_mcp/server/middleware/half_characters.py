"""Answer HTTP requests that contain half a character (a lone surrogate) with an error that names the argument.

The SDK's parser refuses such a request with an error that has no request id, so the client could not tell which call
failed. `server/client_stream.py` handles half characters on stdio.
"""

import json
import re
from typing import Any

from mcp_types import INVALID_PARAMS
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAYBE_HALF = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Matches half a character (a lone surrogate) in JSON, escaped or as bytes; also matches a whole emoji if escaped."""


class WholeCharacters:
    """ASGI middleware that refuses JSON-RPC requests that contain half a character (a lone surrogate)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request whose body contains half a character (a lone surrogate); pass on any other request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        if MAYBE_HALF.search(body) and (refusal := _refuse(body)):
            await JSONResponse(refusal)(scope, receive, send)
            return
        read = False

        async def replay() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


def _refuse(body: bytes) -> dict[str, Any] | None:
    """Return the JSON-RPC error for a request that contains half a character (a lone surrogate).

    Return None if the body is no request, contains no half character, or contains one in the request's id.
    """
    from kie_mcp.catalog.arguments import find_broken_text

    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict) or not isinstance(request.get("id"), str | int):
        return None
    params = request.get("params")
    arguments = params.get("arguments") if isinstance(params, dict) else None
    broken = find_broken_text(arguments if isinstance(arguments, dict) else {}) or find_broken_text(request)
    if not broken or find_broken_text({"id": request["id"]}):
        return None
    message = f"{broken}: has half a character (a lone surrogate), which cannot be sent. Nothing was sent. Write the "
    error = {"code": INVALID_PARAMS, "message": f"{message}text anew, its emoji whole."}
    return {"jsonrpc": "2.0", "id": request["id"], "error": error}
