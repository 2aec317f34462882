"""Give each request the app of its caller's tenant, in one place, so that no handler sees another tenant's."""

from dataclasses import replace
from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.errors import KieMcpError, NotAllowed
from kie_mcp.server import selection
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.accounts.tenants import Tenants
from kie_mcp.server.app import App, Context
from kie_mcp.server.extensions import gallery

APP = "kie_mcp.app"
"""Name under which the ASGI scope of a request has the app of its tenant."""


class AppOfCaller:
    """ASGI middleware that opens the app of a request's tenant; a request whose caller nobody has found is refused."""

    def __init__(self, app: ASGIApp, tenants: Tenants) -> None:
        self._app = app
        self._tenants = tenants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the app of its tenant; pass on all other events."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = scope.get(SCOPE)
        # Without a tenant, the caller would be the operator, whose app none of many callers may have.
        if not isinstance(caller, Caller) or not caller.tenant:
            await JSONResponse({"error": "unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
            return
        try:
            async with self._tenants.use(caller) as app:
                await self._app({**scope, APP: app}, receive, send)
        except KieMcpError as error:
            await JSONResponse({"error": error.as_dict()}, 503)(scope, receive, send)


def find_app(request: Request, *, spends: bool = False) -> App:
    """Return the app of the tenant that sent a request.

    Raises:
        NotAllowed: When the request spends or changes something, and its caller may not.
    """
    if spends:
        check_may_spend(request)
    return cast("App", request.scope[APP])


def check_may_spend(request: Request) -> None:
    """Raise an error if the caller of a request may not start what costs credits.

    Raises:
        NotAllowed: When the caller may not.
    """
    caller: Caller = request.scope[SCOPE]
    if not caller.may_spend:
        raise NotAllowed(
            "You may look at tasks and files here, but start and change nothing.",
            "Ask the operator of the server for the right to spend.",
        )


async def use_app_of_caller(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Answer an MCP request with the app of its tenant; this is middleware of the MCP server."""
    return await call_next(replace(ctx, lifespan_context=find_app(_find_request(ctx))))


async def guard_spending(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Answer an MCP request, unless it calls a tool that spends or changes something, and its caller may not."""
    if ctx.method == "tools/call" and not _is_read_only(ctx):
        from kie_mcp.server import answers

        try:
            check_may_spend(_find_request(ctx))
        except NotAllowed as error:
            return answers.build_error_result(error)
    return await call_next(ctx)


def _is_read_only(ctx: Context) -> bool:
    name = (ctx.params or {}).get("name")
    if not isinstance(name, str):
        return False
    name = name.removeprefix(ctx.lifespan_context.selection.prefix)
    return name == gallery.GALLERY_TASK.name or selection.is_read_only(name)


def _find_request(ctx: Any) -> Request:
    return cast("Request", ctx.request)
