import base64
import errno
import gzip
import os
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from support.cases import for_each
from support.clock import JumpingClock
from support.fake_kie import envelope

from kie_mcp import disk
from kie_mcp.errors import DamagedFile, InvalidCall
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger.task import Result, Task
from kie_mcp.media import midi
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server import answers
from kie_mcp.tasks import partial_files
from kie_mcp.tasks.download_slots import CONCURRENT_DOWNLOADS_PER_HOST
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.storage import FolderStorage

pytestmark = pytest.mark.anyio

KIE = "https://kie.test"
NOON = 1_800_014_400.0
PICTURE = render_file("1.png", MediaContent("a heron", "1"))


class Host:
    """A host of results, trusted as KIE itself."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.contents: dict[str, tuple[bytes, str]] = {}
        self.now = self.most = 0
        self.crowded = anyio.Event()
        self.fresh = ""
        """The link that KIE gives in place of any other; without it, KIE says that the file is none of its own."""
        self.answers: list[Response] = []
        """The answers of `/scripted`, in order."""
        routes = [
            Route(DOCUMENTED.download_url, self.renew, methods=["POST"]),
            Route("/scripted", self.answer_as_scripted),
            Route("/silent", self.say_nothing),
            Route("/redirect", self.redirect),
            Route("/crowd/{n}", self.crowd),
            Route("/{name:path}", self.answer),
        ]
        self.transport = httpx2.ASGITransport(Starlette(routes=routes))

    async def answer(self, request: Request) -> Response:
        self.asked.append(request)
        content, declared = self.contents.get(request.path_params["name"], (b"", "404"))
        return Response(content, 404 if declared == "404" else 200, {"content-type": declared} if declared else {})

    async def renew(self, _: Request) -> Response:
        return envelope(200, data=self.fresh) if self.fresh else envelope(422, "not a file of ours")

    async def answer_as_scripted(self, request: Request) -> Response:
        self.asked.append(request)
        return self.answers.pop(0)

    async def say_nothing(self, _: Request) -> Response:
        await anyio.sleep_forever()
        raise AssertionError

    async def redirect(self, request: Request) -> Response:
        self.asked.append(request)
        return RedirectResponse(request.query_params.get("to", "/redirect"))

    async def crowd(self, _: Request) -> Response:
        """Answer only once as many have asked as are allowed to."""
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == CONCURRENT_DOWNLOADS_PER_HOST:
            self.crowded.set()
        await self.crowded.wait()
        self.now -= 1
        return Response(PICTURE)


def files(folder: Path) -> dict[str, bytes]:
    """All that lies there, hidden files too."""
    return {each.name: each.read_bytes() for each in folder.iterdir()}


@pytest.fixture
def host() -> Host:
    made = Host()
    made.contents["1.png"] = PICTURE, "image/png"
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "Ausgabe – 出力"


@pytest.fixture
async def client(host: Host, clock: JumpingClock) -> AsyncIterator[KieClient]:
    async with KieClient("secret", base_url=KIE, upload_url=KIE, transport=host.transport, clock=clock) as opened:
        yield opened


@pytest.fixture
def downloader(client: KieClient, folder: Path) -> Downloader:
    return Downloader(client, FolderStorage(folder))


def task(*urls: str, **more: Any) -> Task:
    """A finished task with these results."""
    usual: dict[str, Any] = {"id": "t_1", "tool": "veo_video", "model": "bytedance/Seedance_1.5-pro", "kind": "video"}
    results = [Result(url) for url in urls]
    return Task(**{**usual, "route": "jobs", "arguments": {}, "created": NOON, "results": results, **more})


async def test_files_are_named_by_day_model_task_and_number(downloader: Downloader, folder: Path) -> None:
    made = task(*[f"{KIE}/1.png"] * 2)
    await downloader.download(made)
    names = [f"2027-01-15-bytedance-seedance-1.5-pro-t_1-{n}.png" for n in (1, 2)]
    assert [each.path for each in made.results] == [str(folder / name) for name in names]
    assert files(folder) == dict.fromkeys(names, PICTURE)


@pytest.mark.parametrize(
    ("content", "declared", "url", "extension", "mime_type"),
    [
        (PICTURE, "video/mp4", "1.mp4", ".png", "image/png"),
        (render_file("1.wav", MediaContent("x", "x")), "audio/mpeg", "1.mp3", ".wav", "audio/wav"),
        (render_file("1.mp4", MediaContent("x", "x")), "", "result", ".mp4", "video/mp4"),
        (
            b"1\n00:00:00,000 --> 00:00:01,000\nStrophe",
            "text/plain; charset=utf-8",
            "1",
            ".srt",
            "application/x-subrip",
        ),
        (b"\x01\x02 samples", "audio/L16", "1", ".l16", "audio/l16"),
    ],
)
async def test_the_content_gives_the_extension(
    downloader: Downloader, host: Host, content: bytes, declared: str, url: str, extension: str, mime_type: str
) -> None:
    host.contents[url] = content, declared
    made = task(f"{KIE}/{url}", kind="audio")
    await downloader.download(made)
    (result,) = made.results
    assert (Path(result.path).suffix, result.mime_type) == (extension, mime_type)


@pytest.mark.parametrize(("content", "mime_type"), [(b"Strophe", "text/plain"), (b"{}", "application/json")])
async def test_a_task_that_makes_text_gets_its_text(
    downloader: Downloader, host: Host, folder: Path, content: bytes, mime_type: str
) -> None:
    host.contents["1"] = content, "application/octet-stream"
    await downloader.download(made := task(f"{KIE}/1", kind="text"))
    assert made.results[0].mime_type == mime_type
    assert list(files(folder).values()) == [content]


NO_MEDIA = [
    (b"<html>Just a moment...</html>", "text/html", "no media file but text/html"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "application/xml", "no media file but"),
    (b'{"code": 404}', "application/json", "no media file but application/json"),
    (b"<html>", "image/png", "no media file but image/png"),
    (b"Not Found", "", "no media file but application/octet-stream"),
    (b"", "image/png", "a file that is empty"),
    (PICTURE[: len(PICTURE) // 2], "image/png", "a file that breaks off"),
    (render_file("1.mp4", MediaContent("x", "x"))[:-20], "video/mp4", "a file that breaks off"),
    (render_file("1.mp3", MediaContent("x", "x"))[:-9], "audio/mpeg", "a file that breaks off"),
]


@pytest.mark.parametrize(("content", "declared", "reason"), NO_MEDIA)
async def test_what_is_no_whole_media_file_is_not_saved(
    downloader: Downloader, host: Host, folder: Path, content: bytes, declared: str, reason: str
) -> None:
    host.contents["2.png"] = content, declared
    made = task(f"{KIE}/2.png", f"{KIE}/1.png")
    with pytest.raises(DamagedFile, match=f"kie.test sent {reason}"):
        await downloader.download(made)
    assert [bool(each.path) for each in made.results] == [False, True]
    assert made.results[0].mime_type
    assert list(files(folder).values()) == [PICTURE]
    # The next attempt begins anew, and the file is good by then.
    host.contents["2.png"] = PICTURE, "image/png"
    await downloader.download(made)
    assert list(files(folder).values()) == [PICTURE, PICTURE]


@pytest.mark.parametrize("start", ["data:image/png;base64,", "data:;base64,", "data:text/plain;charset=utf-8;base64,"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
async def test_a_file_inside_the_answer_is_saved(
    downloader: Downloader, folder: Path, start: str, encode: Callable[[bytes], bytes]
) -> None:
    made = task(start + encode(PICTURE).decode())
    assert answers.describe_media(made) == [{}]
    await downloader.download(made)
    assert [*files(folder).values()] == [PICTURE]
    assert (made.results[0].url, made.results[0].mime_type) == ("", "image/png")


async def test_a_broken_file_inside_the_answer_is_not_saved(downloader: Downloader, folder: Path) -> None:
    with pytest.raises(DamagedFile, match="KIE sent a file that breaks off"):
        await downloader.download(task("data:;base64," + base64.b64encode(PICTURE[:-50]).decode()))
    with pytest.raises(DamagedFile, match="in base64 that is broken"):
        await downloader.download(task("data:;base64,A"))
    assert files(folder) == {}


async def test_a_body_that_is_compressed_unsaid_is_unpacked(downloader: Downloader, host: Host, folder: Path) -> None:
    host.contents["a"] = gzip.compress(PICTURE), "application/octet-stream"
    made = task(f"{KIE}/a")
    await downloader.download(made)
    assert made.results[0].path.endswith(".png")
    assert [*files(folder).values()] == [PICTURE]


async def test_a_compressed_file_of_a_format_of_its_own_stays_as_it_is(
    downloader: Downloader, host: Host, folder: Path
) -> None:
    splat = gzip.compress(b"NGSP\0\1\2\3")
    host.contents["a.spz"] = splat, "application/octet-stream"
    made = task(f"{KIE}/a.spz")
    await downloader.download(made)
    assert [*files(folder).values()] == [splat]


@pytest.mark.parametrize(
    "body",
    [gzip.compress(PICTURE)[:-20], gzip.compress(b"<html></html>"), b"\x1f\x8b\x08no"],
    ids=["breaks off", "an error page", "not compressed"],
)
async def test_a_compressed_body_that_holds_no_whole_file_is_not_saved(
    downloader: Downloader, host: Host, folder: Path, body: bytes
) -> None:
    host.contents["a.png"] = body, "image/png"
    with pytest.raises(DamagedFile):
        await downloader.download(task(f"{KIE}/a.png"))
    assert files(folder) == {}


async def test_a_fresh_link_is_asked_for_when_the_first_one_leads_to_an_error_page(
    downloader: Downloader, host: Host, folder: Path
) -> None:
    host.contents["2.png"] = b"<html>", "text/html"
    host.fresh = f"{KIE}/1.png"
    await downloader.download(made := task(f"{KIE}/2.png"))
    (saved,) = made.results
    assert saved == Result(f"{KIE}/2.png", saved.path, "image/png", facts="512x512 PNG, 4 kB")
    assert list(files(folder).values()) == [PICTURE]


async def test_nothing_is_overwritten(downloader: Downloader, host: Host, folder: Path) -> None:
    for number in range(3):
        host.contents["1.png"] = PICTURE + bytes(number), "image/png"
        await downloader.download(task(f"{KIE}/1.png"))
    stem = "2027-01-15-bytedance-seedance-1.5-pro-t_1-1"
    names = f"{stem}.png", f"{stem}-2.png", f"{stem}-3.png"
    assert files(folder) == {name: PICTURE + bytes(number) for number, name in enumerate(names)}


async def test_a_folder_in_the_way_stays(downloader: Downloader, folder: Path) -> None:
    (folder / "2027-01-15-bytedance-seedance-1.5-pro-t_1-1.png").mkdir(parents=True)
    await downloader.download(made := task(f"{KIE}/1.png"))
    assert made.results[0].path.endswith("-1-2.png")


async def test_what_was_saved_before_is_not_saved_twice(downloader: Downloader, folder: Path) -> None:
    """A process may end between saving a file and writing that down."""
    await downloader.download(first := task(f"{KIE}/1.png"))
    await downloader.download(second := task(f"{KIE}/1.png"))
    assert first == second
    assert len(files(folder)) == 1


async def test_only_what_is_missing_is_fetched(downloader: Downloader, host: Host) -> None:
    made = task(f"{KIE}/1.png", f"{KIE}/2.png", "")
    made.results[0].path = "/elsewhere/1.png"
    host.contents["2.png"] = PICTURE, ""
    await downloader.download(made)
    assert [request.url.path for request in host.asked] == ["/2.png"]
    assert made.results[2].path == ""


async def test_content_without_a_link_is_written(downloader: Downloader, folder: Path) -> None:
    result = await downloader.write_file(task(), 1, midi.build_midi_file("[]"), "audio/midi")
    path = str(folder / "2027-01-15-bytedance-seedance-1.5-pro-t_1-1.mid")
    assert result == Result("", path, "audio/midi", facts="MIDI, 14 bytes")
    assert list(files(folder).values()) == [midi.build_midi_file("[]")]


async def test_the_path_is_whole_whatever_the_folder_is_called(
    client: KieClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder, expected in (("out", tmp_path / "out"), ("~/out", tmp_path / "home" / "out")):
        await Downloader(client, FolderStorage(Path(folder))).download(made := task(f"{KIE}/1.png"))
        assert made.results[0].path.startswith(f"{expected}{os.sep}")


async def test_a_model_with_a_very_long_name_has_files(downloader: Downloader, folder: Path) -> None:
    await downloader.download(task(f"{KIE}/1.png", model="studio/" + "heron" * 1000))
    assert [*files(folder).values()] == [PICTURE]


async def test_files_can_be_read_as_others_that_this_user_makes(downloader: Downloader) -> None:
    before = os.umask(0o027)
    try:
        await downloader.download(made := task(f"{KIE}/1.png"))
    finally:
        os.umask(before)
    assert os.stat(made.results[0].path).st_mode & 0o777 == 0o640  # noqa: PTH116


async def test_the_key_stays_with_kie(downloader: Downloader, host: Host) -> None:
    await downloader.download(task(f"{KIE}/1.png"))
    assert "secret" not in str(host.asked[0].headers)


@for_each(
    "url, reason",
    [
        ("https://127.0.0.1/1.png", "private address"),
        ("https://127.1/1.png", "private address"),
        ("https://2130706433/1.png", "private address"),
        ("https://localhost/1.png", "private address"),
        ("https://169.254.169.254/latest/meta-data/", "private address"),
        ("https://10.0.0.1/1.png", "private address"),
        ("https://192.168.1.1:8443/1.png", "private address"),
        ("https://100.64.0.1/1.png", "private address"),
        ("https://0.0.0.0/1.png", "private address"),
        ("https://[::1]/1.png", "private address"),
        ("https://[::ffff:10.0.0.1]/1.png", "private address"),
        ("https://[fe80::1]/1.png", "private address"),
        ("https://[fd00::1]/1.png", "private address"),
        ("http://8.8.8.8/1.png", "is not https"),
        ("http://kie.test/1.png", "is not https"),
        ("ftp://8.8.8.8/1.png", "is not https"),
        ("file:///etc/passwd", "is not https"),
        ("https://[::1", "no web address"),
        ("https://8.8.8.8/\0", "no web address"),
    ],
)
async def test_a_private_or_insecure_address_is_not_asked(
    downloader: Downloader, host: Host, folder: Path, url: str, reason: str
) -> None:
    made = task(url)
    with pytest.raises(InvalidCall, match=reason):
        await downloader.download(made)
    assert host.asked == []
    assert made.results == [Result(url)]
    assert files(folder) == {}


@pytest.mark.parametrize("url", ["https://127.0.0.1/1.png", "https://[::1]/1.png", "http://8.8.8.8/", "file:///x"])
async def test_a_redirect_does_not_lead_there_either(
    downloader: Downloader, host: Host, folder: Path, url: str
) -> None:
    with pytest.raises(InvalidCall, match=r"private address|is not https"):
        await downloader.download(task(f"{KIE}/redirect?to={url}"))
    assert [request.url.hostname for request in host.asked] == ["kie.test"]
    assert files(folder) == {}


async def test_a_host_that_only_begins_like_ours_is_not_trusted(client: KieClient, folder: Path) -> None:
    client.base_url = client.upload_url = "https://127.0.0.1"
    with pytest.raises(InvalidCall, match="private address"):
        await Downloader(client, FolderStorage(folder)).download(task("https://127.0.0.1:8443/1.png"))


class Peer(httpx2.AsyncBaseTransport):
    """A connection to an address of one's choice."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get_extra_info(self, name: str) -> Any:
        return (self.address, 443) if name == "server_addr" else None

    async def handle_async_request(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=PICTURE, extensions={"network_stream": self})


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fe80::1%eth0", "64:ff9b::8.8.8.8"])
async def test_a_name_that_leads_elsewhere_the_second_time_is_caught(folder: Path, address: str) -> None:
    async with KieClient("secret", transport=Peer(address)) as client:
        with pytest.raises(InvalidCall, match="private address"):
            await Downloader(client, FolderStorage(folder)).download(task("https://8.8.8.8/1.png"))
        await Downloader(client, FolderStorage(folder), guarded=False).download(task("https://8.8.8.8/1.png"))


