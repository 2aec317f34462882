"""The HTTP transport: both eras of the protocol, bearer token, DNS rebinding."""

import re
import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent
from support.answers import answer
from support.servers import serve_app

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.http import build_http_app
from kie_mcp.server.listener import configure, open_port
from kie_mcp.server.listener import listen as listen_on
from kie_mcp.server.selection import Selection

pytestmark = pytest.mark.anyio

SHOWN = len(Selection().tools)
TOKEN = "a long random text"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
JSON = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def remote(settings: Settings, transport: httpx2.ASGITransport, clock: Clock) -> App:
    """An app whose callers sit elsewhere."""
    return App(settings, local_files=False, transport=transport, clock=clock)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_both_eras_are_served_over_http(remote: App, era: Any) -> None:
    told: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert total == 1
        assert message
        told.append(progress)

    async with serve_app(build_http_app(remote, host="127.0.0.1")) as url, Client(url, mode=era) as client:
        assert len((await client.list_tools()).tools) == SHOWN
        made = await client.call_tool("nano_banana_image", {"prompt": "a fox"}, progress_callback=listen)
        assert answer(made)["status"] == "succeeded"
        assert told
        assert told == sorted(told)
        assert (await client.read_resource("kie://credits")).contents
        assert (await client.call_tool("nano_banana_image")).is_error


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_both_eras_are_served_in_memory(app: App, era: Any) -> None:
    async with Client(build_server(app), mode=era, raise_exceptions=True) as client:
        assert len((await client.list_tools()).tools) == SHOWN
        assert answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["status"] == "succeeded"
        assert (await client.read_resource("kie://credits")).contents
        assert client.instructions is not None
        assert "get_task" in client.instructions
        assert client.server_info is not None
        assert client.server_info.name == "kie-mcp"
        assert client.server_info.website_url == "https://kie.ai"
        assert client.server_info.icons
        assert client.server_info.icons[0].src.startswith("data:image/svg+xml;base64,")
        # The SDK sends all this along with every answer.
        assert len(client.server_info.model_dump_json()) < 600


async def test_a_task_outlives_the_connection_that_asked_for_it(remote: App) -> None:
    async with serve_app(build_http_app(remote, host="127.0.0.1")) as url:
        async with Client(url, mode="legacy") as client:
            made = answer(await client.call_tool("kling_video", {"prompt": "a fox"}))
        async with Client(url) as client:
            given = {"task_ids": made["task_id"], "wait_seconds": 60}
            assert answer(await client.call_tool("get_task", given))["status"] == "succeeded"


async def test_a_caller_elsewhere_gets_each_address_of_a_file_once(remote: App) -> None:
    compared = {"prompt": "a fox", "models": ["z-image", "nano-banana-2"], "max_credits": 50}
    async with Client(build_server(remote)) as client:
        told = [await client.call_tool("nano_banana_image", {"prompt": "a fox"})]
        told.append(await client.call_tool("compare_models", compared))
        ids = [row["task_id"] for row in answer(told[1])["models"]]
        told += [await client.call_tool("get_task", {"task_ids": given}) for given in (ids, ids[0])]
    for result in told:
        block = result.content[0]
        assert isinstance(block, TextContent)
        addresses = re.findall(r"kie://\S+", block.text)
        assert addresses
        assert len(addresses) == len(set(addresses))


