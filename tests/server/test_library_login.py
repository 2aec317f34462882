"""The library page of people with accounts: they log in with a browser, and strangers and other pages get nothing."""

import base64
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import parse_qsl, urlsplit

import httpx2
import itsdangerous
import pytest
from pydantic import SecretStr
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Router
from support.accounts import (
    claims_for,
    connect_account,
    log_in,
    make_key,
    needs_provider,
    read_form,
    run_provider,
    serve_accounts,
    sign,
)
from support.answers import answer
from support.clock import JumpingClock
from support.servers import serve_app
from support.tenants import connect, serve_tenants, visit

from kie_mcp.config import Settings
from kie_mcp.library_page.changes import PAGE_HEADER
from kie_mcp.library_page.signed_links import DAY
from kie_mcp.server.accounts.access_tokens import AccessTokens
from kie_mcp.server.accounts.login import SESSION_SECONDS, Login
from kie_mcp.server.accounts.provider import Provider
from kie_mcp.server.app import App
from kie_mcp.server.http import PATH, build_http_app

pytestmark = [pytest.mark.anyio, needs_provider]

COOKIE = "kie-mcp"
FROM_PAGE = {PAGE_HEADER: "library"}


@pytest.fixture
async def browser(accounts_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """The browser of a person; its paths are relative to the root of the server."""
    async with httpx2.AsyncClient(base_url=accounts_url.removesuffix(PATH)) as client:
        yield client


async def open_library(browser: httpx2.AsyncClient, person: str = "ann") -> httpx2.Response:
    """Open the library page in a browser, and log in where the provider asks for that."""
    library = str(browser.base_url.join("/library"))
    await log_in(browser, library, person, library)
    return await browser.get("/library")


async def make_picture(url: str, person: str) -> str:
    async with connect_account(url, person) as client:
        return str(answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["task_id"])


async def test_a_person_logs_in_and_sees_what_only_they_made(accounts_url: str, browser: httpx2.AsyncClient) -> None:
    made = await make_picture(accounts_url, "ann")
    begun = await browser.get("/library")
    assert begun.status_code == 303
    assert begun.headers["location"] == browser.base_url.join("/account/login?to=%2Flibrary")
    assert "<title>Library" in (await open_library(browser)).text
    (item,) = (await browser.get("/library/api/items")).json()["items"]
    assert item["id"] == made
    assert (await browser.get("/library/api/page")).json()["account"] == "/account"
    marks = f"/library/api/tasks/{made}/marks"
    assert (await browser.post(marks, json={"favourite": True}, headers=FROM_PAGE)).json()["favourite"]
    async with httpx2.AsyncClient(base_url=browser.base_url) as other:
        await open_library(other, "bob")
        assert (await other.get("/library/api/items")).json() == {"items": []}
        assert (await other.get(f"/library/api/tasks/{made}")).status_code == 400
        assert (await other.post(marks, json={"favourite": False}, headers=FROM_PAGE)).status_code == 400
    assert (await browser.get("/library/api/items")).json()["items"][0]["favourite"]


async def test_no_other_page_changes_something_with_the_cookie(accounts_url: str, browser: httpx2.AsyncClient) -> None:
    marks = f"/library/api/tasks/{await make_picture(accounts_url, 'ann')}/marks"
    await open_library(browser)
    for headers in ({}, {"origin": "http://127.0.0.1:1"}, {**FROM_PAGE, "origin": "https://evil.example"}):
        assert (await browser.post(marks, json={"favourite": True}, headers=headers)).status_code == 403
    for host in ("evil.example", "127.0.0.1.evil.example"):
        for path in ("/library", "/library/api/items"):
            assert (await browser.get(path, headers={"host": host})).status_code == 421
    assert not (await browser.get("/library/api/items")).json()["items"][0]["favourite"]


async def test_no_token_is_in_the_cookie_an_address_or_the_log(
    browser: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = await open_library(browser)
    session = json.loads(base64.b64decode(browser.cookies[COOKIE].split(".")[0]))
    assert session.keys() == {"tenant", "spends", "form", "ends"}
    answers = [shown, *[await browser.get(each) for each in ("/account", "/library/api/items", "/library/api/page")]]
    assert all("eyJ" not in each.text + str(each.url) for each in answers)
    assert session["form"] not in (await browser.get("/library/api/page")).text
    own = [each.getMessage() for each in caplog.records if each.name.startswith(("kie_mcp", "uvicorn", "authlib"))]
    assert not [each for each in own if "eyJ" in each or "code=" in each]


async def test_after_an_hour_or_the_logout_a_person_logs_in_again(
    browser: httpx2.AsyncClient, settings: Settings
) -> None:
    await open_library(browser)
    form = read_form(await browser.get("/account"))
    told = await browser.post("/account/logout", data={"form": form})
    assert "You are logged out here" in told.text
    assert re.search(r'href="http://127\.0\.0\.1:\d+/session/end\?client_id=', told.text)
    for at_end in (False, True):
        refused = await browser.get("/library/api/items")
        assert (refused.status_code, refused.json()["account"]) == (401, "/account")
        assert (await browser.get("/library")).headers["location"].endswith("/account/login?to=%2Flibrary")
        assert (await browser.get("/account")).headers["location"].endswith("/account/login?to=%2Faccount")
        if not at_end:
            await open_library(browser)
            browser.cookies.set(COOKIE, make_older(settings, browser.cookies[COOKIE]), "127.0.0.1")


def make_older(settings: Settings, cookie: str) -> str:
    """Sign the content of a session's cookie as this server did an hour ago."""

    class Earlier(itsdangerous.TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - SESSION_SECONDS - 1

    login = Login(settings, Provider("", JumpingClock()), AccessTokens(Provider("", JumpingClock()), ""), "")
    sessions = login.keep_sessions(lambda *_: None)  # type: ignore[arg-type]
    assert isinstance(sessions, SessionMiddleware)
    return Earlier(sessions.signer.secret_keys[-1]).sign(cookie.split(".", maxsplit=1)[0]).decode()


async def test_a_cookie_that_was_changed_or_signed_with_another_secret_counts_for_nothing(
    browser: httpx2.AsyncClient,
) -> None:
    await open_library(browser)
    content, rest = browser.cookies[COOKIE].split(".", 1)
    session = json.loads(base64.b64decode(content))
    changed = base64.b64encode(json.dumps({**session, "tenant": "abcdefghijklmnopqrstuvwx"}).encode()).decode()
    signed = itsdangerous.TimestampSigner("another secret").sign(content).decode()
    for forged in (f"{changed}.{rest}", signed, content):
        browser.cookies.clear()
        browser.cookies.set(COOKIE, forged, "127.0.0.1")
        assert (await browser.get("/library/api/items")).status_code == 401


async def test_pages_that_begin_to_log_in_at_once_are_all_opened(browser: httpx2.AsyncClient) -> None:
    pages = [str(browser.base_url.join(path)) for path in ("/library", "/account", "/library", "/account")]
    end = str(browser.base_url.join("/account/callback"))
    begun = [(await browser.get((await browser.get(page)).headers["location"])).headers["location"] for page in pages]
    assert len(browser.cookies[COOKIE]) < 3500
    # Opened again, an end leads to a page, too, because somebody is logged in.
    for address, page in zip(begun, pages, strict=True):
        back = await log_in(browser, address, "ann", end)
        reached = [(await browser.get(back)).headers["location"] for _ in range(2)]
        assert reached == [page, pages[1]]


async def test_the_login_leads_to_pages_of_this_server_alone(browser: httpx2.AsyncClient) -> None:
    account = str(browser.base_url.join("/account"))
    for to in ("https://evil.example", "//evil.example", "/library/../x", "/mcp", "/library@evil.example"):
        # The last redirect is the one to the page of the account.
        assert await log_in(browser, f"{account}/login?to={to}", "ann", account) == account, to
        browser.cookies.clear()


async def test_who_may_only_look_changes_nothing_in_the_browser(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    app = App(settings, local_files=False, transport=transport, clock=clock)
    with run_provider(make_key("one"), forbidden=["kie:spend"]) as issuer:
        async with (
            serve_accounts(app, issuer) as url,
            httpx2.AsyncClient(base_url=url.removesuffix(PATH)) as browser,
        ):
            token = sign(make_key("one"), **claims_for(issuer, url))
            made = {"Authorization": f"Bearer {token}"}
            sent = await browser.post("/library/api/uploads?name=a.png", content=b"x", headers={**made, **FROM_PAGE})
            assert sent.json()["error"]["category"] == "invalid_call"
            await open_library(browser)
            assert (await browser.get("/library/api/items")).json() == {"items": []}
            refused = await browser.post("/library/api/uploads?name=a.png", content=b"x", headers=FROM_PAGE)
            assert refused.status_code == 403
            assert "kie:spend" in refused.json()["error"]["message"]


async def test_a_login_without_the_right_to_look_is_refused(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    app = App(settings, local_files=False, transport=transport, clock=clock)
    with run_provider(make_key("one"), forbidden=["kie:read"]) as issuer:
        async with (
            serve_accounts(app, issuer) as url,
            httpx2.AsyncClient(base_url=url.removesuffix(PATH)) as browser,
        ):
            back = await log_in(browser, url.replace(PATH, "/library"), "ann", url.replace(PATH, "/account/callback"))
            assert dict(parse_qsl(urlsplit(back).query))["code"]
            refused = await browser.get(back)
            assert (refused.status_code, "has not granted kie:read" in refused.text) == (400, True)
            assert (await browser.get("/library/api/items")).status_code == 401


async def test_without_an_id_at_the_provider_the_page_takes_a_token(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> None:
    app = App(settings, local_files=False, transport=transport, clock=clock)
    async with (
        serve_accounts(app, issuer, oidc_client_id="") as url,
        httpx2.AsyncClient(base_url=url.removesuffix(PATH)) as browser,
    ):
        assert (await browser.get("/library")).status_code == 200
        assert (await browser.get("/account")).status_code == 401
        assert "account" not in (await browser.get("/library/api/items")).json()
        token = sign(make_key("one"), **claims_for(issuer, url))
        found = await browser.get("/library/api/page", headers={"Authorization": f"Bearer {token}"})
        assert found.json()["account"] == ""


async def test_behind_https_the_cookie_goes_over_nothing_else(settings: Settings, issuer: str) -> None:
    more = settings.model_copy(update={"public_url": "https://kie.example", "oidc_client_id": "kie-mcp"})
    provider = Provider(issuer, JumpingClock())
    login = Login(more, provider, AccessTokens(provider, ""), "https://kie.example/mcp")
    transport = httpx2.ASGITransport(login.keep_sessions(Router(login.build_routes())))
    async with httpx2.AsyncClient(transport=transport, base_url="https://kie.example") as browser:
        begun = await browser.get("/account/login")
    assert begun.headers["set-cookie"].startswith("__Host-kie-mcp=")
    assert {"httponly", "secure", "samesite=lax", "path=/", f"max-age={SESSION_SECONDS}"} <= {
        each.strip().lower() for each in begun.headers["set-cookie"].split(";")
    }
    assert httpx2.URL(begun.headers["location"]).params["redirect_uri"] == "https://kie.example/account/callback"


async def test_a_login_counts_at_every_replica(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> None:
    app = App(settings, local_files=False, transport=transport, clock=clock)
    async with serve_accounts(app, issuer) as one, httpx2.AsyncClient(base_url=one.removesuffix(PATH)) as browser:
        replica = App(app.settings, local_files=False, transport=transport, clock=clock)
        async with serve_app(build_http_app(replica, host="127.0.0.1")) as two:
            begun = await browser.get("/account/login?to=/library")
            back = await log_in(
                browser, begun.headers["location"], "ann", f"{browser.base_url.join('/account/callback')}"
            )
            # The provider's answer reaches the other replica, and so does what follows.
            ended = await browser.get(back.replace(one.removesuffix(PATH), two.removesuffix(PATH)))
            assert ended.headers["location"] == browser.base_url.join("/library")
            for url in (two, one):
                assert (await browser.get(url.replace(PATH, "/library/api/items"))).json() == {"items": []}


@pytest.mark.on_postgresql
async def test_links_open_at_a_replica_that_never_saw_their_tenant_until_they_end(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    """Two replicas have the same secret; the second one learns of no tenant before it gets the link."""
    other = settings.model_copy(update={"tenant_secret": SecretStr("a secret of another server")})
    async with AsyncExitStack() as stack:
        one, two, three = [
            await stack.enter_async_context(serve_tenants(each, transport, clock))
            for each in (settings, settings, other)
        ]
        async with connect(one, "ann") as ann, visit(one, "ann") as http:
            made = answer(await ann.call_tool("z_image", {"prompt": "a fox"}))["task_id"]
            await ann.call_tool("get_task", {"task_ids": made, "wait_seconds": 60})
            (file,) = (await http.get(f"/library/api/tasks/{made}")).json()["files"]
        nobody = await stack.enter_async_context(visit(two, "nobody"))
        stranger = await stack.enter_async_context(visit(three, "nobody"))
        for link in (file["url"], file["thumbnail"]):
            shown = await nobody.get(link)
            assert (shown.status_code, shown.headers["content-type"][:6]) == (200, "image/")
            assert (await nobody.get(link.replace("tenant=ann", "tenant=bob"))).status_code == 403
            assert (await stranger.get(link)).status_code == 403
        # The replica opens all that the tenant needs when the tenant itself comes, and goes on to open links.
        async with connect(two, "ann") as ann:
            assert made in str(answer(await ann.call_tool("library", {})))
        assert (await nobody.get(file["url"])).status_code == 200
        clock.now += 2 * DAY
        assert (await nobody.get(file["url"])).status_code == 403
