"""A person without a KIE key: a client that opens URLs shows the page for it, and others tell its address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp_types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult
from support.accounts import claims_for, log_in, make_key, needs_provider, read_form, serve_people, sign
from support.answers import answer
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.http import PATH

pytestmark = [pytest.mark.anyio, needs_provider]
KEY = "kie-0123456789abcdef"


@pytest.fixture
def sandbox(clock: JumpingClock) -> Sandbox:
    """A KIE that knows one key."""
    return Sandbox(key=KEY, clock=clock.time)


@pytest.fixture
async def url(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> AsyncIterator[str]:
    async with serve_people(settings, transport, clock, issuer) as address:
        yield address


class User:
    """Opens each page that a client shows, and stores a KIE key there if `stores` is true."""

    def __init__(self, *, stores: bool) -> None:
        self.stores = stores
        self.shown: list[ElicitRequestParams] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        self.shown.append(params)
        assert isinstance(params, ElicitRequestURLParams)
        if self.stores:
            await store_key(params.url)
        return ElicitResult(action="accept")


async def store_key(page: str) -> None:
    async with httpx2.AsyncClient() as browser:
        await log_in(browser, page, "ann", page)
        form = read_form(await browser.get(page))
        assert "Your key is stored" in (await browser.post(page, data={"form": form, "key": KEY})).text


@asynccontextmanager
async def connect(url: str, issuer: str, era: str, user: User | None) -> AsyncIterator[Client]:
    token = sign(make_key("one"), **claims_for(issuer, url))
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
        Client(streamable_http_client(url, http_client=http), mode=era, elicitation_callback=user) as client,
    ):
        yield client


async def test_a_client_of_today_opens_the_page_and_the_same_call_goes_on(url: str, issuer: str) -> None:
    user = User(stores=True)
    async with connect(url, issuer, "auto", user) as client:
        assert answer(await client.call_tool("get_credits"))["credits"] == 1000
        assert (await client.read_resource("kie://credits")).contents
    (asked,) = user.shown
    assert isinstance(asked, ElicitRequestURLParams)
    assert asked.url == url.replace(PATH, "/account")


async def test_a_page_that_was_opened_and_left_is_not_shown_again_for_the_same_call(url: str, issuer: str) -> None:
    user = User(stores=False)
    async with connect(url, issuer, "auto", user) as client:
        told = answer(await client.call_tool("get_credits"))
        assert url.replace(PATH, "/account") in told["error"]["next_step"]
        with pytest.raises(MCPError, match="/account"):
            await client.read_resource("kie://credits")
    assert len(user.shown) == 2


async def test_an_earlier_client_gets_the_page_as_the_error_for_it(url: str, issuer: str) -> None:
    async with connect(url, issuer, "legacy", User(stores=False)) as client:
        assert (await client.list_tools()).tools
        with pytest.raises(MCPError) as refused:
            await client.read_resource("kie://credits")
        with pytest.raises(MCPError) as again:
            await client.call_tool("get_credits")
        pages = [UrlElicitationRequiredError.from_error(each.value.error).elicitations for each in (refused, again)]
        (asked, other) = [page for shown in pages for page in shown]
        assert asked.url == other.url == url.replace(PATH, "/account")
        assert asked.elicitation_id != other.elicitation_id
        await store_key(asked.url)
        assert answer(await client.call_tool("get_credits"))["credits"] == 1000


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_client_that_opens_no_urls_gets_the_address_as_text(url: str, issuer: str, era: str) -> None:
    async with connect(url, issuer, era, None) as client:
        told = answer(await client.call_tool("get_credits"))
        assert url.replace(PATH, "/account") in told["error"]["next_step"]
