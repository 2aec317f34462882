"""The OAuth 2.1 resource server: it accepts access tokens of one provider, and tells clients the provider's address."""

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from mcp.server.context import ServerMiddleware
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError, KieMcpError
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.server.accounts.access_tokens import BUDGET, READ, SPEND, AccessTokens, name_tenant
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.accounts.introspection import Introspection
from kie_mcp.server.accounts.login import HEADERS, Login, find_person
from kie_mcp.server.accounts.login import PATH as PAGE
from kie_mcp.server.accounts.needs_key import MESSAGES, NONE_STORED, UNREADABLE, NeedsKey
from kie_mcp.server.accounts.page import AccountPage, BuildClient
from kie_mcp.server.accounts.provider import PAUSE_SECONDS, Provider
from kie_mcp.server.accounts.step_up import StepUp
from kie_mcp.server.accounts.stored_keys import StoredKeys, UnreadableKey
from kie_mcp.server.app import App
from kie_mcp.tasks.failures import explain_ledger_errors
from kie_mcp.tasks.permission import Permission

logger = logging.getLogger(__name__)

DATABASE_AWAY = KieMcpError("The server cannot use its database. Nothing was sent.", "Try again.", retryable=True)
"""The answer if the caller's KIE key cannot be read; the reason is only logged, because it may name the database."""
ROOT = "/.well-known/oauth-protected-resource"
"""Path at which some clients request the metadata; the standard path is this path plus the MCP endpoint's path."""