async def test_a_public_address_is_followed(folder: Path) -> None:
    async with KieClient("secret", transport=Peer("8.8.8.8")) as client:
        await Downloader(client, FolderStorage(folder)).download(made := task("https://8.8.8.8/1.png"))
    assert made.results[0].mime_type == "image/png"


async def test_redirects_are_followed_but_not_for_ever(downloader: Downloader, host: Host) -> None:
    await downloader.download(made := task(f"{KIE}/redirect?to=/1.png"))
    assert made.results[0].path
    with pytest.raises(InvalidCall, match="too many redirects"):
        await downloader.download(task(f"{KIE}/redirect", id="t_2"))
    assert len(host.asked) < 10


async def test_a_file_that_is_too_large_is_given_up(client: KieClient, folder: Path) -> None:
    with pytest.raises(InvalidCall, match=r"kie.test is larger than 0.0 GB"):
        await Downloader(client, FolderStorage(folder), largest=len(PICTURE) - 1).download(task(f"{KIE}/1.png"))
    assert files(folder) == {}
    await Downloader(client, FolderStorage(folder), largest=len(PICTURE)).download(task(f"{KIE}/1.png"))


async def test_a_file_that_is_not_there_leaves_nothing_and_does_not_stop_the_next(
    downloader: Downloader, folder: Path
) -> None:
    made = task(f"{KIE}/gone.png", f"{KIE}/1.png")
    with pytest.raises(httpx2.HTTPStatusError):
        await downloader.download(made)
    assert [bool(each.path) for each in made.results] == [False, True]
    assert len(files(folder)) == 1


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """A server that says this to everybody, and hangs up."""

    async def say(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, say)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


