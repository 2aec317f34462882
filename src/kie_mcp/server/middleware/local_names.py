"""Refuse HTTP requests that name another host than this machine, so that web pages cannot use DNS rebinding."""

import re
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NAMES = ("localhost", "127.0.0.1", "[::1]")


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
        self._app = app
        given = filter(None, (host, urlsplit(public_url).hostname))
        names = "|".join(map(re.escape, {*NAMES, *(f"[{name}]" if ":" in name else name for name in given)}))
        # The whole header has to match, with at most a port after the name; `localhost:evil.example` does not match.
        self._host = re.compile(rf"({names})(:\d{{1,5}})?", re.IGNORECASE | re.ASCII)
        scheme = "https?" if public_url else "http"
        self._origin = re.compile(rf"{scheme}://({names})(:\d{{1,5}})?", re.IGNORECASE | re.ASCII)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse requests for another host (status 421) or from another origin (403); pass on all other requests."""
        if scope["type"] == "http":
            headers: list[tuple[str, str]] = [
                (name.decode("latin-1"), text.decode("latin-1")) for name, text in scope["headers"]
            ]
            hosts = [text for name, text in headers if name == "host"]
            origins = [text for name, text in headers if name == "origin"]
            if not hosts or not all(map(self._host.fullmatch, hosts)):
                await PlainTextResponse("Invalid Host header", 421)(scope, receive, send)
                return
            if not all(map(self._origin.fullmatch, origins)):
                await PlainTextResponse("Invalid Origin header", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)
