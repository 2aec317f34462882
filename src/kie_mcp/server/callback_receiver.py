"""The receiver of KIE's callbacks: when KIE calls the callback URL of a task, the server polls the task at once.

The server ignores the content of a callback's body, so a forged callback causes at most one poll.
"""

import re
from collections.abc import Callable
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kie_mcp.errors import KieMcpError
from kie_mcp.kie.callbacks import is_signed
from kie_mcp.ledger.ledger import LedgerError
from kie_mcp.server.app import App
from kie_mcp.tasks.callbacks import PATH

MAX_BYTES = 256 * 1024
"""Maximum bytes of a callback's body; the largest bodies contain the prompt and the URLs of a task's files."""
NAME = re.compile(r"([a-z0-9-]{1,40}\.)?t_[a-z0-9]{1,40}")
"""Matches a task's id, or, on a server with tenants, the tenant's name, a dot and the task's id."""


class CallbackHandler(Protocol):
    """An object that checks the URLs of callbacks and polls tasks: an `App` or, on a server with tenants, `Tenants`."""

    async def is_callback_address(self, name: str, token: str) -> bool:
        """Return whether `token` is the token in the callback URL of the task with this name; see `NAME`."""

    async def handle_callback(self, name: str) -> None:
        """Poll a task whose callback has arrived."""


class CallbackReceiver:
    """Answers KIE's callbacks."""

    def __init__(
        self, app: App, count: Callable[[int], None] | None = None, handler: CallbackHandler | None = None
    ) -> None:
        """Store the arguments.

        Args:
            app: The parts of the server.
            count: A function that is called with the HTTP status of each answer; None if answers are not counted.
            handler: The object that polls the tasks; None to use `app`.
        """
        self._app = app
        self._handler: CallbackHandler = handler or app
        self._count = count

    def build_routes(self) -> list[Route]:
        """Return the routes that receive callbacks."""
        return [Route(f"{PATH}/{{id}}/{{token}}", self._receive, methods=["POST"])]

    async def _receive(self, request: Request) -> Response:
        response = await self._answer(request)
        if self._count:
            self._count(response.status_code)
        return response

    async def _answer(self, request: Request) -> Response:
        """Answer a callback: 404 for a wrong address, 413 for a large body, 401 for a wrong signature, else 200.

        If the server or its ledger cannot be opened, the answer is 503.
        """
        name, token = request.path_params["id"], request.path_params["token"]
        try:
            if not (NAME.fullmatch(name) and await self._handler.is_callback_address(name, token)):
                return _answer(404, "There is no such address")
            body = await _read_body(request)
            if body is None:
                return _answer(413, f"A callback has at most {MAX_BYTES} bytes")
            if not self._is_genuine(request, body):
                return _answer(401, "The signature is not valid")
            await self._handler.handle_callback(name)
        except (KieMcpError, LedgerError):
            # 503 makes KIE send the callback again later.
            return _answer(503, "The server cannot be opened")
        except ClientDisconnect:
            return _answer(400, "The callback did not arrive whole")
        return _answer(200, "success")

    def _is_genuine(self, request: Request, body: bytes) -> bool:
        """Return whether the signature of a callback is right; True if the settings have no key for the check."""
        key = self._app.settings.webhook_key
        return not key or is_signed(request.headers, body, key.get_secret_value(), self._app.clock.time())


async def _read_body(request: Request) -> bytes | None:
    """Return the body of a request; None if the body is too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            return None
    return body


def _answer(code: int, message: str) -> Response:
    return JSONResponse({"code": code, "msg": message}, code)
