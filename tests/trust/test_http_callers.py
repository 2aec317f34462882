"""What callers over HTTP, and other users of the server's machine, may try."""

import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from mcp import Client
from mcp.shared.exceptions import MCPError
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from support.answers import answer
from support.clock import JumpingClock
from support.servers import serve_app

from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server.access_token import FILE, SHORTEST, read_or_make_token
from kie_mcp.server.app import App
from kie_mcp.server.http import build_http_app
from kie_mcp.server.listener import BODY_SECONDS, HEADER_SECONDS, TimedProtocol

pytestmark = pytest.mark.anyio

PICTURE = render_file("fox.png", MediaContent("a fox", "1"))
REQUEST = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n"


class Impatient(TimedProtocol):
    """The protocol of the server, with the least time for headers and bodies."""

    header_seconds = body_seconds = 0.05


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body; the lifespan of the server is none of this application's business."""
    if scope["type"] == "http":
        message = await receive()
        while message["type"] == "http.request" and message["more_body"]:
            message = await receive()
        await PlainTextResponse("heard")(scope, receive, send)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[SocketStream]:
    parts = httpx2.URL(url)
    async with await anyio.connect_tcp(parts.host, parts.port or 80) as stream:
        yield stream


async def read_to_the_end(stream: SocketStream) -> bytes:
    """Return what the server sends until it ends the connection."""
    heard = b""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            heard += await stream.receive()
    return heard


def test_headers_have_ten_seconds_and_bodies_a_minute() -> None:
    assert (HEADER_SECONDS, BODY_SECONDS) == (10, 60)
    assert (TimedProtocol.header_seconds, TimedProtocol.body_seconds) == (10, 60)


HALF_SENT = {
    "nothing": [],
    "a letter": [b"P"],
    "half of the headers": [REQUEST],
    "drop by drop": [bytes([each]) for each in REQUEST],
    "no body": [REQUEST + b"\r\n"],
    "half of the body": [REQUEST + b"\r\n12345"],
    "half of the headers after an answer": [REQUEST + b"\r\n1234567890", REQUEST],
}


@pytest.mark.parametrize("sent", HALF_SENT.values(), ids=HALF_SENT)
async def test_a_connection_whose_request_does_not_come_is_ended(sent: list[bytes]) -> None:
    async with serve_app(echo, Impatient) as url, connect(url) as stream:
        with anyio.fail_after(60):
            with suppress(anyio.BrokenResourceError):
                for each in sent:
                    await stream.send(each)
                    if each.endswith(b"1234567890"):
                        assert b"200 OK" in await stream.receive()
            await read_to_the_end(stream)


async def test_a_caller_without_the_token_cannot_hold_a_connection_with_its_body(
    settings: Settings, clock: JumpingClock
) -> None:
    app = App(settings, local_files=False, clock=clock)
    served = build_http_app(app, host="0.0.0.0", token="t" * SHORTEST)
    async with serve_app(served, Impatient) as url, connect(url) as stream:
        await stream.send(REQUEST + b"\r\n12345")
        with anyio.fail_after(60):
            assert b"401 Unauthorized" in await read_to_the_end(stream)


CHUNK = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
TOO_MUCH = {
    "announced": [b"Content-Length: 600000000\r\n\r\n"],
    "in chunks": [b"Transfer-Encoding: chunked\r\n\r\n", *[CHUNK] * 4, b"1\r\n \r\n"],
}


