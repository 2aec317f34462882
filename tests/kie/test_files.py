import base64
import io
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send
from support.clock import JumpingClock, let_others_run
from support.fake_kie import ScriptedKie, client_for, envelope

from kie_mcp.errors import ApiError, AuthError, RateLimited
from kie_mcp.kie import files
from kie_mcp.kie.client import KieClient
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

MB = 1_000_000


class Scales:
    """What stands before a KIE and weighs the pieces in which requests arrive."""

    def __init__(self, kie: Sandbox) -> None:
        self.pieces: list[int] = []
        self._kie = kie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def weighed() -> Message:
            message = await receive()
            self.pieces.append(len(message.get("body", b"")))
            return message

        await self._kie.app(scope, weighed, send)


@pytest.fixture
def scales(sandbox: Sandbox) -> Scales:
    return Scales(sandbox)


@pytest.fixture
async def kie(scales: Scales, clock: JumpingClock) -> AsyncIterator[KieClient]:
    async with KieClient("sandbox", transport=httpx2.ASGITransport(app=scales), clock=clock) as client:
        yield client


async def content(kie: KieClient, uploaded: files.UploadedFile) -> bytes:
    return (await kie.http.get(uploaded.url)).raise_for_status().content


async def test_a_stream_arrives_as_it_is(kie: KieClient) -> None:
    sent = bytes(range(256)) * 1000
    uploaded = await files.upload_stream(kie, io.BytesIO(sent), "a.png", "image/png")
    assert await content(kie, uploaded) == sent
    assert (uploaded.name, uploaded.size, uploaded.mime_type) == ("a.png", len(sent), "image/png")
    assert uploaded.url.startswith("https://")


async def test_a_large_file_goes_in_pieces_and_never_lies_in_memory(
    kie: KieClient, scales: Scales, tmp_path: Path
) -> None:
    place = tmp_path / "film.mp4"
    with place.open("wb") as file:
        file.truncate(30 * MB)
    # What is imported at the first upload is no part of its cost.
    await files.upload_stream(kie, io.BytesIO(b"x"), "x.mp4", "video/mp4")
    tracemalloc.start()
    try:
        with place.open("rb") as file:
            uploaded = await files.upload_stream(kie, file, "film.mp4", "video/mp4")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert uploaded.size == 30 * MB
    assert max(scales.pieces) < MB
    assert peak < 5 * MB


async def test_base64_arrives_as_it_is(kie: KieClient) -> None:
    sent = b"\x00\xff" * 999
    uploaded = await files.upload_base64(kie, sent, "a.mp3", "audio/mpeg")
    assert await content(kie, uploaded) == sent
    assert (uploaded.name, uploaded.size, uploaded.mime_type) == ("a.mp3", len(sent), "audio/mpeg")


async def test_a_url_is_fetched_by_kie(kie: KieClient) -> None:
    first = await files.upload_base64(kie, b"words", "a.txt", "text/plain")
    second = await files.upload_from_url(kie, first.url, "b.txt")
    assert second.url != first.url
    assert await content(kie, second) == b"words"
    assert (second.name, second.size, second.mime_type) == ("b.txt", 5, "text/plain")


@pytest.mark.parametrize("name", ["ein Bild.png", "日本語.png", "🎬.png", 'q"uo;te.png', "100%.png", "a#b?c.png"])
async def test_any_name_is_kept(name: str, kie: KieClient) -> None:
    streamed = await files.upload_stream(kie, io.BytesIO(b"1"), name, "image/png")
    assert (streamed.name, await content(kie, streamed)) == (name, b"1")
    encoded = await files.upload_base64(kie, b"2", name, "image/png")
    assert (encoded.name, await content(kie, encoded)) == (name, b"2")


async def test_an_empty_file_is_streamed_too(kie: KieClient) -> None:
    uploaded = await files.upload_stream(kie, io.BytesIO(), "a.txt", "text/plain")
    assert uploaded.size == 0


ADDRESS = "https://kieai.redpandaai.co/api"
HERE = {"uploadPath": "kie-mcp", "fileName": "a.png"}
TAKEN = {"success": True, "code": 200, "msg": "ok", "data": {"downloadUrl": "https://tempfile.example/a.png"}}


