"""The page `/account`, where people log out, open the library, and store or delete the KIE key that pays."""

import hmac
from collections.abc import Callable
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import urlsplit

from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kie_mcp.api_key import find_key_fault
from kie_mcp.catalog.credits import format_number
from kie_mcp.errors import AuthError, KieMcpError
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import LedgerError
from kie_mcp.library_page.descriptions import PREFIX as LIBRARY
from kie_mcp.server.accounts.login import HEADERS, PATH, Login, Person, find_person
from kie_mcp.server.accounts.provider import ProviderUnavailable
from kie_mcp.server.accounts.stored_keys import StoredKeys, UnreadableKey
from kie_mcp.server.middleware.host_names import HostNames

MAX_BYTES = 8 * 1024
"""Maximum bytes of a form."""
SHOWN_CHARACTERS = 4
"""Number of characters at the end of a stored key that the page shows, so that a person recognises the key."""
PAID_BY_OPERATOR = "The operator of this server pays for what you make here."

BuildClient = Callable[[str], KieClient]
"""The type of a function that returns a client for a KIE key."""


class AccountPage:
    """The handlers of the page's requests."""

    def __init__(self, login: Login, stored: StoredKeys | None, build_client: BuildClient) -> None:
        """Store the arguments.

        Args:
            login: Logs people in.
            stored: The KIE keys of people; None if the operator's key pays for all.
            build_client: Returns a client for a KIE key, to check the key before it is stored.
        """
        self._login = login
        self._stored = stored
        self._build_client = build_client

    def build(self) -> ASGIApp:
        """Build the ASGI application, with the routes of the login."""
        page = Starlette(
            routes=[
                Route(PATH, self._show, methods=["GET"]),
                Route(PATH, self._change, methods=["POST"]),
                Route(f"{PATH}/logout", self._log_out, methods=["POST"]),
                Route(f"{PATH}/page.css", _send_style, methods=["GET"]),
                *self._login.build_routes(),
            ],
            middleware=[
                Middleware(HostNames, names=[urlsplit(self._login.page).hostname or ""]),
                Middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BYTES),
            ],
            exception_handlers={
                ProviderUnavailable: _tell_unavailable,
                KieMcpError: _tell_unusable,
                LedgerError: _tell_unusable,
                ClientDisconnect: _tell_broken_off,
            },
        )
        return self._login.keep_sessions(page)

    async def _show(self, request: Request) -> Response:
        person = find_person(request)
        return await self._render(person) if person else self._login.redirect(PATH)

    async def _log_out(self, request: Request) -> Response:
        if not _find_sender(request, await request.form()):
            return _refuse_form()
        request.session.clear()
        try:
            address = await self._login.find_provider_logout()
        except ProviderUnavailable:
            address = ""
        rest = f'At the provider, you may still be: <a href="{escape(address)}">log out there</a>.' if address else ""
        page = _read("logged_out.html").substitute(path=escape(self._login.page), rest=rest)
        return HTMLResponse(page, headers=HEADERS)

    async def _change(self, request: Request) -> Response:
        """Store the key from a form if KIE knows this key, or delete the stored key if the form asks for that."""
        form = await request.form()
        person = _find_sender(request, form)
        if not person or not self._stored:
            return _refuse_form()
        if "delete" in form:
            await self._stored.delete(person.tenant)
            return await self._render(person, "Your key is deleted here. At KIE, it still works.")
        key = str(form.get("key", "")).strip()
        if not key or (fault := find_key_fault(key)):
            told = f"The text {fault}." if key else "There is no key in the field."
            return await self._render(person, f"{told} Nothing was stored.", 400)
        try:
            async with self._build_client(key) as client:
                balance = await client.read_balance()
        except AuthError:
            return await self._render(person, "KIE does not know this key. Nothing was stored.", 400)
        except KieMcpError:
            return await self._render(person, "KIE does not answer. Nothing was stored. Try again.", 502)
        await self._stored.save(person.tenant, key)
        return await self._render(person, f"Your key is stored. It has {format_number(balance)} credits.")

    async def _render(self, person: Person, message: str = "", status: int = 200) -> Response:
        shown = {"message": message, "known": PAID_BY_OPERATOR, "form": person.form, "path": self._login.page}
        shown["library"] = self._login.server + LIBRARY
        if self._stored:
            shown["known"] = await _describe_key(self._stored, person.tenant)
        escaped = {name: escape(each) for name, each in shown.items()}
        key = _read("key.html").substitute(escaped) if self._stored else ""
        return HTMLResponse(_read("page.html").substitute(escaped, key=key), status, HEADERS)


async def _describe_key(stored: StoredKeys, tenant: str) -> str:
    try:
        key = await stored.find(tenant)
    except UnreadableKey as error:
        return f"{error} {error.next_step}"
    if not key:
        return "No key is stored, so calls are refused."
    return f"A key is stored that ends with {key.get_secret_value()[-SHOWN_CHARACTERS:]}."


def _find_sender(request: Request, form: FormData) -> Person | None:
    """Return the logged-in person; None if nobody is logged in, or the form lacks the session's secret value."""
    person, given = find_person(request), str(form.get("form", ""))
    return person if person and hmac.compare_digest(person.form.encode(), given.encode()) else None


def _refuse_form() -> Response:
    return PlainTextResponse("This form is not valid, or not any more: load the page again.", 403, HEADERS)


def _read(name: str) -> Template:
    return Template(files("kie_mcp.server.accounts").joinpath(name).read_text(encoding="utf-8"))


async def _send_style(_: Request) -> Response:
    style = _read("page.css").template
    return Response(style, media_type="text/css", headers={**HEADERS, "cache-control": "no-cache"})


async def _tell_broken_off(_: Request, __: Exception) -> Response:
    return PlainTextResponse("The form did not arrive whole. Nothing was changed.", 400, HEADERS)


async def _tell_unavailable(_: Request, __: Exception) -> Response:
    return PlainTextResponse("The login provider does not answer. Try again.", 503, HEADERS)


async def _tell_unusable(_: Request, __: Exception) -> Response:
    return PlainTextResponse("The server cannot use its database. Nothing was changed. Try again.", 503, HEADERS)