class ResourceServer:
    """Checks the access tokens of requests, and has the routes and the MCP middleware that the login needs."""

    def __init__(
        self,
        settings: Settings,
        path: str,
        clock: Clock,
        build_client: BuildClient,
        open_ledger: Callable[[], Awaitable[Ledger]],
    ) -> None:
        """Build the parts of the resource server from the settings.

        Args:
            settings: The settings, with the provider's address.
            path: Path of the MCP endpoint.
            clock: The source of time.
            build_client: Returns a client for a KIE key, to check the key before it is stored.
            open_ledger: Returns the ledger that has the KIE keys of people.

        Raises:
            ConfigurationError: When the settings contradict each other.
        """
        _check_settings(settings)
        resource = settings.public_url + path
        provider, audience = Provider(settings.oidc_issuer, clock), settings.oidc_audience or resource
        secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else ""
        asks = Introspection(provider, settings.oidc_client_id, secret, audience, clock) if secret else None
        self._tokens = AccessTokens(provider, audience, asks, settings.budget_claim)
        # The SDK's own check (`validate_token_resource`) is off, because it requires that the token's audience is the
        # server's URL; the operator may set another audience.
        urls = AuthSettings.model_validate(
            {"issuer_url": provider.issuer, "resource_server_url": resource, "validate_token_resource": False}
        )
        assert urls.resource_server_url  # noqa: S101 - it was given
        self._metadata_url = build_resource_metadata_url(urls.resource_server_url)
        (route,) = create_protected_resource_routes(
            urls.resource_server_url, [urls.issuer_url], [READ, SPEND], resource_name="kie-mcp"
        )
        self.routes = [route, Route(ROOT, route.endpoint, methods=["GET", "OPTIONS"])]
        """Routes that need no access token: the metadata with the provider's address, and the page `/account`."""
        self.middleware: list[ServerMiddleware[App]] = []
        """Middleware of the MCP server."""
        self._path = path
        self._stored: StoredKeys | None = None
        if settings.account_keys == "person":
            self._stored = StoredKeys(settings, clock, open_ledger)
            self._needs_key = NeedsKey(settings.public_url + PAGE)
            self.middleware.append(self._needs_key)
        self._login: Login | None = None
        if settings.oidc_client_id:
            self._login = Login(settings, provider, self._tokens, resource)
            page = AccountPage(self._login, self._stored, build_client).build()
            self.routes += [Route(PAGE, page), Route(f"{PAGE}/{{name}}", page)]

    def protect(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application in a check of access tokens, which also writes the caller into each request's scope."""
        checked = RequireAuthMiddleware(self._name_caller(StepUp(app, self._refuse)), [READ], self._metadata_url)
        authenticated = AuthenticationMiddleware(checked, BearerAuthBackend(self._tokens), _tell_unavailable)
        challenging = _ScopeInChallenge(authenticated, f"{READ} {SPEND}")

        async def protected(scope: Scope, receive: Receive, send: Send) -> None:
            # Lifespan events have no token, because they are not requests.
            await (app if scope["type"] == "lifespan" else challenging)(scope, receive, send)

        return protected

    @property
    def account_page(self) -> str:
        """Path of the account page; empty if people cannot log in with a browser."""
        return PAGE if self._login else ""

    def protect_data(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application that serves the library page's data, so that it gets only requests of known callers.

        A request needs the session cookie of a person who is logged in. A request with an `Authorization` header, and
        every request if people cannot log in with a browser, needs a valid access token instead, as in `protect()`.
        """
        by_token = self.protect(app)
        if not self._login:
            return by_token

        async def answer_session(scope: Scope, receive: Receive, send: Send) -> None:
            person = find_person(Request(scope))
            if not person:
                body = {"error": "unauthorized", "account": PAGE}
                challenge = f'Bearer resource_metadata="{self._metadata_url}"'
                await JSONResponse(body, 401, {**HEADERS, "WWW-Authenticate": challenge})(scope, receive, send)
                return
            with Permission(person.may_spend, missing_right=f"the scope {SPEND}").apply():
                await self._answer_known(app, Caller(person.tenant, person.may_spend))(scope, receive, send)

        by_session = self._login.keep_sessions(answer_session)

        async def choose(scope: Scope, receive: Receive, send: Send) -> None:
            has_token = "authorization" in Headers(scope=scope)
            await (by_token if has_token else by_session)(scope, receive, send)

        return choose

    def send_to_login(self, page: ASGIApp) -> ASGIApp:
        """Wrap an application that serves a page: people who are not logged in are redirected to the login.

        The page itself contains no data, so it needs no check of access tokens.
        """
        if not self._login:
            return page
        login = self._login

        async def show(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope)
            answer = page if find_person(request) else login.redirect(request.url.path)
            await answer(scope, receive, send)

        return login.keep_sessions(show)

    async def find_caller(self, tenant: str) -> Caller | None:
        """Return a `Caller` for a tenant; None if the tenant's KIE key is not stored, or cannot be decrypted.

        The `Caller` contains the tenant's KIE key. If the operator's key pays for all, the `Caller` contains no key.

        Raises:
            KieMcpError: When the ledger cannot be used.
        """
        key = await self._find_key(tenant)
        return None if key in MESSAGES else Caller(tenant, key=key)

    async def _find_key(self, tenant: str) -> SecretStr | None:
        """Return the KIE key that a tenant has stored, or the placeholder that says why there is none.

        Return None if the operator's key pays for all.
        """
        if not self._stored:
            return None
        try:
            with explain_ledger_errors():
                return await self._stored.find(tenant) or NONE_STORED
        except UnreadableKey:
            return UNREADABLE

    def _name_caller(self, app: ASGIApp) -> ASGIApp:
        """Return middleware that builds the `Caller` of a request from its access token, which was checked before."""

        async def named(scope: Scope, receive: Receive, send: Send) -> None:
            token = scope["user"].access_token
            tenant = name_tenant(token.claims["iss"], token.subject)
            caller = Caller(tenant, SPEND in token.scopes, token.claims[BUDGET], person=token.subject)
            await self._answer_known(app, caller)(scope, receive, send)

        return named

    def _answer_known(self, app: ASGIApp, caller: Caller) -> ASGIApp:
        """Return middleware that writes `caller`, with the KIE key that pays for it, into a request's ASGI scope."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                key = await self._find_key(caller.tenant)
            except KieMcpError as error:
                logger.warning("The KIE key of a person cannot be read: %s", error)
                await JSONResponse({"error": DATABASE_AWAY.as_dict()}, 503)(scope, receive, send)
                return
            if key in MESSAGES and scope["path"] != self._path:
                # Requests to the MCP endpoint are not refused here: some of them need no key, so the MCP middleware
                # `NeedsKey` decides.
                refusal = self._needs_key.build_refusal(key)
                body = {"error": refusal.as_dict(), "account": self.account_page}
                await JSONResponse(body, 403)(scope, receive, send)
                return
            await app({**scope, SCOPE: replace(caller, key=key)}, receive, send)

        return answer

    def _refuse(self) -> Response:
        """Return the answer with status 403, which says that the caller's token lacks the scope for this call."""
        text = f"This call needs the scope {SPEND}. Nothing was sent, nothing was charged."
        challenge = f'Bearer error="insufficient_scope", error_description="{text}"'
        challenge += f', resource_metadata="{self._metadata_url}", scope="{SPEND}"'
        body = {"error": "insufficient_scope", "error_description": text}
        return JSONResponse(body, 403, {"WWW-Authenticate": challenge})


class _ScopeInChallenge:
    """ASGI middleware that adds this server's scopes to `WWW-Authenticate` headers, so that clients request them."""

    def __init__(self, app: ASGIApp, scopes: str) -> None:
        self._app = app
        self._scopes = scopes.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (401, 403):
                headers = [
                    (name, text + b', scope="' + self._scopes + b'"')
                    if name.lower() == b"www-authenticate" and b"scope=" not in text
                    else (name, text)
                    for name, text in message["headers"]
                ]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, add)


def _tell_unavailable(_: HTTPConnection, __: Exception) -> Response:
    """Return an answer with status 503: the token cannot be checked at the moment; the reason is in the log."""
    text = "The login provider does not answer, so your token cannot be checked. Nothing was sent. Try again."
    body = {"error": "temporarily_unavailable", "error_description": text}
    return JSONResponse(body, 503, {"Retry-After": str(PAUSE_SECONDS)})


def _check_settings(settings: Settings) -> None:
    if not settings.public_url:
        raise ConfigurationError(
            "KIE_MCP_OIDC_ISSUER needs KIE_MCP_PUBLIC_URL.",
            "Set it to the address that callers use, such as https://kie.example.",
        )
    for name, url in (("KIE_MCP_OIDC_ISSUER", settings.oidc_issuer), ("KIE_MCP_PUBLIC_URL", settings.public_url)):
        parts = urlsplit(url)
        if parts.scheme != "https" and not _is_this_machine(parts.hostname or ""):
            raise ConfigurationError(f"{name} is not https, so others could read the tokens.", "Give an https address.")
        if parts.query or parts.fragment:
            raise ConfigurationError(f"{name} has a query or a fragment.", "Give the address without it.")
    for name, is_set in (("HTTP_TOKEN", settings.http_token), ("CALLER_KEYS", settings.caller_keys)):
        if is_set:
            raise ConfigurationError(
                f"KIE_MCP_{name} and KIE_MCP_OIDC_ISSUER are two ways to know callers.", "Leave one of them out."
            )
    if settings.oidc_client_secret and not settings.oidc_client_id:
        raise ConfigurationError("KIE_MCP_OIDC_CLIENT_SECRET needs KIE_MCP_OIDC_CLIENT_ID.", "Set both.")
    if settings.account_keys == "person" and not settings.oidc_client_id:
        redirect_uri = f"{settings.public_url}{PAGE}/callback"
        raise ConfigurationError(
            "KIE_MCP_ACCOUNT_KEYS=person needs KIE_MCP_OIDC_CLIENT_ID, with which people log in on the page /account.",
            f"Register this server at the provider, with the redirect URI {redirect_uri}.",
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Host names that end with `.localhost` are addresses of this machine, too (RFC 6761).
        return host == "localhost" or host.endswith(".localhost")
