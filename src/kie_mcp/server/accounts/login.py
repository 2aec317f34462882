"""Log people in at the provider with their browsers; a signed cookie keeps a login for `SESSION_SECONDS`.

A login gives a browser the same rights as the person's other clients have: the provider issues an access token for the
login. This token is checked like the tokens of other clients, and then forgotten. The cookie has the tenant's name, and
no token.
"""

import hmac
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.integrations.starlette_client import OAuthError, StarletteIntegration, StarletteOAuth2App
from joserfc.errors import JoseError
from mcp.server.auth.provider import AccessToken
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from kie_mcp.config import Settings
from kie_mcp.library_page.descriptions import PREFIX as LIBRARY
from kie_mcp.server import access_token
from kie_mcp.server.accounts.access_tokens import READ, SPEND, AccessTokens, name_tenant
from kie_mcp.server.accounts.provider import ALGORITHMS, TIMEOUT_SECONDS, Provider, ProviderUnavailable

PATH = "/account"
"""Path of the page with the person's account; the paths of the login begin with it."""
SESSION_SECONDS = 3600
"""Seconds after which a person has to log in again."""
MAX_BEGUN = 4
"""Maximum number of logins that a browser may begin before it ends one; a cookie has at most 4096 bytes."""
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

logger = logging.getLogger(__name__)


class LoginFailed(Exception):
    """The provider did not log the person in, or issued a token that gives no access to this server."""


@dataclass(frozen=True)
class Person:
    """A person who is logged in."""

    tenant: str
    """Name of the person's tenant."""
    may_spend: bool
    """Whether the provider has granted the scope `kie:spend`."""
    form: str
    """CSRF token: a secret value that each form on the account page contains."""