async def test_a_file_that_breaks_off_is_kept_for_the_next_attempt(folder: Path) -> None:
    cut = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % len(PICTURE) + PICTURE[:-1]
    known = task("")
    async with answering(cut) as url, KieClient("secret", base_url=url) as client:
        known.results[0].url = f"{url}/1.png"
        # Every answer begins at the start again: that does not help.
        with pytest.raises(httpx2.RemoteProtocolError):
            await Downloader(client, FolderStorage(folder)).download(known)
    assert sorted(files(folder).values()) == [b'{"validator": "\\"1\\"", "total": %d}' % SIZE, PICTURE[:-1]]
    assert all(name.startswith(".") for name in files(folder))
    head = b'HTTP/1.1 206 Partial Content\r\nETag: "1"\r\nContent-Length: 1\r\nContent-Range: bytes %d-%d/%d\r\n\r\n'
    rest = head % (len(PICTURE) - 1, len(PICTURE) - 1, len(PICTURE)) + PICTURE[-1:]
    async with answering(rest) as url, KieClient("secret", base_url=url) as client:
        known.results[0].url = f"{url}/1.png"
        await Downloader(client, FolderStorage(folder)).download(known)
    ((name, content),) = files(folder).items()
    assert name.endswith(".png")
    assert content == PICTURE


