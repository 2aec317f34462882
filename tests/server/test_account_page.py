"""The page `/account`, on which people store their KIE keys: with a real provider, and what strangers may try."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from support.accounts import claims_for, log_in, make_key, needs_provider, read_form, register, sign
from support.answers import answer
from support.clock import JumpingClock
from support.servers import break_off, serve_at

from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.accounts.common_ledger import CommonLedger
from kie_mcp.server.accounts.needs_key import NONE_STORED
from kie_mcp.server.accounts.resource_server import ResourceServer
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.http import PATH, build_http_app, build_streamable_app
from kie_mcp.server.middleware.extra_routes import ExtraRoutes

pytestmark = [pytest.mark.anyio, needs_provider]

KEY = "kie-0123456789abcdef"


async def tell_key(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand behind the check of tokens, and tell with whose key a call would be paid."""
    caller: Caller = scope[SCOPE]
    assert caller.key
    await JSONResponse({"key": caller.key.get_secret_value()})(scope, receive, send)


@pytest.fixture
def sandbox(clock: JumpingClock) -> Sandbox:
    """A KIE that knows one key, of an account with many credits."""
    return Sandbox(key=KEY, clock=clock.time, credits=1_234_567.5)


@pytest.fixture
async def address(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> AsyncIterator[str]:
    """The address of a server that takes the provider's tokens, and keeps the KIE keys of people."""

    def build(place: str) -> ASGIApp:
        known = {"public_url": place, "oidc_issuer": issuer, "account_keys": "person", **register(issuer, place)}
        real = settings.model_copy(update=known | {"sandbox": False})
        app = App(real, local_files=False, transport=transport, clock=clock)
        common = CommonLedger(app.settings)
        accounts = ResourceServer(app.settings, PATH, clock, app.build_client_of, common.open)
        opened.push_async_callback(common.close)
        return ExtraRoutes(accounts.protect(tell_key), accounts.routes)

    async with AsyncExitStack() as opened, serve_at(build) as place:
        yield place


@pytest.fixture
async def browser() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as client:
        yield client


async def open_page(browser: httpx2.AsyncClient, address: str, person: str = "ann") -> httpx2.Response:
    page = f"{address}/account"
    await log_in(browser, f"{page}/login", person, page)
    return await browser.get(page)


async def find_key(issuer: str, address: str, person: str) -> str:
    """Return the key with which a call of a person is paid."""
    token = sign(make_key("one"), **claims_for(issuer, address + PATH, sub=person))
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        return str((await http.post(address + PATH)).json()["key"])


async def test_a_person_logs_in_stores_a_key_and_calls_are_paid_with_it(
    address: str, issuer: str, browser: httpx2.AsyncClient
) -> None:
    missing = NONE_STORED.get_secret_value()
    assert await find_key(issuer, address, "ann") == missing
    page = await open_page(browser, address)
    assert "No key is stored" in page.text
    assert f'href="{address}/library"' in page.text
    told = await browser.post(page.url, data={"form": read_form(page), "key": f" {KEY} "})
    assert "Your key is stored. It has 1,234,567.5 credits." in told.text
    assert "ends with cdef" in told.text
    for shown in (told, await browser.get(page.url)):
        assert KEY not in shown.text
        assert shown.text.count(KEY[-5:]) == 0
    assert await find_key(issuer, address, "ann") == KEY
    assert await find_key(issuer, address, "bob") == missing
    told = await browser.post(page.url, data={"form": read_form(page), "delete": "1"})
    assert "No key is stored" in told.text
    assert await find_key(issuer, address, "ann") == missing


async def test_a_key_is_stored_while_the_server_is_tried_out_with_the_sandbox(
    settings: Settings, clock: JumpingClock, issuer: str, browser: httpx2.AsyncClient
) -> None:
    def build(place: str) -> ASGIApp:
        known = {"public_url": place, "oidc_issuer": issuer, "account_keys": "person", **register(issuer, place)}
        app = App(settings.model_copy(update=known | {"sandbox": True}), local_files=False, clock=clock)
        return build_http_app(app, host="127.0.0.1")

    async with serve_at(build) as place:
        page = await open_page(browser, place)
        told = await browser.post(page.url, data={"form": read_form(page), "key": KEY})
    assert "Your key is stored" in told.text


async def test_a_key_that_kie_does_not_know_is_not_stored(address: str, browser: httpx2.AsyncClient) -> None:
    page = await open_page(browser, address)
    for key, message in (
        ("unknown-to-kie", "KIE does not know this key."),
        ("", "There is no key in the field."),
        ("Bearer abc", "begins with Bearer"),
        ("YOUR_API_KEY", "placeholder"),
        ("<script>alert(1)</script>", "placeholder"),
    ):
        told = await browser.post(page.url, data={"form": read_form(page), "key": key})
        assert told.status_code == 400, key
        assert message in told.text, key
        assert "Nothing was stored." in told.text, key
        assert "No key is stored" in told.text, key
        assert not key or key not in told.text


async def test_a_form_without_its_secret_or_of_another_session_changes_nothing(
    address: str, issuer: str, browser: httpx2.AsyncClient
) -> None:
    page = await open_page(browser, address)
    await browser.post(page.url, data={"form": read_form(page), "key": KEY})
    async with httpx2.AsyncClient() as other:
        foreign = read_form(await open_page(other, address, "bob"))
        for client, form in ((browser, ""), (browser, foreign), (browser, "x"), (other, read_form(page))):
            for path in ("", "/logout"):
                sent = await client.post(f"{page.url}{path}", data={"form": form, "delete": "1"})
                assert sent.status_code == 403
    async with httpx2.AsyncClient() as stranger:
        assert (await stranger.post(page.url, data={"form": "", "delete": "1"})).status_code == 403
        assert (await stranger.get(page.url)).headers["location"] == f"{page.url}/login?to=%2Faccount"
    assert await find_key(issuer, address, "ann") == KEY


async def test_the_page_lets_nothing_in_and_its_cookie_is_not_for_scripts(
    address: str, browser: httpx2.AsyncClient
) -> None:
    page = await open_page(browser, address)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    begun = await browser.get(f"{page.url}/login")
    cookie = begun.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    asked = httpx2.URL(begun.headers["location"]).params
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert (asked["scope"], asked["resource"]) == ("openid kie:read kie:spend", address + PATH)
    assert asked["nonce"]
    assert asked["state"]
    for host in ("evil.example", "127.0.0.1.evil.example"):
        assert (await browser.get(page.url, headers={"host": host})).status_code == 421
    assert (await browser.post(page.url, data={"form": "x" * 10_000})).status_code == 413


async def test_a_login_that_was_not_begun_here_is_refused(address: str, browser: httpx2.AsyncClient) -> None:
    for query in ("", "?code=x&state=y", "?error=access_denied&error_description=<b>x</b>", "?state="):
        refused = await browser.get(f"{address}/account/callback{query}")
        assert refused.status_code == 400, query
        assert "<b>" not in refused.text, query
        assert (await browser.get(f"{address}/account")).status_code == 303, query


async def test_a_form_that_is_broken_off_leaves_no_error_in_the_log(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    await break_off(f"{address}/account", {"Content-Type": "application/x-www-form-urlencoded"})
    # While this one is answered, the server notices the end of the other connection.
    async with httpx2.AsyncClient() as other:
        await other.get(f"{address}/account/page.css")
    assert not [each for each in caplog.records if each.exc_info]


async def test_after_the_logout_the_page_wants_a_login(address: str, browser: httpx2.AsyncClient) -> None:
    page = await open_page(browser, address)
    assert (await browser.post(f"{page.url}/logout", data={"form": read_form(page)})).status_code == 200
    assert (await browser.get(page.url)).status_code == 303


async def test_calls_without_a_stored_key_are_refused_with_the_address_of_the_page(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str, sandbox: Sandbox
) -> None:
    def build(place: str) -> ASGIApp:
        known = {"public_url": place, "oidc_issuer": issuer, "account_keys": "person", "oidc_client_id": "x"}
        app = App(settings.model_copy(update=known), local_files=False, transport=transport, clock=clock)
        common = CommonLedger(app.settings)
        opened.push_async_callback(common.close)
        accounts = ResourceServer(app.settings, PATH, clock, app.build_client_of, common.open)
        server = build_server(app, sessions=False)
        server.middleware += accounts.middleware
        return accounts.protect(build_streamable_app(server, "127.0.0.1"))

    async with AsyncExitStack() as opened, serve_at(build) as place:
        token = sign(make_key("one"), **claims_for(issuer, place + PATH))
        eras: tuple[Any, ...] = ("legacy", "auto")
        for era in eras:
            async with (
                httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
                Client(streamable_http_client(place + PATH, http_client=http), mode=era) as client,
            ):
                assert (await client.list_tools()).tools
                for tool, given in (("nano_banana_image", {"prompt": "a fox"}), ("get_credits", {})):
                    told = answer(await client.call_tool(tool, given))
                    assert f"{place}/account" in told["error"]["next_step"]
                    assert told["error"]["billed"] is False
                with pytest.raises(MCPError, match=f"{place}/account"):
                    await client.read_resource("kie://credits")
    assert sandbox.accepted == []


def test_behind_https_the_cookie_goes_over_nothing_else(settings: Settings, clock: JumpingClock) -> None:
    known = {"public_url": "https://kie.example", "oidc_issuer": "https://login.example", "account_keys": "person"}
    with pytest.raises(ConfigurationError, match="OIDC_CLIENT_ID") as refused:
        ResourceServer(
            settings.model_copy(update=known), PATH, clock, App(settings).build_client_of, CommonLedger(settings).open
        )
    assert "https://kie.example/account/callback" in refused.value.next_step
