import io
import random

import pytest
from support.cases import for_each
from support.encoded_media import MADE_HERE, encode
from support.media_files import box, clip, mp3
from support.programs import needs_ffmpeg

from kie_mcp.media import formats, midi
from kie_mcp.sandbox.fake_media import RENDERERS, MediaContent, render_file

WORK = MediaContent("a heron", "1")


def brand(major: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", major + bytes(4) + b"".join(compatible)) + box(b"mdat", bytes(8))


def test_each_kind_of_file_is_known() -> None:
    assert {name: formats.detect_mime_type(io.BytesIO(encode(name))) for name in MADE_HERE} == MADE_HERE


@pytest.mark.parametrize(
    "before",
    [b"PK\3\4" + bytes(30), b"Rar!\x1a\7\1\0", b"a.mp3".ljust(257, b"\0") + b"ustar" + bytes(250), b"\1" * 20_000],
    ids=["ZIP", "RAR", "tar", "something else"],
)
def test_what_holds_a_sound_is_no_sound(before: bytes) -> None:
    assert formats.detect_mime_type(io.BytesIO(bytes(len(before)) + mp3(5))) == "audio/mpeg"
    assert formats.detect_mime_type(io.BytesIO(before + mp3(5))) is None


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "expected"), [("a.m4a", "audio/mp4"), ("a.mkv", "video/x-matroska"), ("covered.mp3", "audio/mpeg")]
)
def test_the_first_bytes_are_enough_for_most(name: str, expected: str) -> None:
    assert formats.detect_mime_type(encode(name)[: formats.HEAD_BYTES]) == expected


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
    assert formats.detect_mime_type(render_file(name, WORK)) == expected


@for_each(
    "content, expected",
    [
        (midi.build_midi_file("[]"), "audio/midi"),
        (b"MM\x00*" + bytes(3) + b"\x08\0\x01" + bytes(16), "image/tiff"),
        (brand(b"qt  "), "video/quicktime"),
        (brand(b"isom"), "video/mp4"),
        (brand(b"M4A "), "audio/mp4"),
        *((brand(name), "image/heic") for name in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm")),
        (brand(b"mif1"), "image/heic"),
        (brand(b"msf1"), "image/heic"),
        (brand(b"mif1", b"avif"), "image/avif"),
        (brand(b"msf1", b"avis"), "image/avif"),
        (brand(b"avis"), "image/avif"),
        (box(b"moov", bytes(8)), "video/quicktime"),
        (box(b"wide", b"") + box(b"mdat", bytes(40)) + box(b"moov", bytes(8)), "video/quicktime"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(8), "image/jxl"),
        (b"\xff\x0a\xfa\x1f" + bytes(8), "image/jxl"),
        (b"#!AMR-WB\n" + b"\x04" + bytes(17), "audio/amr-wb"),
    ],
)
def test_the_first_bytes_tell_the_format(content: bytes, expected: str) -> None:
    assert formats.detect_mime_type(content) == expected


@for_each(
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
        bytes(200_000),
        b"RIFF\0\0\0\0ACON",
        box(b"ftyp", b"crx " + bytes(8)) + box(b"moov", bytes(8)),
        box(b"ftyp", b"isom" + bytes(8)) + b"and no box",
        box(b"mdat", bytes(8)),
        b"P6 10 10 255 " + bytes(299),
        b"GIF8 fields",
        b"OggS" + bytes(40),
        b"\x1aE\xdf\xa3" + bytes(40),
    ],
)
def test_what_is_no_media_is_not_taken_for_it(content: bytes) -> None:
    """Uploads are public: a text that passes for media would leave the machine."""
    assert formats.detect_mime_type(content) is None


@pytest.mark.parametrize("count", [2, 4, 8, 12, 16, 24, 32])
def test_magic_bytes_and_then_text_are_no_media(count: int) -> None:
    for name in MADE_HERE:
        content = encode(name)[:count] + b"-----BEGIN OPENSSH PRIVATE KEY-----\n" * 40
        assert formats.detect_mime_type(io.BytesIO(content)) is None, name
        assert formats.detect_mime_type(content) is None, name


def test_broken_files_raise_nothing() -> None:
    for name in MADE_HERE:
        chance = random.Random(name)
        for number in range(20):
            content = bytearray(encode(name)[:10_000])
            for _ in range(10):
                content[chance.randrange(min(len(content), 300))] = chance.randrange(256)
            try:
                formats.detect_mime_type(io.BytesIO(content[: chance.randrange(len(content))]))
            except Exception as error:
                raise AssertionError(f"{name}, broken file {number}") from error


def test_the_file_can_be_read_from_its_beginning_afterwards() -> None:
    file = io.BytesIO(encode("a.png"))
    formats.detect_mime_type(file)
    assert file.read() == encode("a.png")


def test_every_extension_leads_back_to_its_type() -> None:
    assert {formats.MIME_TYPES[extension] for extension in formats.EXTENSIONS.values()} == set(formats.EXTENSIONS)
    assert formats.MIME_TYPES["jpeg"] == formats.MIME_TYPES["jpg"] == "image/jpeg"


@pytest.mark.parametrize("first", [b"miaf", b"1pic"])
def test_a_heic_picture_is_known_whatever_its_first_brand_is(first: bytes) -> None:
    picture = encode("a.heic").replace(b"ftypheic", b"ftyp" + first, 1)
    assert formats.detect_mime_type(picture) == "image/heic"
    assert formats.detect_mime_type(clip().replace(b"isom", first, 1)) == "video/mp4"