async def test_a_compressed_file_that_breaks_off_leaves_nothing_to_continue(folder: Path) -> None:
    head = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n'
    compressed = gzip.compress(os.urandom(1_000_000))
    async with answering(head % len(compressed) + compressed[:-9]) as url, KieClient("secret", base_url=url) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await Downloader(client, FolderStorage(folder)).download(task(f"{url}/1.png"))
    assert files(folder) == {}


async def test_what_is_there_already_is_all_of_it(folder: Path) -> None:
    known = task("")
    cut = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n' % (len(PICTURE) + 1) + PICTURE
    whole = b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nContent-Range: bytes */%d\r\n\r\n"
    for answer in (cut, whole % len(PICTURE)):
        async with answering(answer) as url, KieClient("secret", base_url=url) as client:
            known.results[0].url = f"{url}/1.png"
            with suppress(httpx2.TransportError):
                await Downloader(client, FolderStorage(folder)).download(known)
    assert list(files(folder).values()) == [PICTURE]
    assert known.results[0].mime_type == "image/png"


SIZE, HALF = len(PICTURE), len(PICTURE) // 2
OTHER = render_file("1.png", MediaContent("a wolf", "2"))
VERSION = {"etag": '"heron"', "last-modified": "Sun, 29 Nov 2026 09:00:00 GMT"}


