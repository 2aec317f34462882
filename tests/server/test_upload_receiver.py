"""Files that callers elsewhere send over HTTP."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.answers import answer
from support.ledgers import change_rows
from support.runners import full_disk
from support.servers import break_off, serve_app

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.errors import InvalidCall
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server.app import App
from kie_mcp.server.http import PATH, build_http_app
from kie_mcp.server.upload_receiver import MAX_BYTES
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.upload_command import build_upload_command

pytestmark = pytest.mark.anyio
TOKEN = "a long random text"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
PICTURE = render_file("fox.png", MediaContent("a fox", "1"))


@asynccontextmanager
async def serve(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, *, token: str = TOKEN
) -> AsyncIterator[str]:
    app = App(settings, local_files=False, transport=transport, clock=clock)
    async with serve_app(build_http_app(app, host="127.0.0.1", token=token)) as url:
        yield url


async def send(url: str, content: Any, headers: dict[str, str] | None = None) -> httpx2.Response:
    async with httpx2.AsyncClient(headers=AUTHORIZATION if headers is None else headers) as http:
        return await http.post(url.removesuffix(PATH) + "/uploads?name=fox.png", content=content)


async def test_a_file_that_was_sent_can_be_given_to_a_tool(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, sandbox: Sandbox
) -> None:
    async with serve(settings, transport, clock) as url:
        sent = await send(url, PICTURE)
        assert sent.status_code == 201
        async with (
            httpx2.AsyncClient(headers=AUTHORIZATION) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            made = await client.call_tool("recraft_remove_background", {"image": sent.json()["resource"]})
        assert answer(made)["status"] == "succeeded"
    assert sandbox.accepted[0].body["input"]["image"] == sent.json()["url"]


async def test_an_equal_file_is_sent_to_kie_once(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    async with serve(settings, transport, clock) as url:
        assert (await send(url, PICTURE)).json() == (await send(url, PICTURE)).json()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer another text"}])
async def test_nobody_sends_a_file_without_the_token(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, headers: dict[str, str]
) -> None:
    async with serve(settings, transport, clock) as url:
        assert (await send(url, PICTURE, headers)).status_code == 401


async def test_a_web_page_cannot_send_a_file_to_a_server_without_a_token(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    async with serve(settings, transport, clock, token="") as url:
        assert (await send(url, PICTURE, {"Origin": "https://evil.example"})).status_code == 403
        assert (await send(url, PICTURE, {"Host": "evil.example"})).status_code == 421
        assert (await send(url, PICTURE, {})).status_code == 201


@pytest.mark.parametrize("content", [b"", b"just a text", PICTURE[: len(PICTURE) // 2]], ids=["empty", "text", "half"])
async def test_what_is_no_media_file_is_refused(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, content: bytes
) -> None:
    async with serve(settings, transport, clock) as url:
        refused = await send(url, content)
    assert refused.status_code == 400
    assert refused.json()["error"]["category"] == "invalid_call"
    assert refused.json()["error"]["next_step"]


async def test_a_command_with_a_wrong_path_is_told_that_nothing_was_sent(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    async with serve(settings, transport, clock) as url:
        refused = await send(url, b"")
    assert refused.json()["error"]["message"] == "No file arrived."
    assert "path" in refused.json()["error"]["next_step"]


async def test_a_file_that_is_too_large_is_refused(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    def pieces() -> Iterator[bytes]:
        yield PICTURE
        for _ in range(MAX_BYTES // 1_000_000):
            yield bytes(1_000_000)

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    async with serve(settings, transport, clock) as url:
        refused = await send(url, stream())
    assert refused.status_code == 400
    assert "at most 100 MB" in refused.json()["error"]["message"]


async def test_a_file_that_its_sender_breaks_off_leaves_no_error_in_the_log(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(settings, transport, clock) as url:
        await break_off(url.removesuffix(PATH) + "/uploads?name=fox.png", AUTHORIZATION)
    assert not [each for each in caplog.records if each.exc_info]


async def test_a_server_that_cannot_be_opened_says_so(
    transport: httpx2.ASGITransport, clock: Clock, keyless: Settings
) -> None:
    async with serve(keyless, transport, clock) as url:
        refused = await send(url, PICTURE)
    assert refused.status_code == 503
    assert "KIE_API_KEY" in refused.json()["error"]["next_step"]


async def test_a_file_that_finds_no_room_on_the_disk_is_refused_with_a_reason(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    async with serve(settings, transport, clock) as url:
        assert (await send(url, PICTURE)).status_code == 201
        with full_disk():
            refused = await send(url, PICTURE)
    assert refused.status_code == 503
    assert refused.json()["error"]["message"].startswith("The server cannot store the file")
    assert refused.json()["error"]["retryable"]


async def test_a_file_that_the_ledger_cannot_record_is_refused_with_a_reason(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    async with serve(settings, transport, clock) as url:
        assert (await send(url, PICTURE)).status_code == 201
        change_rows(settings.state_dir, "DROP TABLE uploads")
        refused = await send(url, PICTURE)
    assert refused.status_code == 503
    assert refused.json()["error"]["message"].startswith("The ledger cannot be used")


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/home/ann/fox.png", "@/home/ann/fox.png 'https://me.example/kie/uploads?name=fox.png'"),
        ("'/home/ann/my fox.png'", "'@/home/ann/my fox.png' 'https://me.example/kie/uploads?name=my%20fox.png'"),
        ("file:///home/ann/my%20fox.png", "'@/home/ann/my fox.png' 'https://me.example/kie/uploads?name=my%20fox.png'"),
        ("C:\\Users\\ann\\fox.png", "'@C:\\Users\\ann\\fox.png' 'https://me.example/kie/uploads?name=fox.png'"),
        ("/a/$(reboot).png", "'@/a/$(reboot).png' 'https://me.example/kie/uploads?name=%24%28reboot%29.png'"),
    ],
)
def test_the_refusal_of_a_local_path_says_how_to_send_the_file(path: str, command: str) -> None:
    folders = AllowedFolders(build_command=partial(build_upload_command, url="https://me.example/kie/"))
    with pytest.raises(InvalidCall) as refused, folders.open(path):
        pass
    wanted = f"curl -H 'Authorization: Bearer TOKEN' --data-binary {command} and pass the `resource`"
    assert wanted in refused.value.next_step


def test_a_command_has_no_path_that_cannot_be_one() -> None:
    assert "--data-binary @FILE 'ADDRESS-OF-THIS-SERVER/uploads?name=FILE'" in build_upload_command("a" * 5000, "")
