"""The server as an OAuth 2.1 resource server: it takes access tokens of one provider, and tells clients which it is."""

import ipaddress
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.server.accounts.access_tokens import READ, SPEND, AccessTokens, name_tenant
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.accounts.introspection import Introspection
from kie_mcp.server.accounts.provider import PAUSE_SECONDS, Provider
from kie_mcp.server.accounts.step_up import StepUp

ROOT = "/.well-known/oauth-protected-resource"
"""Where clients look for the metadata that do not add the path of the resource."""


class ResourceServer(NamedTuple):
    """What the HTTP application needs to be a resource server."""

    protect: Callable[[ASGIApp], ASGIApp]
    """Puts the check of tokens before an application."""
    routes: list[Route]
    """The metadata by which clients find the provider; nobody needs a token for them."""


def build_resource_server(settings: Settings, path: str, clock: Clock) -> ResourceServer:
    """Build the parts of a resource server.

    Args:
        settings: The settings, with the provider's address.
        path: Path of the MCP endpoint.
        clock: The source of time.

    Raises:
        ConfigurationError: When the settings do not fit together.
    """
    _check_settings(settings)
    resource = settings.public_url.rstrip("/") + path
    provider, audience = Provider(settings.oidc_issuer, clock), settings.oidc_audience or resource
    secret = settings.oidc_client_secret
    introspection = (
        Introspection(provider, settings.oidc_client_id, secret.get_secret_value(), audience, clock) if secret else None
    )
    tokens = AccessTokens(provider, audience, introspection)
    # The SDK would compare the resource of the token with the address; the audience may be another one.
    urls = AuthSettings.model_validate(
        {"issuer_url": provider.issuer, "resource_server_url": resource, "validate_token_resource": False}
    )
    assert urls.resource_server_url  # noqa: S101 - it was given
    metadata_url = build_resource_metadata_url(urls.resource_server_url)

    def protect(app: ASGIApp) -> ASGIApp:
        def build_refusal() -> Response:
            text = f"This call needs the scope {SPEND}. Nothing was sent, nothing was charged."
            challenge = f'Bearer error="insufficient_scope", error_description="{text}"'
            challenge += f', resource_metadata="{metadata_url}", scope="{SPEND}"'
            body = {"error": "insufficient_scope", "error_description": text}
            return JSONResponse(body, 403, {"WWW-Authenticate": challenge})

        checked = RequireAuthMiddleware(_Callers(StepUp(app, build_refusal)), [READ], metadata_url)
        authenticated = AuthenticationMiddleware(checked, BearerAuthBackend(tokens), _tell_unavailable)
        challenging = _ScopeInChallenge(authenticated, f"{READ} {SPEND}")

        async def protected(scope: Scope, receive: Receive, send: Send) -> None:
            # Only the events of the server's life come without a token.
            await (app if scope["type"] == "lifespan" else challenging)(scope, receive, send)

        return protected

    (route,) = create_protected_resource_routes(
        urls.resource_server_url, [urls.issuer_url], [READ, SPEND], resource_name="kie-mcp"
    )
    return ResourceServer(protect, [route, Route(ROOT, route.endpoint, methods=["GET", "OPTIONS"])])


class _Callers:
    """ASGI middleware that writes into each request who its caller is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = scope["user"].access_token
        tenant = name_tenant(token.claims["iss"], token.subject)
        scope[SCOPE] = Caller(tenant, may_spend=SPEND in token.scopes)
        await self._app(scope, receive, send)


class _ScopeInChallenge:
    """ASGI middleware that adds to the SDK's challenges which scopes a client should ask the provider for."""

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
    """Answer that nobody knows whether the token is valid; the log says why."""
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
    if settings.http_token:
        raise ConfigurationError(
            "KIE_MCP_HTTP_TOKEN and KIE_MCP_OIDC_ISSUER are two ways to know callers.", "Leave one of them out."
        )
    if settings.oidc_client_secret and not settings.oidc_client_id:
        raise ConfigurationError("KIE_MCP_OIDC_CLIENT_SECRET needs KIE_MCP_OIDC_CLIENT_ID.", "Set both.")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