async def test_files_of_the_server_s_machine_are_not_for_callers_elsewhere(
    remote: App, sandbox: Sandbox, tmp_path: Path
) -> None:
    picture = tmp_path / "fox.png"
    picture.write_bytes(render_file("fox.png", MediaContent("a fox", "1")))
    async with serve_app(build_http_app(remote, host="127.0.0.1")) as url, Client(url) as client:
        for tool, given in (
            ("upload_file", {"path": str(picture)}),
            ("recraft_remove_background", {"image": str(picture)}),
            ("recraft_remove_background", {"image": f"file://{picture}"}),
        ):
            refused = await client.call_tool(tool, given)
            assert "This server reads no local files." in answer(refused)["error"]["message"]
    assert sandbox.accepted == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_an_address_that_others_can_reach_needs_a_token(remote: App, host: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build_http_app(remote, host=host)
    assert "KIE_MCP_HTTP_TOKEN" in refused.value.next_step
    assert callable(build_http_app(remote, host=host, token=TOKEN))


@pytest.mark.parametrize("token", ["q7", "fifteen charact"])
def test_a_token_that_can_be_guessed_is_refused_where_others_can_reach_it(remote: App, token: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{len(token)} characters can be guessed") as refused:
        build_http_app(remote, host="0.0.0.0", token=token)
    assert token not in refused.value.next_step
    assert callable(build_http_app(remote, host="127.0.0.1", token=token))
    assert callable(build_http_app(remote, host="0.0.0.0", token=f"{token}, sixteen and more"))


def test_a_port_in_use_is_named_with_what_to_do(remote: App) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 cannot be opened") as refused:
            listen_on(build_http_app(remote, host="127.0.0.1"), "127.0.0.1", port, print)
    assert "--port" in refused.value.next_step


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "localhost", "::1"])
def test_an_address_of_this_machine_alone_needs_none(remote: App, host: str) -> None:
    assert callable(build_http_app(remote, host=host))


async def test_a_token_is_asked_for(remote: App) -> None:
    cases = [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"BEARER  {TOKEN}", 200),
        (f"Bearer{TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        (None, 401),
    ]
    async with (
        serve_app(build_http_app(remote, host="0.0.0.0", token=TOKEN)) as url,
        httpx2.AsyncClient(headers=JSON) as http,
    ):
        for authorization, code in cases:
            headers = {"Authorization": authorization} if authorization else {}
            response = await http.post(url, json=PING, headers=headers)
            assert response.status_code == code, authorization
            if code == 401:
                assert response.headers["WWW-Authenticate"] == "Bearer", authorization
                assert response.json() == {"error": "unauthorized"}, authorization


async def test_two_tokens_are_refused(remote: App) -> None:
    async with (
        serve_app(build_http_app(remote, host="0.0.0.0", token=TOKEN)) as url,
        httpx2.AsyncClient(headers=JSON) as http,
    ):
        for other in (f"Bearer {TOKEN}", "Bearer another", ""):
            headers = [("Authorization", other), ("Authorization", f"Bearer {TOKEN}")]
            assert (await http.post(url, json=PING, headers=headers)).status_code == 401, other


async def test_a_client_with_the_token_is_served(remote: App) -> None:
    async with (
        serve_app(build_http_app(remote, host="0.0.0.0", token=TOKEN)) as url,
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        assert len((await client.list_tools()).tools) == SHOWN


NAMES: dict[str, list[tuple[dict[str, str], int]]] = {
    "127.0.0.1": [
        ({}, 200),
        ({"Host": "localhost:8765"}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:8765"}, 421),
        ({"Host": "127.0.0.5:8765"}, 421),
        ({"Host": "localhost:evil.example"}, 421),
        ({"Host": "localhost:80@evil.example"}, 421),
        ({"Host": "localhost:8765:80"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": "localhostx"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "LOCALHOST:8765"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Origin": "http://localhost:3000.evil.example"}, 403),
        ({"Origin": "http://localhost:evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://evil.example#http://localhost"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
    "127.0.0.5": [({"Host": "127.0.0.5:8765"}, 200), ({"Host": "evil.example"}, 421)],
    "::1": [({"Host": "[::1]:8765"}, 200)],
}


@pytest.mark.parametrize("listening", NAMES)
async def test_a_web_page_cannot_reach_the_server_through_a_name_of_its_own(remote: App, listening: str) -> None:
    async with serve_app(build_http_app(remote, host=listening)) as url, httpx2.AsyncClient() as http:
        for headers, code in NAMES[listening]:
            response = await http.post(url, json=PING, headers=JSON | headers)
            assert response.status_code == code, headers


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_piece_of_an_answer_waits_for_an_acknowledgement(host: str) -> None:
    with open_port(host, 0, 10) as bound, socket.create_connection(bound.getsockname()[:2]):
        connection, _ = bound.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_idle_connection_is_kept_for_longer_than_by_nginx(remote: App) -> None:
    assert configure(build_http_app(remote, host="127.0.0.1")).timeout_keep_alive > 60
