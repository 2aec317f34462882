"""Give each HTTP request the `App` of its caller's tenant, so that no handler can use the `App` of another tenant."""

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
"""Name of the entry in a request's ASGI scope that contains the tenant's `App`."""


class AppOfCaller:
    """ASGI middleware that opens the `App` of a request's tenant; it refuses a request whose caller is unknown."""

    def __init__(self, app: ASGIApp, tenants: Tenants) -> None:
        self._app = app
        self._tenants = tenants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request with the app of its caller's tenant; pass on all other ASGI events."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = scope.get(SCOPE)
        # Without this check, a caller without a tenant would get the operator's app and see the operator's tasks.
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
        NotAllowed: When `spends` is true, and the caller may not spend or change anything.
    """
    if spends:
        check_permission()
    return cast("App", request.scope[APP])


async def use_app_of_caller(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Answer an MCP request with the app of its tenant; this is middleware of the MCP server."""
    return await call_next(replace(ctx, lifespan_context=find_app(_find_request(ctx))))


def _find_request(ctx: Any) -> Request:
    return cast("Request", ctx.request)
