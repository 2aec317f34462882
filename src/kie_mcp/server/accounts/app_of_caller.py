"""Give each request the app of its caller's tenant, in one place, so that no handler sees another tenant's."""

from dataclasses import replace
from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.errors import KieMcpError
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.accounts.tenants import Tenants
from kie_mcp.server.app import App, Context
from kie_mcp.tasks.permission import check_permission

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
        check_permission()
    return cast("App", request.scope[APP])


async def use_app_of_caller(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Answer an MCP request with the app of its tenant; this is middleware of the MCP server."""
    return await call_next(replace(ctx, lifespan_context=find_app(_find_request(ctx))))


def _find_request(ctx: Any) -> Request:
    return cast("Request", ctx.request)
