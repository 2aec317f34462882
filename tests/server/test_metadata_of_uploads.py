"""Every upload is read back from KIE's side: nothing that tells who, where or with what is in it."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from PIL.PngImagePlugin import PngInfo
from support.answers import answer, text
from support.cases import for_each
from support.encoded_media import BOTH, PATTERN, SINE, encode_picture, heic, paint, phone_exif, run_ffmpeg
from support.programs import needs_ffmpeg

pytestmark = pytest.mark.anyio

MARKS = (b"Cameramaker", b"S\0E\0C\0R\0E\0T", b"SECRET", b"+52.5200")
TAGS = ("-metadata", "title=SECRET", "-metadata", "comment=SECRET", "-metadata", "location=+52.5200+013.4050/")


def note() -> PngInfo:
    info = PngInfo()
    info.add_text("Author", "SECRET")
    info.add_itxt("XML:com.adobe.xmp", "<x>SECRET</x>")
    return info


def picture(image_format: str, **options: object) -> bytes:
    return encode_picture(paint("RGB"), image_format, exif=phone_exif(6), **options)


def record(name: str, *streams: str) -> Callable[[], bytes]:
    return lambda: run_ffmpeg(name, *streams, *TAGS)


MADE: dict[str, Callable[[], bytes]] = {
    "a.jpg": lambda: picture("JPEG", comment=b"SECRET", xmp=b"<x>SECRET</x>"),
    "a.png": lambda: picture("PNG", pnginfo=note()),
    "a.webp": lambda: picture("WEBP", xmp=b"<x>SECRET</x>"),
    "a.tiff": lambda: picture("TIFF"),
    "a.avif": lambda: picture("AVIF"),
    "a.heic": lambda: heic(exif=phone_exif(6).tobytes()),
    "a.gif": lambda: encode_picture(paint("RGB"), "GIF", comment=b"SECRET"),
    "a.webm": record("a.webm", *PATTERN, "-c:v", "libvpx", "-cpu-used", "8"),
    "a.avi": record("a.avi", *PATTERN),
    **{name: record(name, *BOTH) for name in ("a.mp4", "a.mov", "a.mkv")},
    **{name: record(name, *SINE) for name in ("a.mp3", "a.m4a", "a.wav", "a.flac", "a.ogg", "a.wma")},
}
"""Makers of files with metadata, by file name."""


@needs_ffmpeg
@for_each("name", MADE)
async def test_no_upload_has_metadata(
    client: Client, transport: httpx2.ASGITransport, tmp_path: Path, name: str
) -> None:
    content = MADE[name]()
    assert any(mark in content for mark in MARKS)
    await anyio.Path(tmp_path / name).write_bytes(content)
    for given in ({"path": str(tmp_path / name)}, {"base64": b64encode(content).decode()}):
        result = await client.call_tool("upload_file", given)
        assert not result.is_error, text(result)
        async with httpx2.AsyncClient(transport=transport) as browser:
            sent = (await browser.get(answer(result)["url"])).raise_for_status().content
        assert len(sent) > 200
        assert [mark for mark in MARKS if mark in sent] == []
    assert await anyio.Path(tmp_path / name).read_bytes() == content
