"""Refuse HTTP requests that are meant for another host than the given names."""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class HostNames:
    """Refuses each HTTP request whose `Host` header does not have one of the given names."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        """Store the application.

        Args:
            app: The application.
            names: The host names and IP addresses; IPv6 addresses without brackets.
        """
        self._app = app
        self._host = build_pattern(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse requests for another host (status 421); pass on all other requests."""
        if scope["type"] == "http":
            hosts = Headers(scope=scope).getlist("host")
            if not hosts or not all(map(self._host.fullmatch, hosts)):
                await PlainTextResponse("Invalid Host header", 421)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def build_pattern(names: Iterable[str], before: str = "") -> re.Pattern[str]:
    """Return a pattern that matches a whole header with one of the names, in any case, and at most a port after it.

    Args:
        names: The host names and IP addresses; IPv6 addresses without brackets.
        before: The pattern of what the header has before the name.
    """
    known = "|".join(re.escape(f"[{name}]" if ":" in name else name) for name in names)
    return re.compile(rf"{before}({known})(:\d{{1,5}})?", re.IGNORECASE | re.ASCII)