class Login:
    """Sends browsers to the provider for login, and stores each successful login in the browser's session."""

    def __init__(self, settings: Settings, provider: Provider, tokens: AccessTokens, resource: str) -> None:
        """Store the arguments.

        Args:
            settings: The settings, with this server's id at the provider.
            provider: The OAuth provider.
            tokens: Checks the access tokens that the provider issues.
            resource: URL of the MCP endpoint; the provider gets it as the parameter `resource` (RFC 8707).

        Raises:
            ConfigurationError: When the file with the tenant secret cannot be used.
        """
        self._settings = settings
        self._provider = provider
        self._tokens = tokens
        self._resource = resource
        self._secret = access_token.read_tenant_secret(settings)
        self.server = settings.public_url
        """Public URL of this server, without a slash at the end."""
        self.page = self.server + PATH
        """Address of the page with the person's account."""

    def build_routes(self) -> list[BaseRoute]:
        """Return the routes of the login; an application with these routes must be wrapped by `keep_sessions()`."""
        return [
            Route(f"{PATH}/login", self._begin, methods=["GET"]),
            Route(f"{PATH}/callback", self._end, methods=["GET"]),
        ]

    def keep_sessions(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application in middleware that reads and writes the session cookie.

        All replicas of the server accept the same cookie.
        """
        is_https = self.server.startswith("https://")
        return SessionMiddleware(
            app,
            secret_key=hmac.digest(self._secret.encode(), b"sessions of people", "sha256").hex(),
            # Because of the prefix `__Host-`, a browser accepts this cookie only from this host, and only with TLS.
            session_cookie="__Host-kie-mcp" if is_https else "kie-mcp",
            max_age=SESSION_SECONDS,
            same_site="lax",
            https_only=is_https,
        )

    def redirect(self, page: str) -> Response:
        """Return the answer that sends a browser to the login, and afterwards back to the page with the path `page`."""
        return RedirectResponse(f"{self.page}/login?{urlencode({'to': page})}", 303, HEADERS)

    async def find_provider_logout(self) -> str:
        """Return the URL at which a person also logs out of the provider; empty if the provider has no such URL."""
        metadata = (await self._provider.describe()).metadata
        address = str(metadata.get("end_session_endpoint", ""))
        is_safe = urlsplit(address).scheme in ("https", urlsplit(self._provider.issuer).scheme)
        return add_client_id(address, self._settings.oidc_client_id) if is_safe else ""

    async def _begin(self, request: Request) -> Response:
        # Only a known page of this server is remembered, so that no link can send people to a foreign site after login.
        client = await self._build_client(to=LIBRARY if request.query_params.get("to") == LIBRARY else PATH)
        redirect: Response = await client.authorize_redirect(request, f"{self.page}/callback", resource=self._resource)
        return redirect

    async def _end(self, request: Request) -> Response:
        client = await self._build_client()
        begun = await client.framework.get_state_data(request.session, request.query_params.get("state", ""))
        if not begun and find_person(request):
            # Another login of this browser has ended meanwhile, or this one has.
            return RedirectResponse(self.page, 303, HEADERS)
        to = begun.get("to", PATH) if begun else PATH
        try:
            given = await client.authorize_access_token(request, resource=self._resource)
            token = await self._check(given)
        except (LoginFailed, OAuthError, JoseError, KeyError, ValueError) as error:
            logger.warning("A login in a browser has failed: %s", _name_fault(error))
            # An error from the URL's parameters is not shown, because anybody can make such a URL.
            told = f"{error} " if isinstance(error, LoginFailed) else ""
            return PlainTextResponse(f"The login has failed. {told}Begin again: {self.server}{to}", 400, HEADERS)
        except httpx2.HTTPError as error:
            raise ProviderUnavailable(type(error).__name__) from None
        request.session["tenant"] = name_tenant(self._provider.issuer, str(token.subject))
        request.session["spends"] = SPEND in token.scopes
        request.session["form"] = secrets.token_urlsafe(32)
        request.session["ends"] = time.time() + SESSION_SECONDS
        return RedirectResponse(self.server + to, 303, HEADERS)

    async def _check(self, given: Mapping[str, Any]) -> AccessToken:
        """Return the checked access token from the provider's answer.

        Raises:
            LoginFailed: When the token is not valid here, belongs to another person than the ID token, or lacks the
                scope for reading.
        """
        token = await self._tokens.verify_token(str(given["access_token"]))
        if not token or token.subject != given["userinfo"]["sub"]:
            raise LoginFailed("The provider's token is not for this server: its operator finds more in operate.md.")
        if READ not in token.scopes:
            raise LoginFailed(f"The provider has not granted {READ}.")
        return token

    async def _build_client(self, to: str = PATH) -> StarletteOAuth2App:
        """Return the OAuth client of a login that leads to the page with the path `to`.

        The client uses the authorization code flow with PKCE, and an ID token with a nonce.
        """
        metadata = dict((await self._provider.describe()).metadata)
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [each for each in offered if each in ALGORITHMS]
        secret = self._settings.oidc_client_secret
        client = StarletteOAuth2App(
            _BegunLogins(to),
            client_id=self._settings.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            client_kwargs={
                "scope": f"openid {READ} {SPEND}",
                "code_challenge_method": "S256",
                "timeout": TIMEOUT_SECONDS,
            },
        )
        client.server_metadata = metadata
        return client


class _BegunLogins(StarletteIntegration):  # type: ignore[misc]  # Authlib has no types for it.
    """Keeps what logins that have begun need at their end in the session, each under its `state`.

    A browser may begin several logins at once, for example when it opens the tabs of yesterday again. Authlib's own
    class forgets a login when the next one begins.
    """

    def __init__(self, to: str) -> None:
        super().__init__("provider")
        self._to = to

    async def set_state_data(self, session: dict[str, Any] | None, state: str, data: Any) -> None:
        """Store a login in the session, and forget the oldest ones."""
        assert session is not None  # noqa: S101 - `keep_sessions()` has added it
        others = [key for key in session if key.startswith(f"_state_{self.name}_")]
        for key in others[: max(len(others) - MAX_BEGUN + 1, 0)]:
            del session[key]
        # Without the long URL at the provider, which nobody needs any more, the logins fit into the cookie.
        kept = {name: value for name, value in data.items() if name != "url"} | {"to": self._to}
        session[f"_state_{self.name}_{state}"] = {"data": kept, "exp": time.time() + self.expires_in}


def find_person(request: Request) -> Person | None:
    """Return the person of a request's session; None if nobody is logged in."""
    session = request.session
    # The end of the session is checked here, because the cookie's own time limit begins again whenever a response sets
    # the cookie.
    if not session.get("tenant") or session["ends"] < time.time():
        return None
    return Person(session["tenant"], may_spend=session["spends"] is True, form=session["form"])


def add_client_id(address: str, client_id: str) -> str:
    """Add this server's id to the URL at which a person logs out of the provider, which may have a query already."""
    return str(httpx2.URL(address).copy_merge_params({"client_id": client_id}))


def _name_fault(error: Exception) -> str:
    """Return a short text about a failed login for the log.

    The code of an OAuth error is cut to 40 characters, because anybody can put an error into the URL.
    """
    return repr(error.error[:40]) if isinstance(error, OAuthError) and error.error else type(error).__name__