def first_half(**headers: str) -> Response:
    """The first half of the picture, in an answer that announces all of it."""
    return Response(PICTURE[:HALF], headers={"content-length": str(SIZE), **headers})


def rest(content_range: str = f"bytes {HALF}-{SIZE - 1}/{SIZE}", *, status: int = 206, **headers: str) -> Response:
    """The second half of the picture, or something else that the host calls so."""
    return Response(PICTURE[HALF:] if status == 206 else b"", status, {"content-range": content_range, **headers})


@pytest.mark.parametrize(
    ("version", "validator"),
    [
        (VERSION, VERSION["etag"]),
        ({"last-modified": VERSION["last-modified"]}, VERSION["last-modified"]),
        (VERSION | {"etag": 'W/"weak"'}, VERSION["last-modified"]),
    ],
)
@pytest.mark.parametrize("told", [True, False])
async def test_the_rest_of_a_broken_download_is_asked_for_if_the_file_is_still_the_same(
    downloader: Downloader, host: Host, folder: Path, version: dict[str, str], validator: str, *, told: bool
) -> None:
    host.answers = [
        first_half(**version),
        Response(
            PICTURE[HALF:], 206, {"content-range": f"bytes {HALF}-{SIZE - 1}/{SIZE}", **(version if told else {})}
        ),
    ]
    await downloader.download(task(f"{KIE}/scripted"))
    assert list(files(folder).values()) == [PICTURE]
    assert [request.headers.get("range") for request in host.asked] == [None, f"bytes={HALF}-"]
    assert [request.headers.get("if-range") for request in host.asked] == [None, validator]