@pytest.mark.parametrize("sent", TOO_MUCH.values(), ids=TOO_MUCH)
async def test_a_body_over_4_mib_is_refused_before_it_is_read_to_its_end(elsewhere: App, sent: list[bytes]) -> None:
    async with serve_app(build_http_app(elsewhere, host="127.0.0.1")) as url, connect(url) as stream:
        await stream.send(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
        with anyio.fail_after(60):
            for each in sent:
                await stream.send(each)
            assert b" 413 " in await stream.receive()


async def test_a_caller_that_hangs_up_within_its_body_leaves_no_trace_in_the_log(
    elsewhere: App, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serve_app(build_http_app(elsewhere, host="127.0.0.1")) as url:
        async with connect(url) as stream:
            await stream.send(REQUEST + b"Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n")
            # The server says so when it waits for the body.
            assert b"100 Continue" in await stream.receive()
            await stream.send(b"12345")
        async with httpx2.AsyncClient(timeout=60) as http:
            assert (await http.put(url)).status_code == 405
    assert capfd.readouterr().err == ""


async def test_a_request_that_came_in_time_may_be_answered_slowly() -> None:
    async def think(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await receive()
            async with await anyio.connect_tcp("127.0.0.1", scope["server"][1]) as other:
                # Until the server has ended the connection that says nothing, its time for headers has passed.
                await read_to_the_end(other)
            await PlainTextResponse("heard")(scope, receive, send)

    async with serve_app(think, Impatient) as url, httpx2.AsyncClient(timeout=60) as http:
        assert (await http.post(url, content=b"hello")).text == "heard"


def test_the_token_is_made_once_and_only_its_user_can_read_it(tmp_path: Path) -> None:
    token, place = read_or_make_token(tmp_path / "data")
    assert len(token) >= 40
    assert place == tmp_path / "data" / FILE
    assert place.stat().st_mode & 0o777 == 0o600
    assert read_or_make_token(tmp_path / "data") == (token, place)
    assert read_or_make_token(tmp_path / "other")[0] != token
    assert [each.name for each in place.parent.iterdir()] == [FILE]


def test_servers_that_start_at_once_agree_on_one_complete_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as servers:
        for number in range(25):
            folders = [tmp_path / str(number)] * 16
            assert len(set(servers.map(read_or_make_token, folders))) == 1
            assert [each.name for each in folders[0].iterdir()] == [FILE]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_cannot_read_the_token(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    for each in (folder, *folder.parents):
        if each != Path("/"):
            each.chmod(each.stat().st_mode | 0o055)
    token, place = read_or_make_token(folder)
    (folder / "open.txt").write_text("open", encoding="utf-8")
    read, seen = (
        subprocess.run(["/bin/cat", each], user="nobody", group=65534, capture_output=True, text=True, check=False)
        for each in (place, folder / "open.txt")
    )
    assert seen.stdout == "open"
    assert read.returncode != 0
    assert token not in read.stdout + read.stderr


@pytest.mark.parametrize("planted", ["short", "", "x" * SHORTEST + "\n" + "y", "ä" * SHORTEST, "readable", "link"])
def test_a_token_file_that_somebody_else_may_have_made_or_read_is_refused(tmp_path: Path, planted: str) -> None:
    place = tmp_path / FILE
    if planted == "link":
        (tmp_path / "theirs").write_text("t" * SHORTEST, encoding="utf-8")
        (tmp_path / "theirs").chmod(0o600)
        place.symlink_to(tmp_path / "theirs")
    else:
        place.write_text("t" * SHORTEST if planted == "readable" else planted, encoding="utf-8")
        place.chmod(0o644 if planted == "readable" else 0o600)
    with pytest.raises(ConfigurationError, match=str(place)) as refused:
        read_or_make_token(tmp_path)
    assert "Delete it" in refused.value.next_step


def test_a_folder_in_place_of_the_token_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigurationError, match=FILE):
        read_or_make_token(tmp_path)


@pytest.fixture
def elsewhere(settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, tmp_path: Path) -> App:
    """A server whose callers sit elsewhere, and whose folders have blanks and other scripts in their names."""
    folders = {"data_dir": tmp_path / "the data", "output_dir": tmp_path / "Ausgabe – 出力", "links": True}
    return App(settings.model_copy(update=folders), local_files=False, transport=transport, clock=clock)


CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("nano_banana_image", {"prompt": "a fox"}),
    ("suno_music", {"prompt": "a song"}),
    ("compare_models", {"prompt": "a fox", "models": ["google/nano-banana", "z-image"], "max_credits": 100}),
    ("library", {}),
    ("list_tasks", {}),
    ("upload_file", {"path": "/etc/passwd.png"}),
    ("recraft_remove_background", {"image": "~/fox.png"}),
    ("find_models", {"query": "fox"}),
    ("spend_report", {}),
    ("get_credits", {}),
    ("view_media", {"task_id": "t_nothing"}),
)


async def collect_answers(client: Client) -> list[str]:
    """Return every kind of answer as the JSON that the client gets."""
    heard = []
    tasks: list[str] = []
    for tool, arguments in CALLS:
        made = await client.call_tool(tool, arguments)
        heard.append(made.model_dump_json())
        if id_ := (made.structured_content or {}).get("task_id"):
            tasks.append(id_)
    for id_ in tasks:
        for tool, arguments in (
            ("get_task", {"task_ids": id_, "wait_seconds": 60}),
            ("view_media", {"task_id": id_}),
            ("gallery_task", {"task_id": id_, "preview": [1]}),
            ("recraft_remove_background", {"image": f"task:{id_}#1"}),
        ):
            heard.append((await client.call_tool(tool, arguments)).model_dump_json())
    for uri in (
        *("kie://tasks", "kie://library", "kie://uploads", "kie://credits", f"kie://tasks/{tasks[0]}"),
        *(f"kie://tasks/{tasks[0]}/media/1", f"kie://tasks/{tasks[0]}/media/9"),
    ):
        try:
            heard.append((await client.read_resource(uri)).model_dump_json())
        except MCPError as error:
            heard.append(json.dumps([error.error.message, error.error.data], ensure_ascii=False))
    return heard


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_no_answer_over_http_holds_a_path_of_the_server(elsewhere: App, tmp_path: Path, era: Any) -> None:
    async with serve_app(build_http_app(elsewhere, host="127.0.0.1")) as url, Client(url, mode=era) as client:
        heard = await collect_answers(client)
        library = answer(await client.call_tool("library", {"kind": "image"}))
        assert "local path" not in (client.instructions or "")
    assert [each for each in heard if str(tmp_path) in each or str(Path.home()) in each] == []
    assert any('"resource":"kie://tasks/' in each and '"url":"https://' in each for each in heard)
    assert all(re.fullmatch(r"kie://tasks/t_\w+/media/\d+", each) for row in library["made"] for each in row["files"])
    sidecars = list(elsewhere.settings.output_dir.glob("*.json"))
    assert sidecars


@pytest.mark.parametrize("broken", ["saved file", "output folder", "ledger"])
async def test_no_error_over_http_holds_a_path_of_the_server(elsewhere: App, tmp_path: Path, broken: str) -> None:
    if broken == "ledger":
        (tmp_path / "the data").write_text("in the way", encoding="utf-8")
    elif broken == "output folder":
        elsewhere.settings.output_dir.write_text("in the way", encoding="utf-8")
    async with serve_app(build_http_app(elsewhere, host="127.0.0.1")) as url, Client(url) as client:
        made = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
        heard = [made.model_dump_json()]
        if id_ := answer(made).get("task_id"):
            for saved in elsewhere.settings.output_dir.glob("*"):
                saved.unlink()
            for tool, arguments in (
                ("get_task", {"task_ids": id_}),
                ("view_media", {"task_id": id_}),
                ("recraft_remove_background", {"image": f"task:{id_}#1"}),
            ):
                heard.append((await client.call_tool(tool, arguments)).model_dump_json())
        with pytest.raises(MCPError) as refused:
            await client.read_resource(f"kie://tasks/{id_ or 't_1'}/media/1")
        heard.append(json.dumps([refused.value.error.message, refused.value.error.data], ensure_ascii=False))
    assert [each for each in heard if str(tmp_path) in each] == []


async def test_a_refused_upload_holds_no_path_of_the_server(elsewhere: App, tmp_path: Path) -> None:
    (tmp_path / "the data").write_text("in the way", encoding="utf-8")
    served = build_http_app(elsewhere, host="127.0.0.1")
    async with serve_app(served) as url, httpx2.AsyncClient() as http:
        refused = await http.post(url.replace("/mcp", "/uploads?name=a.png"), content=PICTURE)
    assert refused.status_code == 503
    assert str(tmp_path) not in refused.text


@pytest.mark.parametrize("host", ["127.0.0.1:1", "db.invalid"])
async def test_no_error_over_http_tells_where_the_database_is(
    settings: Settings, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = SecretStr(f"postgresql://anns-user:secret@{host}/anns-database")
    app = App(settings.model_copy(update={"database_url": url}), local_files=False)
    async with serve_app(build_http_app(app, host="127.0.0.1")) as address:
        async with Client(address) as client:
            told = (await client.call_tool("list_tasks", {})).model_dump_json()
        async with httpx2.AsyncClient() as http:
            told += (await http.post(address.replace("/mcp", "/uploads?name=a.png"), content=PICTURE)).text
    assert told.count("database cannot be used") >= 2
    assert not [secret for secret in (host, "127.0.0.1", "anns-user", "anns-database", "secret") if secret in told]
    # The operator is told.
    assert host.partition(":")[0] in caplog.text


async def test_http_errors_hold_neither_a_path_nor_the_token(elsewhere: App, tmp_path: Path) -> None:
    token = "a token that nobody guesses"
    served = build_http_app(elsewhere, host="0.0.0.0", token=token)
    async with serve_app(served) as url, httpx2.AsyncClient(timeout=60) as http:
        right, wrong = {"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer {token}x"}
        answers = [
            await http.post(url, headers=wrong, content=b"{}"),
            await http.post(url, headers=right, content=b"{}"),
            await http.post(url, headers=right | {"Content-Type": "application/json"}, content=b"{"),
            await http.post(url, headers=right | {"Content-Type": "application/json"}, content=b'{"jsonrpc": "2.0"}'),
            await http.get(f"{url}/{tmp_path}", headers=right),
            await http.put(url, headers=right),
        ]
    for each in answers:
        assert each.status_code >= 400
        assert token not in f"{each.headers}{each.text}"
        assert str(Path(__file__).parents[2]) not in each.text
        assert str(tmp_path) not in each.text
