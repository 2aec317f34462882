"""Answer a call with status 403 if the caller's token lacks the scope that the call needs.

MCP requires this status: it tells the client to repeat the provider's login with the scope in the header ("step-up").
"""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kie_mcp.server.accounts.access_tokens import SPEND
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.tasks.permission import Permission


class StepUp:
    """ASGI middleware that answers with status 403 if a call does something that the caller's token does not permit."""

    def __init__(self, app: ASGIApp, build_refusal: Callable[[], Response]) -> None:
        """Store the application, and a function that builds the answer with status 403."""
        self._app = app
        self._build_refusal = build_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; if a handler refuses it before the answer has begun, answer with status 403 instead."""
        caller: Caller = scope[SCOPE]
        permission = Permission(caller.may_spend, missing_right=f"the scope {SPEND}", budget=caller.budget)
        head: Message | None = None
        is_refused = False

        async def send_or_refuse(message: Message) -> None:
            nonlocal head, is_refused
            if is_refused:
                return
            if message["type"] == "http.response.start":
                head = message
                return
            if head and permission.was_refused:
                is_refused = True
                await self._build_refusal()(scope, receive, send)
                return
            if head:
                await send(head)
                head = None
            await send(message)

        # The head of an answer (status and headers) is held back until the first part of the body, because a handler
        # may still refuse the call. Only calls (POST) can be refused. For a stream of events (GET), the head must not
        # wait, because the first event may come late.
        is_held = scope["method"] == "POST" and not permission.may_spend
        with permission.apply():
            await self._app(scope, receive, send_or_refuse if is_held else send)
