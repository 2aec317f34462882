import io
import wave

import PIL.Image
import pytest

from kie_mcp.media import formats, midi
from kie_mcp.sandbox.fake_media import RENDERERS, MediaContent, render_file

WORK = MediaContent("a heron", "1")


def picture(image_format: str) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), "teal").save(file, image_format)
    return file.getvalue()


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes(bytes(1600))
    return file.getvalue()


def box(brand: bytes) -> bytes:
    return b"\0\0\0\x1cftyp" + brand + bytes(16)


@pytest.mark.parametrize(
    ("image_format", "expected"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
    ],
)
def test_a_picture_that_pillow_writes_is_known(image_format: str, expected: str) -> None:
    assert formats.detect_mime_type(picture(image_format)[: formats.HEAD_BYTES]) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.png", "image/png"),
        ("1.jpg", "image/jpeg"),
        ("1.webp", "image/webp"),
        ("1.wav", "audio/wav"),
        ("1.mp3", "audio/mpeg"),
        ("1.mp4", "video/mp4"),
        ("1.txt", None),
        ("1.json", None),
    ],
)
def test_what_the_sandbox_makes_is_known(name: str, expected: str | None) -> None:
    assert name.partition(".")[2] in RENDERERS
    assert formats.detect_mime_type(render_file(name, WORK)[: formats.HEAD_BYTES]) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (sound(), "audio/wav"),
        (midi.build_midi_file("[]"), "audio/midi"),
        (b"MM\x00*" + bytes(8), "image/tiff"),
        (b"RIFF\0\0\0\0AVI LIST", "video/x-msvideo"),
        (b"RIFF\0\0\0\0ACON", None),
        (b"\x1aE\xdf\xa3" + bytes(20), "video/webm"),
        (b"OggS" + bytes(20), "audio/ogg"),
        (b"fLaC" + bytes(20), "audio/flac"),
        (box(b"qt  "), "video/quicktime"),
        (box(b"isom"), "video/mp4"),
        (box(b"mp42"), "video/mp4"),
        (box(b"M4A "), "audio/mp4"),
        (box(b"heic"), "image/heic"),
        (box(b"mif1"), "image/heic"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xf3\x44\xc4", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"\xff\xf9\x50\x80", "audio/aac"),
    ],
)
def test_the_first_bytes_tell_the_format(content: bytes, expected: str | None) -> None:
    assert formats.detect_mime_type(content[: formats.HEAD_BYTES]) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"B",
        b"RIFF",
        b"BMW 320i, first registration 1998",
        b"ID3 tags, explained",
        "secret".encode("utf-16"),
        "Geheimnis".encode("utf-8-sig"),
        "\ufeff秘密".encode("utf-16-be"),
        b"<html><body>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\x7fELF\x02\x01\x01",
        b"-----BEGIN OPENSSH PRIVATE KEY-----",
        bytes(64),
        b"\xff" * 64,
    ],
)
def test_what_is_no_media_is_not_taken_for_it(content: bytes) -> None:
    """Uploads are public: a text that passes for media would leave the machine."""
    assert formats.detect_mime_type(content[: formats.HEAD_BYTES]) is None


def test_every_extension_leads_back_to_its_type() -> None:
    assert {formats.MIME_TYPES[extension] for extension in formats.EXTENSIONS.values()} == set(formats.EXTENSIONS)
    assert formats.MIME_TYPES["jpeg"] == formats.MIME_TYPES["jpg"] == "image/jpeg"
