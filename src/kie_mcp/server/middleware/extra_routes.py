"""Serve more routes beside an ASGI application, such as those that need no token."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class ExtraRoutes:
    """Answers requests to some routes, and passes on all others and the events of the server's life."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        """Store the application and the routes."""
        self._app = app
        self._router = Router(routes, redirect_slashes=False, default=app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        # The router would answer the events itself, so the application would never start.
        await (self._router if scope["type"] == "http" else self._app)(scope, receive, send)