async def test_base64_is_asked_for_as_kie_documents_it() -> None:
    told = ScriptedKie(JSONResponse(TAKEN))
    async with client_for(told) as kie:
        await files.upload_base64(kie, b"\x89PNG", "a.png", "image/png")
    (asked,) = told.requests
    assert (asked.method, str(asked.url)) == ("POST", f"{ADDRESS}/file-base64-upload")
    encoded = base64.b64encode(b"\x89PNG").decode()
    assert await asked.json() == {**HERE, "base64Data": f"data:image/png;base64,{encoded}"}


async def test_a_url_is_asked_for_as_kie_documents_it() -> None:
    told = ScriptedKie(JSONResponse(TAKEN))
    async with client_for(told) as kie:
        await files.upload_from_url(kie, "https://files.example/a.png", "a.png")
    (asked,) = told.requests
    assert (asked.method, str(asked.url)) == ("POST", f"{ADDRESS}/file-url-upload")
    assert await asked.json() == {**HERE, "fileUrl": "https://files.example/a.png"}


async def test_a_stream_is_asked_for_as_kie_documents_it() -> None:
    told = ScriptedKie(JSONResponse(TAKEN))
    async with client_for(told) as kie:
        await files.upload_stream(kie, io.BytesIO(b"\x89PNG"), "a.png", "image/png")
    (asked,) = told.requests
    assert (asked.method, str(asked.url)) == ("POST", f"{ADDRESS}/file-stream-upload")
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    body = await asked.body()
    for part in (
        b'name="uploadPath"\r\n\r\nkie-mcp\r\n',
        b'name="fileName"\r\n\r\na.png\r\n',
        b'name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n',
    ):
        assert part in body


async def test_what_kie_does_not_tell_of_a_file_is_what_was_sent() -> None:
    async with client_for(ScriptedKie(JSONResponse(TAKEN))) as kie:
        uploaded = await files.upload_base64(kie, b"x", "a.png", "image/png")
    assert uploaded == files.UploadedFile("https://tempfile.example/a.png", "a.png", None, "image/png")


async def test_a_size_that_is_no_number_is_unknown() -> None:
    told = ScriptedKie(envelope(200, data={"downloadUrl": "https://tempfile.example/a.png", "fileSize": "1 MB"}))
    async with client_for(told) as kie:
        assert (await files.upload_base64(kie, b"x", "a.png", "image/png")).size is None


@pytest.mark.parametrize(
    "answer",
    [
        envelope(200),
        envelope(200, data={}),
        envelope(200, data={"downloadUrl": ""}),
        PlainTextResponse("<html>"),
        Response(),
    ],
)
async def test_an_answer_without_a_url_is_an_error(answer: Response) -> None:
    async with client_for(ScriptedKie(answer)) as kie:
        with pytest.raises(ApiError, match="no URL") as raised:
            await files.upload_base64(kie, b"x", "a.png", "image/png")
    assert (raised.value.retryable, raised.value.billed) == (True, False)


@pytest.mark.parametrize(
    ("answer", "kind", "retryable"),
    [
        (envelope(500), ApiError, True),
        (envelope(429), RateLimited, True),
        (envelope(401), AuthError, False),
        (envelope(400, "uploadPath is required"), ApiError, False),
        (httpx2.ReadError("broken"), ApiError, True),
        (httpx2.WriteTimeout("too long"), ApiError, True),
    ],
)
async def test_an_upload_is_sent_once(answer: Response | Exception, kind: type[ApiError], retryable: bool) -> None:
    """What was read from a file is gone; whoever opened it may open it again."""
    told = ScriptedKie(answer)
    async with client_for(told) as kie:
        with pytest.raises(ApiError) as raised:
            await files.upload_stream(kie, io.BytesIO(b"x"), "a.png", "image/png")
    assert (type(raised.value), raised.value.retryable, raised.value.billed) == (kind, retryable, False)
    assert len(told.requests) == 1


async def test_an_upload_that_does_not_come_to_its_end_in_time_is_given_up_and_may_be_tried_again() -> None:
    async def answer_never(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        # Each piece comes in time, so that only a limit of the whole upload ends it.
        while True:
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await let_others_run()

    transport = httpx2.ASGITransport(answer_never)
    async with KieClient("key", transport=transport, upload_seconds=0.05) as kie:
        with pytest.raises(ApiError, match="could not be reached in time") as raised:
            await files.upload_stream(kie, io.BytesIO(b"x"), "a.mp4", "video/mp4")
    assert raised.value.retryable


async def test_what_kie_refuses_is_told(kie: KieClient) -> None:
    with pytest.raises(ApiError, match="no public address"):
        await files.upload_from_url(kie, "file:///etc/passwd", "a.txt")
