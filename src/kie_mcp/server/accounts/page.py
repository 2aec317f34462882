"""The page `/account`: a person logs in at the provider, and stores, replaces or deletes their KIE key."""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.starlette_client import OAuthError, StarletteIntegration, StarletteOAuth2App
from joserfc.errors import JoseError
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from kie_mcp.api_key import find_key_fault
from kie_mcp.config import Settings
from kie_mcp.errors import AuthError, KieMcpError
from kie_mcp.ledger.ledger import LedgerError
from kie_mcp.server.accounts.access_tokens import name_tenant
from kie_mcp.server.accounts.provider import ALGORITHMS, TIMEOUT_SECONDS, Provider, ProviderUnavailable
from kie_mcp.server.accounts.stored_keys import StoredKeys, UnreadableKey, read_server_keys

PATH = "/account"
SESSION_SECONDS = 1800
"""Seconds after which a person has to log in again."""
MAX_BYTES = 8 * 1024
"""Maximum bytes of a form."""
SHOWN_CHARACTERS = 4
"""Number of characters at the end of a stored key that the page shows, so that a person recognises the key."""
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

ReadBalance = Callable[[str], Awaitable[float]]
"""The type of a function that returns the balance of a KIE key, in credits, or raises a `KieMcpError`."""


class AccountPage:
    """The handlers of the page's requests."""

    def __init__(self, settings: Settings, provider: Provider, stored: StoredKeys, read_balance: ReadBalance) -> None:
        """Store the arguments."""
        self._settings = settings
        self._provider = provider
        self._stored = stored
        self._read_balance = read_balance
        self._address = settings.public_url.rstrip("/") + PATH

    def build(self) -> Starlette:
        """Build the ASGI application; all replicas of the server with the same encryption keys accept a session."""
        is_https = self._address.startswith("https://")
        secret = hmac.new(read_server_keys(self._settings)[0].encode(), b"sessions of /account", "sha256").hexdigest()
        return Starlette(
            routes=[
                Route(PATH, self._show, methods=["GET"]),
                Route(PATH, self._change, methods=["POST"]),
                Route(f"{PATH}/login", self._log_in, methods=["GET"]),
                Route(f"{PATH}/callback", self._end_login, methods=["GET"]),
                Route(f"{PATH}/logout", self._log_out, methods=["POST"]),
                Route(f"{PATH}/page.css", _send_style, methods=["GET"]),
            ],
            middleware=[
                Middleware(
                    TrustedHostMiddleware,
                    allowed_hosts=[urlsplit(self._address).hostname or ""],
                    www_redirect=False,
                ),
                Middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BYTES),
                Middleware(
                    SessionMiddleware,
                    secret_key=secret,
                    # Because of the prefix `__Host-`, a browser accepts this cookie only from this host.
                    session_cookie="__Host-kie-mcp" if is_https else "kie-mcp",
                    max_age=SESSION_SECONDS,
                    same_site="lax",
                    https_only=is_https,
                ),
            ],
            exception_handlers={
                ProviderUnavailable: _tell_unavailable,
                KieMcpError: _tell_unusable,
                LedgerError: _tell_unusable,
            },
        )

    async def _show(self, request: Request) -> Response:
        tenant = request.session.get("tenant")
        return await self._render(request, tenant) if tenant else RedirectResponse(f"{self._address}/login", 303)

    async def _log_in(self, request: Request) -> Response:
        request.session.clear()
        client = await self._build_client()
        redirect: Response = await client.authorize_redirect(request, f"{self._address}/callback")
        return redirect

    async def _end_login(self, request: Request) -> Response:
        client = await self._build_client()
        try:
            person = (await client.authorize_access_token(request))["userinfo"]
        except (OAuthError, JoseError, KeyError, ValueError):
            # The error in the URL is not shown, because anybody may have written it.
            return PlainTextResponse(f"The login has failed. Begin again: {self._address}", 400, HEADERS)
        except httpx2.HTTPError as error:
            raise ProviderUnavailable(type(error).__name__) from None
        request.session.clear()
        request.session["tenant"] = name_tenant(self._provider.issuer, person["sub"])
        request.session["form"] = secrets.token_urlsafe(32)
        return RedirectResponse(self._address, 303, HEADERS)

    async def _log_out(self, request: Request) -> Response:
        if not await _is_own_form(request):
            return _refuse_form()
        request.session.clear()
        return PlainTextResponse("You are logged out here.", headers=HEADERS)

    async def _change(self, request: Request) -> Response:
        """Store the key from a form if KIE knows this key, or delete the stored key if the form asks for that."""
        if not await _is_own_form(request):
            return _refuse_form()
        tenant, form = request.session["tenant"], await request.form()
        if "delete" in form:
            await self._stored.delete(tenant)
            return await self._render(request, tenant, "Your key is deleted here. At KIE, it still works.")
        key = str(form.get("key", "")).strip()
        if not key or (fault := find_key_fault(key)):
            told = f"The text {fault}." if key else "There is no key in the field."
            return await self._render(request, tenant, f"{told} Nothing was stored.", 400)
        try:
            balance = await self._read_balance(key)
        except AuthError:
            return await self._render(request, tenant, "KIE does not know this key. Nothing was stored.", 400)
        except KieMcpError:
            return await self._render(request, tenant, "KIE does not answer. Nothing was stored. Try again.", 502)
        await self._stored.save(tenant, key)
        return await self._render(request, tenant, f"Your key is stored. It has {balance:g} credits.")

    async def _render(self, request: Request, tenant: str, message: str = "", status: int = 200) -> Response:
        try:
            key = await self._stored.find(tenant)
            known = f"A key is stored that ends with {key.get_secret_value()[-SHOWN_CHARACTERS:]}." if key else ""
        except UnreadableKey as error:
            known = f"{error} {error.next_step}"
        shown = {
            "message": message,
            "known": known or "No key is stored, so calls are refused.",
            "form": request.session["form"],
            "path": self._address,
        }
        page = files("kie_mcp.server.accounts").joinpath("page.html").read_text(encoding="utf-8")
        text = Template(page).substitute({name: escape(each) for name, each in shown.items()})
        return HTMLResponse(text, status, HEADERS)

    async def _build_client(self) -> StarletteOAuth2App:
        """Return the OAuth client for the login by authorization code, PKCE, and an ID token with a nonce."""
        metadata = dict((await self._provider.describe()).metadata)
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [each for each in offered if each in ALGORITHMS]
        secret = self._settings.oidc_client_secret
        client = StarletteOAuth2App(
            StarletteIntegration("provider"),
            client_id=self._settings.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            client_kwargs={"scope": "openid", "code_challenge_method": "S256", "timeout": TIMEOUT_SECONDS},
        )
        client.server_metadata = metadata
        return client


async def _is_own_form(request: Request) -> bool:
    """Return whether a form was sent from this page, by a person who is logged in."""
    expected, given = request.session.get("form", ""), str((await request.form()).get("form", ""))
    return bool(expected) and hmac.compare_digest(expected.encode(), given.encode())


def _refuse_form() -> Response:
    return PlainTextResponse("This form is not valid, or not any more: load the page again.", 403, HEADERS)


async def _send_style(_: Request) -> Response:
    style = files("kie_mcp.server.accounts").joinpath("page.css").read_text(encoding="utf-8")
    return Response(style, media_type="text/css", headers={**HEADERS, "cache-control": "no-cache"})


async def _tell_unavailable(_: Request, __: Exception) -> Response:
    return PlainTextResponse("The login provider does not answer. Try again.", 503, HEADERS)


async def _tell_unusable(_: Request, __: Exception) -> Response:
    return PlainTextResponse("The server cannot use its database. Nothing was changed. Try again.", 503, HEADERS)
