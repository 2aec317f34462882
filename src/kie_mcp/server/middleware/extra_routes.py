"""Serve additional routes in front of an ASGI application, such as routes that need no token."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class ExtraRoutes:
    """Answers requests to the additional routes, and passes other requests and lifespan events to the application."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        """Store the application and the routes."""
        self._app = app
        self._router = Router(routes, redirect_slashes=False, default=app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to an additional route; pass all other requests and events to the application."""
        # Lifespan events go to the application, because the router would answer them, and the application would then
        # never start.
        await (self._router if scope["type"] == "http" else self._app)(scope, receive, send)