@pytest.mark.parametrize(
    "answer",
    [
        rest(etag='"wolf"'),
        rest(f"bytes {HALF + 1}-{SIZE - 1}/{SIZE}"),
        rest(f"bytes 0-{SIZE - 1}/{SIZE}"),
        rest(f"bytes {HALF}-{SIZE}/{SIZE + 1}"),
        rest(f"bytes {HALF}-{SIZE - 2}/{SIZE}"),
        rest(f"bytes {HALF}-{SIZE - 1}/*"),
        rest("half of it"),
        rest(f"bytes {HALF}-{SIZE - 1}/{'9' * 5000}"),
        rest(f"bytes {'9' * 5000}-{SIZE - 1}/{SIZE}"),
        Response(PICTURE[HALF:], 206),
        Response(PICTURE[HALF:], 206, {"content-range": f"bytes {HALF}-{SIZE - 1}/{SIZE}", "content-encoding": "gzip"}),
        rest(f"bytes */{HALF}", status=416),
        rest(f"bytes */{HALF}", status=416, etag='"wolf"'),
        Response(b"", 416),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.headers}"[:120],
)
async def test_a_rest_that_may_be_of_another_file_is_dropped_and_all_of_it_fetched_anew(
    downloader: Downloader, host: Host, folder: Path, answer: Response
) -> None:
    host.answers = [first_half(**VERSION), answer, Response(OTHER)]
    await downloader.download(task(f"{KIE}/scripted"))
    assert list(files(folder).values()) == [OTHER]
    assert "range" not in host.asked[2].headers


async def test_a_host_that_sends_the_whole_file_again_is_taken_at_its_word(
    downloader: Downloader, host: Host, folder: Path
) -> None:
    host.answers = [first_half(**VERSION), Response(OTHER, headers={"etag": '"wolf"'})]
    await downloader.download(task(f"{KIE}/scripted"))
    assert list(files(folder).values()) == [OTHER]


@pytest.mark.parametrize("version", [{}, {"etag": 'W/"weak"'}, {"etag": '"h\xe9ron"'}, {"last-modified": "h\xe9ron"}])
async def test_without_a_version_nothing_is_added_to_a_part(
    downloader: Downloader, host: Host, folder: Path, version: dict[str, str]
) -> None:
    host.answers = [first_half(**version), first_half(**version), Response(OTHER)]
    with pytest.raises(httpx2.ReadError, match="cut"):
        await downloader.download(made := task(f"{KIE}/scripted"))
    assert files(folder) == {}
    await downloader.download(made)
    assert list(files(folder).values()) == [OTHER]
    assert not any("range" in request.headers for request in host.asked)


@pytest.mark.parametrize(("same", "expected"), [(True, PICTURE), (False, OTHER)])
async def test_a_restarted_server_and_a_fresh_link_go_on_only_with_the_same_version(
    client: KieClient, host: Host, folder: Path, expected: bytes, *, same: bool
) -> None:
    host.answers = [first_half(**VERSION), Response(b"", 500), Response(b"", 403)]
    host.answers.append(rest(etag=VERSION["etag"]) if same else Response(OTHER, headers={"etag": '"wolf"'}))
    host.fresh = f"{KIE}/scripted?fresh"
    with pytest.raises(httpx2.HTTPStatusError):
        await Downloader(client, FolderStorage(folder)).download(task(f"{KIE}/scripted"))
    assert len(files(folder)) == 2
    await Downloader(client, FolderStorage(folder)).download(task(f"{KIE}/scripted"))
    assert host.asked[3].url.query == "fresh"
    assert host.asked[3].headers["if-range"] == VERSION["etag"]
    assert list(files(folder).values()) == [expected]


