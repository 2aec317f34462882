"""Callers who send their own KIE key: the key determines the caller's tenant, and pays for the caller's tasks.

The key is kept in memory only. The tenant's name is an HMAC of the key, so neither ledgers nor folders reveal the key.
"""

import hashlib
import hmac
from collections.abc import Sequence

from pydantic import SecretStr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.api_key import KEY_PAGE, find_key_fault
from kie_mcp.server.accounts.caller import SCOPE, Caller

HEADER = "X-KIE-Key"
SHORTEST, LONGEST = 16, 200
"""Minimum and maximum number of characters of a KIE key."""
NAME_LENGTH = 24
"""Number of hexadecimal digits in a tenant's name; with so many, two keys practically never have the same name."""


class CallerKeys:
    """ASGI middleware that finds the caller of each HTTP request by its KIE key."""

    def __init__(self, app: ASGIApp, secret: str, *, with_token: bool) -> None:
        """Store the arguments.

        Args:
            app: The application that answers requests whose caller is known.
            secret: The secret of the HMAC, the same for all replicas of the server.
            with_token: Whether the header `Authorization` contains the server's own token. If not, this header may
                contain the caller's KIE key.
        """
        self._app = app
        self._secret = secret.encode()
        self._with_token = with_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the caller into a request's scope, and pass the request on; without a valid key, answer with 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        keys = _find_all(scope, HEADER) or ([] if self._with_token else _find_bearers(scope))
        key = keys[0] if len(keys) == 1 else ""
        fault = _find_fault(key) if key else "is missing" if not keys else "is there more than once"
        if fault:
            await self._refuse(fault)(scope, receive, send)
            return
        # The headers that may contain the key are removed; the application reads the key from the `Caller` object.
        headers = [pair for pair in scope["headers"] if pair[0] not in (HEADER.lower().encode(), b"authorization")]
        caller = Caller(self._compute_name(key), key=SecretStr(key))
        await self._app({**scope, "headers": headers, SCOPE: caller}, receive, send)

    def _compute_name(self, key: str) -> str:
        return hmac.new(self._secret, key.encode(), hashlib.sha256).hexdigest()[:NAME_LENGTH]

    def _refuse(self, fault: str) -> JSONResponse:
        place = HEADER if self._with_token else f"{HEADER} or Authorization: Bearer"
        body = {
            "error": "unauthorized",
            "message": f"The caller's KIE key {fault}. Nothing was sent to KIE.",
            "next_step": f"Send your own KIE key (from {KEY_PAGE}) as the header {place} with each request.",
        }
        return JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})


def _find_all(scope: Scope, header: str) -> Sequence[str]:
    return [text.decode("latin-1").strip() for name, text in scope["headers"] if name == header.lower().encode()]


def _find_bearers(scope: Scope) -> Sequence[str]:
    parts = [text.partition(" ") for text in _find_all(scope, "Authorization")]
    return [token.strip() for scheme, _, token in parts if scheme.lower() == "bearer"]


def _find_fault(key: str) -> str:
    if not SHORTEST <= len(key) <= LONGEST:
        return f"has {len(key)} characters, and {SHORTEST} to {LONGEST} are expected"
    return find_key_fault(key)
