"""From the first refusal to a tool call: the SDK's client, a real provider, this server."""

import logging

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.accounts import Memory, claims_for, connect_account, make_key, needs_provider, sign
from support.answers import answer

from kie_mcp.sandbox.app import Sandbox

pytestmark = [pytest.mark.anyio, needs_provider]


METADATA = "/.well-known/oauth-protected-resource"


async def test_a_client_logs_a_person_in_and_makes_a_picture(
    accounts_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    memory, asked = Memory(), list[str]()
    async with connect_account(accounts_url, "ann", memory=memory, asked=asked) as client:
        made = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
        assert made["status"] == "succeeded"
    assert [each.split() for each in asked] == [["kie:read", "kie:spend", "offline_access"]]
    assert memory.tokens
    told = [each.getMessage() for each in caplog.records if each.name.startswith(("kie_mcp", "mcp.server", "uvicorn"))]
    assert [each for each in told if memory.tokens.access_token in each] == []


async def test_metadata_is_where_clients_look_for_it_and_browsers_may_read_it(accounts_url: str, issuer: str) -> None:
    async with httpx2.AsyncClient() as http:
        refused = await http.post(accounts_url)
        address = str(httpx2.URL(accounts_url).join(f"{METADATA}/mcp"))
        assert f'resource_metadata="{address}"' in refused.headers["www-authenticate"]
        assert 'scope="kie:read kie:spend"' in refused.headers["www-authenticate"]
        for place in (address, str(httpx2.URL(accounts_url).join(METADATA))):
            described = await http.get(place, headers={"origin": "https://claude.ai"})
            assert described.headers["access-control-allow-origin"] == "*"
            assert described.json() == {
                "resource": accounts_url,
                "authorization_servers": [issuer],
                "scopes_supported": ["kie:read", "kie:spend"],
                "bearer_methods_supported": ["header"],
                "resource_name": "kie-mcp",
            }
            asking = {"origin": "https://claude.ai", "access-control-request-method": "GET"}
            asking["access-control-request-headers"] = "mcp-protocol-version"
            assert (await http.options(place, headers=asking)).status_code == 200


async def test_probes_need_no_token_and_all_else_does(accounts_url: str) -> None:
    async with httpx2.AsyncClient(base_url=str(httpx2.URL(accounts_url).join("/"))) as http:
        assert (await http.get("/healthz")).status_code == 200
        for method, path in (("GET", "/mcp"), ("POST", "/uploads"), ("GET", "/library/api/items")):
            assert (await http.request(method, path)).status_code == 401, path


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_client_without_the_scope_reads_and_pays_for_nothing(
    accounts_url: str, issuer: str, sandbox: Sandbox, era: str
) -> None:
    token = sign(make_key("one"), **claims_for(issuer, accounts_url, scope="kie:read"))
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(accounts_url, http_client=http), mode=era) as client,
    ):
        assert "credits" in answer(await client.call_tool("get_credits"))
        assert answer(await client.call_tool("nano_banana_image", {"prompt": "a fox", "quote": True}))
    assert sandbox.accepted == []
