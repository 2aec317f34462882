"""Refuse HTTP requests that name another host than this machine, so that web pages cannot use DNS rebinding."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.server.middleware.host_names import HostNames, build_pattern

NAMES = ("localhost", "127.0.0.1", "::1")


class LocalNames:
    """Refuses each HTTP request that is meant for another host, or that comes from a web page of another origin.

    In DNS rebinding, an attacker's host name resolves to this machine's address. The browser still sends that name in
    the headers `Host` and `Origin`, so this class can refuse the request.
    """

    def __init__(self, app: ASGIApp, host: str, public_url: str = "") -> None:
        """Store the application.

        Args:
            app: The application.
            host: The address that the server listens on.
            public_url: The URL at which callers reach a proxy on this machine; empty if there is no proxy.
        """
        names = {*NAMES, *filter(None, (host, urlsplit(public_url).hostname))}
        self._app = HostNames(app, names)
        self._origin = build_pattern(names, "https?://" if public_url else "http://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse requests for another host (status 421) or from another origin (403); pass on all other requests."""
        if scope["type"] == "http":
            origins = Headers(scope=scope).getlist("origin")
            if not all(map(self._origin.fullmatch, origins)):
                await PlainTextResponse("Invalid Origin header", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)
