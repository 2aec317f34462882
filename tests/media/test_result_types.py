"""What a downloaded result is: what a model made, or an error page."""

from io import BytesIO

import pytest
from support import media_files
from support.cases import for_each

from kie_mcp.media.result_types import choose_extension, identify, read_declared_type

PNG = media_files.picture()
PAGE = b"<!DOCTYPE html>\n<html><body>Just a moment...</body></html>"
DENIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
ERROR = b'{"code": 404, "msg": "not found"}'
COMMENTS = b"<!---->" * 500
BINARY = b"\x93\x01\x02\x03 no magic"


@for_each(
    "content, declared, name, expected",
    [
        (PNG, "text/html", "a.html", "image/png"),
        (media_files.sound(0.1), "", "a", "audio/wav"),
        (media_files.midi(), "application/json", "a.json", "audio/midi"),
        (b"PK\x03\x04 stems" + media_files.mp3(), "application/octet-stream", "a", "application/zip"),
        (b"glTF\x02\0\0\0", "", "a", "model/gltf-binary"),
        (b"%PDF-1.7", "", "a", "application/pdf"),
        (b"\0\0\0\x08wide\0\0\0\x08moov\0\0\0\x08mdat", "", "a", "video/quicktime"),
        (b"FORM\0\0\0\x20AIFFCOMM", "", "a", "audio/aiff"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "", "a", "audio/wav"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "", "a", "image/jxl"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "text/xml", "a", "image/svg+xml"),
        (b'<?xml version="1.0"?>\n<!-- made -->\n<svg>', "", "a", "image/svg+xml"),
        (b"<svg/>", "text/html", "a", "image/svg+xml"),
        (b"<svg:svg xmlns:svg='x'>", "text/html", "a", "image/svg+xml"),
        (b"<!DOCTYPE svg PUBLIC 'x' 'y' [<!ENTITY a 'b>'>]>\n<svg>", "text/html", "a", "image/svg+xml"),
        (b"DDS \x7c\0\0\0", "text/html", "a", "image/vnd-ms.dds"),
        (b"qoif\0\0\0\1", "text/html", "a", "image/qoi"),
        (b"\xef\xbb\xbfWEBVTT\n\n00:00.000 --> 00:01.000", "", "a", "text/vtt"),
        (b"1\r\n00:00:00,000 --> 00:00:01,500\r\nA heron", "text/plain", "a", "application/x-subrip"),
        (b"[ar: heron]\n[00:12.34]At dawn", "", "a", "text/x-lrc"),
        (b'{"notes": []}', "application/json", "a.json", "application/json"),
        (b"a,b\n1,2", "text/csv", "a.csv", "text/plain"),
        # Samples without a header, and formats of tomorrow.
        (BINARY, "audio/L16", "a", "audio/L16"),
        (BINARY, "audio/mpeg", "a", "audio/mpeg"),
        (BINARY, "image/x-tomorrow", "a", "image/x-tomorrow"),
        (BINARY, "application/octet-stream", "a.splat", "application/octet-stream"),
        (BINARY, "", "a.pcm", "application/octet-stream"),
    ],
)
def test_what_a_model_made_is_known_by_its_content(content: bytes, declared: str, name: str, expected: str) -> None:
    url = f"https://files.example/{name}?sig=1.png"
    assert identify(BytesIO(content), declared=declared, url=url) == expected


@for_each("kind", ["", "text", "image"])
@for_each("declared", ["image/png", "text/html", "application/octet-stream", ""])
@for_each("content", [b"", b" \r\n", PAGE, DENIED, PAGE.decode().encode("utf-16"), b"<html>\xb4\xed", COMMENTS])
def test_a_web_page_is_no_result_whatever_the_host_calls_it(content: bytes, declared: str, kind: str) -> None:
    assert identify(BytesIO(content), declared=declared, url="https://files.example/1.png", kind=kind) == ""


@for_each("declared", ["image/png", "application/json", "text/plain", ""])
@for_each("content", [ERROR, b"[]", b"Not Found", b"error code: 1010", b"[Verse]\nA heron", "Нет файла".encode(), b"?"])
def test_text_is_a_result_only_of_a_task_that_makes_text(content: bytes, declared: str) -> None:
    url = "https://files.example/1"
    assert identify(BytesIO(content), declared=declared, url=url) == ""
    expected = "application/json" if content in (ERROR, b"[]") else "text/plain"
    assert identify(BytesIO(content), declared=declared, url=url, kind="text") == expected


STAND_INS = {
    "a drawing": (b"<svg><text>404 Not Found</text></svg>", "image/svg+xml", "svg"),
    "a document": (b"%PDF-1.7", "application/pdf", "pdf"),
    "an archive": (b"PK\x03\x04", "application/zip", "zip"),
    "subtitles": (b"WEBVTT\n", "text/vtt", "vtt"),
    "timed lyrics": (b"[00:00.00] error", "text/plain", "lrc"),
    "an unknown picture": (BINARY, "image/x-tomorrow", "tmr"),
}


@pytest.mark.parametrize("name", STAND_INS)
def test_what_a_host_may_show_as_an_error_is_no_picture_or_clip(name: str) -> None:
    content, declared, extension = STAND_INS[name]

    def is_result(url: str, kind: str) -> bool:
        return bool(identify(BytesIO(content), declared=declared, url=url, kind=kind))

    for kind in ("image", "video"):
        assert not any(is_result(f"https://files.example/{each}", kind) for each in ("1.jpeg?x=1.svg", "1.mp4", "1"))
        # The link, or KIE's own answer, says that the model made it.
        assert is_result(f"https://files.example/1.{extension}", kind)
        assert is_result("", kind)
    assert is_result("https://files.example/1", "audio")


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        ("image/png", "a"),
        ("video/mp4", "a.mp4"),
        ("text/html", "a"),
        ("application/octet-stream", "a.png"),
        ("application/octet-stream", "a.bin"),
        ("", "a"),
        ("", "a.php"),
    ],
)
def test_a_binary_file_that_nothing_names_is_no_result(declared: str, name: str) -> None:
    """A picture or clip of a known type begins with that type's signature."""
    assert identify(BytesIO(BINARY), declared=declared, url=f"https://files.example/{name}") == ""


@pytest.mark.parametrize(
    ("mime_type", "name", "expected"),
    [
        ("image/png", "a.webp", "png"),
        ("application/zip", "a", "zip"),
        ("application/octet-stream", "a.splat", "splat"),
        ("audio/l16", "a", "l16"),
        ("image/x-tomorrow", "a.tmr", "tmr"),
    ],
)
def test_a_file_is_named_by_its_type_or_else_as_the_host_names_it(mime_type: str, name: str, expected: str) -> None:
    assert choose_extension(mime_type, f"https://files.example/{name}") == expected


@for_each(
    "declared, meant",
    [
        ("Image/PNG; charset=utf-8", "image/png"),
        ("audio/vnd.wave", "audio/vnd.wave"),
        ("", ""),
        ("png", ""),
        ("audio/\u202egpj", ""),
        ("audio/a\x1bb", ""),
        ("audio/../../x", ""),
        (f"audio/{'x' * 200}", ""),
    ],
)
def test_a_declared_type_is_taken_only_if_it_is_written_as_one(declared: str, meant: str) -> None:
    assert read_declared_type(declared) == meant
