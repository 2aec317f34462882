"""Authenticate HTTP requests with a bearer token (RFC 6750)."""

import hmac

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class BearerToken:
    """Answers each HTTP request without the bearer token with status 401."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request without the right token with status 401; pass on all other requests and events."""
        if scope["type"] != "http" or self._is_authorized(scope):
            await self._app(scope, receive, send)
            return
        refusal = JSONResponse({"error": "unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _is_authorized(self, scope: Scope) -> bool:
        """Return whether a request has exactly one `Authorization` header, and this header contains the token.

        The scheme `Bearer` may be in upper or lower case.
        """
        given = [text for name, text in scope["headers"] if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.lstrip(b" "), self._expected)