def leave_part(folder: Path, content: bytes, note: bytes | None) -> None:
    folder.mkdir()
    part = folder / ".2027-01-15-bytedance-seedance-1.5-pro-t_1-1.part"
    part.write_bytes(content)
    if note is not None:
        part.with_name(f"{part.name}.version").write_bytes(note)


@pytest.mark.parametrize("note", [None, b"", b"[]", b'{"validator": 1}', b'{"validator": "\\u00e9", "total": 1}'])
async def test_a_part_of_which_nobody_knows_the_version_is_begun_anew(
    downloader: Downloader, host: Host, folder: Path, note: bytes | None
) -> None:
    leave_part(folder, OTHER[:HALF], note)
    await downloader.download(task(f"{KIE}/1.png"))
    assert list(files(folder).values()) == [PICTURE]
    assert "range" not in host.asked[0].headers


async def test_a_part_is_kept_while_the_name_of_its_host_cannot_be_resolved(
    downloader: Downloader, folder: Path
) -> None:
    leave_part(folder, PICTURE[:HALF], b'{"validator": "1", "total": null}')
    with pytest.raises(httpx2.ConnectError, match="cannot be resolved"):
        await downloader.download(task("https://no-such-host.invalid/1.png"))
    assert PICTURE[:HALF] in files(folder).values()


async def test_a_download_that_takes_too_long_is_given_up_for_the_time_being(
    downloader: Downloader, clock: JumpingClock, folder: Path
) -> None:
    made = task(f"{KIE}/silent", f"{KIE}/1.png")
    async with anyio.create_task_group() as group:
        group.start_soon(clock.sleep, 60)
        with pytest.raises(TimeoutError, match=r"less than 1 kB a second for 30 s"):
            await downloader.download(made)
    # The other result is saved all the same.
    assert list(files(folder).values()) == [PICTURE]
    assert [bool(each.path) for each in made.results] == [False, True]


async def test_a_full_disk_leaves_nothing(downloader: Downloader, folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(PICTURE) // 2, hard))
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011
            await downloader.download(task(f"{KIE}/1.png"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert files(folder) == {}


async def test_a_file_in_place_of_the_folder_is_an_error(client: KieClient) -> None:
    with pytest.raises(FileExistsError):
        await Downloader(client, FolderStorage(Path(__file__))).download(task(f"{KIE}/1.png"))


async def test_only_a_few_files_are_fetched_at_once(downloader: Downloader, host: Host) -> None:
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(3 * CONCURRENT_DOWNLOADS_PER_HOST):
                group.start_soon(downloader.download, task(f"{KIE}/crowd/{number}", id=f"t_{number}"))
    assert host.most == CONCURRENT_DOWNLOADS_PER_HOST


@pytest.mark.skipif(sys.platform == "win32", reason="Windows itself keeps an open file from being renamed.")
def test_nobody_gets_hold_of_a_file_while_it_gets_its_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_file = disk.link_file

    def link_when_another_server_looks(path: Path, name: Path) -> None:
        with pytest.raises(BlockingIOError), partial_files.open_partial_file(tmp_path, "a"):
            pass
        link_file(path, name)

    monkeypatch.setattr(disk, "link_file", link_when_another_server_looks)
    with partial_files.open_partial_file(tmp_path, "a") as part:
        part.file.write(b"whole")
        assert part.commit(tmp_path, "a", "txt").read_bytes() == b"whole"
    assert list(files(tmp_path).values()) == [b"whole"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks.")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
async def test_a_result_is_saved_on_a_file_system_without_locks(
    downloader: Downloader, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    await downloader.download(task(f"{KIE}/1.png"))
    assert list(files(folder).values()) == [PICTURE]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows itself keeps an open file from being renamed.")
def test_two_servers_never_write_into_the_same_unfinished_file(tmp_path: Path) -> None:
    with partial_files.open_partial_file(tmp_path, "a") as part:
        with pytest.raises(BlockingIOError), partial_files.open_partial_file(tmp_path, "a"):
            pass
        part.file.write(b"whole")
        assert part.commit(tmp_path, "a", "txt").read_bytes() == b"whole"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
