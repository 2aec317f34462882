"""Which files are whole, and which break off or hold something else."""

import io
import struct
import zipfile
import zlib
from importlib.resources import files

import PIL.Image
import PIL.PngImagePlugin
import pytest
from support import media_files
from support.encoded_media import MADE_HERE, TYPES, encode, encode_picture, piped_wav

from kie_mcp.media import formats, pictures, result_types
from kie_mcp.media.integrity import find_damage

SANDBOX = files("kie_mcp.sandbox") / "media"
NOISE = PIL.Image.effect_noise((60, 40), 100)


def noise(image_format: str, **how: object) -> bytes:
    """A picture in which every byte counts."""
    return encode_picture(NOISE.convert("RGB"), image_format, **how)


def animation(image_format: str) -> bytes:
    others = [NOISE.convert("RGB").rotate(90 * turn) for turn in (1, 2)]
    return noise(image_format, save_all=True, append_images=others)


def streamed_wav(size: bytes) -> bytes:
    """WAV of a program that does not know the size when it writes the header, and writes another one."""
    return piped_wav().replace(b"\xff" * 4, size)


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("vocals.mp3", media_files.mp3(5))
    return file.getvalue()


def tag(size: int) -> bytes:
    """An ID3 tag with `size` bytes of a cover."""
    return b"ID3\4\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + b"\x01" * size


ID3 = tag(50)
LAST_OGG_PAGE = b"OggS\0\4" + bytes(20) + b"\1\xff" + bytes(255)
WHOLE = {
    "JPEG": noise("JPEG"),
    "progressive JPEG": noise("JPEG", progressive=True),
    "PNG": noise("PNG"),
    "WebP": noise("WEBP"),
    "animated WebP": animation("WEBP"),
    "GIF": animation("GIF"),
    "BMP": noise("BMP"),
    "TIFF": noise("TIFF"),
    "AVIF": noise("AVIF"),
    "HEIC": media_files.clip((b"meta", bytes(100)), (b"mdat", bytes(1000))).replace(b"isom", b"heic"),
    "MP4": (SANDBOX / "clip.mp4").read_bytes(),
    "MP4 with its index first": media_files.clip(),
    "MP4 with its index last": media_files.clip((b"mdat", bytes(1000)), (b"moov", bytes(100))),
    "MP4 in fragments": media_files.clip((b"moov", b"i"), *((b"moof", b"i"), (b"mdat", bytes(50))) * 3),
    "MOV": media_files.clip().replace(b"isom", b"qt  "),
    "M4A": media_files.clip().replace(b"isom", b"M4A "),
    "WebM": media_files.webm(),
    "WAV": media_files.sound(0.1),
    "MP3 with a tag": (SANDBOX / "song.mp3").read_bytes(),
    "MP3": media_files.mp3(),
    "Ogg": media_files.ogg(),
    "AAC": media_files.aac(),
    "FLAC": media_files.flac(20),
    "MIDI": media_files.midi(20),
    "AIFF": b"FORM" + struct.pack(">I", 504) + b"AIFFCOMM" + bytes(496),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'>" + b"<path/>" * 300 + b"</svg>",
    "SVG without content": b"<svg xmlns='http://www.w3.org/2000/svg' data-note='" + b"x" * 300 + b"'/>",
    "SVG with spaces in its last tag": b"<svg xmlns='http://www.w3.org/2000/svg'>" + b"<path/>" * 99 + b"</svg >",
    "SVG with a prefix": b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'>" + b"<svg:g/>" * 99 + b"</svg:svg>",
    "SVG with entities": b"<!DOCTYPE svg [<!ENTITY a 'b>'>]><svg>" + b"<path d='&a;'/>" * 99 + b"</svg>",
    "BigTIFF": noise("TIFF", big_tiff=True),
    "FLAC after a tag": ID3 + media_files.flac(20),
    "AAC after a tag": ID3 + media_files.aac(),
    "3D model": b"glTF" + struct.pack("<II", 2, 512) + bytes(500),
    "ZIP": archive(),
    "PDF": b"%PDF-1.7\n" + b"\n" * 500 + b"%%EOF\n",
}
"""Files that state their own length, so that a cut is noticed wherever it is."""
LENIENT = {
    "MP4 before zeros": media_files.clip() + bytes(40),
    "MP4 whose media data go to the end": media_files.clip((b"moov", b"i")) + b"\0\0\0\0mdat" + bytes(100),
    "MP4 with 64-bit lengths": media_files.clip((b"moov", b"i")) + struct.pack(">I4sQ", 1, b"mdat", 26) + bytes(10),
    "live WebM": media_files.webm(live=True),
    "WAV from a pipe": piped_wav(),
    "MP3 after zeros": b"ID3\4\0\0\0\0\0\0" + bytes(500) + media_files.mp3(),
    "MP3 before a tag": media_files.mp3() + b"TAG" + bytes(125),
    "MP3 after two tags": tag(100) + tag(100_000) + media_files.mp3(),
    "AAC after a large tag": tag(100_000) + media_files.aac(),
    "FLAC after a large tag": tag(100_000) + media_files.flac(),
    "Ogg before zeros": media_files.ogg() + bytes(100),
    "Ogg before a tag": media_files.ogg() + b"TAG" + bytes(125),
    "Ogg before anything": media_files.ogg() + LAST_OGG_PAGE + b"made by a program",
    "chained Ogg": media_files.ogg() + LAST_OGG_PAGE + media_files.ogg(),
    **{f"MP4 before {count} bytes": media_files.clip() + b"\r\n made"[:count] for count in (1, 2, 7)},
    "MP4 before an ID3 tag": media_files.clip() + b"TAG" + bytes(125),
    "MP4 before XMP": media_files.clip() + b"<?xpacket begin?>" + b"x" * 300,
    "AVIF with more behind": noise("AVIF") + b"more" * 40,
    "GIF with much more behind": animation("GIF") + b"more" * 40,
    "GIF with zeros between its blocks": animation("GIF")[:-1] + bytes(3) + b";",
    "WAV whose size counts its whole header": WHOLE["WAV"][:4]
    + struct.pack("<I", len(WHOLE["WAV"]))
    + WHOLE["WAV"][8:],
    "WAV with another large size": streamed_wav(b"\0\xff\xff\x3f"),
    "WAV without a size": streamed_wav(bytes(4)),
    "SVG before a comment": b"<svg></svg><!--" + b"x" * 5000 + b"-->",
    "SVG with an unknown entity": b"<svg>&nbsp;" + b"<path/>" * 300 + b"</svg>",
    "SVG with more behind": b"<svg></svg>more",
    "PNG with more behind": noise("PNG") + b"more",
    "JPEG with more behind": noise("JPEG") + b"more",
}
"""Files that are unusual, and whole."""


def damage(content: bytes) -> str:
    file = io.BytesIO(content)
    mime_type = result_types.identify(file, declared="", url="https://files.example/a")
    return find_damage(file, mime_type) if mime_type else "is no media file"


def test_a_whole_file_has_no_damage() -> None:
    found = {name: damage(content) for name, content in (WHOLE | LENIENT).items()}
    assert {name: told for name, told in found.items() if told} == {}


def test_what_programs_write_has_no_damage() -> None:
    found = {name: find_damage(io.BytesIO(encode(name)), mime_type) for name, mime_type in MADE_HERE.items()}
    assert {name: told for name, told in found.items() if told} == {}


def test_what_programs_write_is_known_whatever_the_host_calls_it() -> None:
    files = {name: io.BytesIO(encode(name)) for name in MADE_HERE}
    called = {"declared": "text/html", "url": "https://files.example/a"}
    assert {name: result_types.identify(file, **called) for name, file in files.items()} == MADE_HERE


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_a_file_that_breaks_off_is_noticed(share: float) -> None:
    cuts = {name: whole[: max(int(len(whole) * share), formats.MAGIC_BYTES)] for name, whole in WHOLE.items()}
    assert [name for name, cut in cuts.items() if not damage(cut)] == []


BREAK_OFF = (
    "a.wma",
    "a.wmv",
    "a.flv",
    "a.mpg",
    "a.ts",
    "a.m2ts",
    "a.ac3",
    "a.eac3",
    "rf64.wav",
    "pcm.caf",
    "a.au",
    "a.w64",
)


@pytest.mark.parametrize("name", [name for name in (*BREAK_OFF, "a.ico") if name in MADE_HERE])
def test_a_file_of_a_rarer_kind_that_breaks_off_is_noticed(name: str) -> None:
    whole = encode(name)
    for share in (0.3, 0.7, 0.99):
        # The last byte of the cut is a part of a packet, whatever the size of packets is.
        cut = int(len(whole) * share) // 192 * 192 + 101
        assert find_damage(io.BytesIO(whole[:cut]), TYPES[name])


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (b".snd" + struct.pack(">II", 24, 0xFFFF_FFFF) + bytes(100), "audio/basic"),
        (b"caff\0\1\0\0data" + b"\xff" * 8 + bytes(100), "audio/x-caf"),
        (bytes(16) + b"\xff" * 7 + b"\x7f" + bytes(100), "audio/x-w64"),
        (b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + bytes(28) + b"fmt \0\0\0\0data\xff\xff\xff\xff", "audio/wav"),
        (bytes(16) + struct.pack("<Q", 40) + bytes(32) + b"\0" * 8 + bytes(50), "audio/x-ms-wma"),
    ],
)
def test_a_sound_from_a_pipe_that_states_no_length_is_whole(content: bytes, mime_type: str) -> None:
    assert find_damage(io.BytesIO(content), mime_type) == ""


@pytest.mark.parametrize("name", ["PNG", "GIF", "MP4", "WebM", "WAV", "MP3", "Ogg", "AAC", "MIDI"])
def test_one_missing_byte_is_noticed(name: str) -> None:
    assert damage(WHOLE[name][:-1]) == "breaks off"


@pytest.mark.parametrize(
    ("content", "mime_type", "expected"),
    [
        (b"", "video/mp4", "is empty"),
        (media_files.clip((b"mdat", bytes(100))), "video/mp4", "has no index or no media data"),
        (media_files.clip((b"moov", bytes(100))), "video/mp4", "has no index or no media data"),
        (
            media_files.ebml("1a45dfa3", b"") + media_files.ebml("18538067", b""),
            "video/webm",
            "has no tracks or no media data",
        ),
        (media_files.ebml("1a45dfa3", b"") + media_files.ebml("1654ae6b", b""), "video/webm", "has no segment"),
        (media_files.webm(behind=bytes(20)), "video/webm", "is garbled"),
        (b"RIFF\x04\0\0\0WAVE", "audio/wav", "has no format or no samples"),
        (b"ID3\4\0\0\0\0\0\0" + bytes(500), "audio/mpeg", "has no sound"),
        (media_files.ogg() + b"<html>" + bytes(40), "audio/ogg", "is garbled"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), "image/png", "breaks off"),
        (b"\xff\xd8\xff" + bytes(400), "image/jpeg", "cannot be decoded (UnidentifiedImageError)"),
    ],
)
def test_what_is_missing_is_named(content: bytes, mime_type: str, expected: str) -> None:
    assert find_damage(io.BytesIO(content), mime_type) == expected


def test_a_picture_of_two_halves_of_different_pictures_is_noticed() -> None:
    one, other = noise("PNG"), animation("PNG")
    length = min(len(one), len(other))
    assert damage(one[: length // 2] + other[length // 2 :])


def test_a_mp3_is_as_long_as_its_xing_header_says() -> None:
    def song(announced: int) -> bytes:
        head = b"\xff\xfb\x90\x00" + bytes(32) + b"Xing" + struct.pack(">III", 3, 10, announced)
        return head.ljust(417, b"\0") + media_files.mp3(2)

    assert damage(song(3 * 417)) == ""
    assert damage(song(3 * 417 + 1)) == "breaks off"


def test_a_picture_with_a_very_long_text_is_whole() -> None:
    """Programs write their whole workflow into a PNG."""
    text = PIL.PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    long = noise("PNG", pnginfo=text)
    assert damage(long) == ""
    assert damage(long[:-20]) == "breaks off"
    with pictures.open_picture(io.BytesIO(long)) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_very_many_pixels_is_looked_at_to_its_end(*, progressive: bool) -> None:
    vast = encode_picture(PIL.Image.new("L", (12_000, 9000), 128), "JPEG", progressive=progressive)
    assert damage(vast) == ""
    assert damage(vast + bytes(2_000_000)) == ""
    assert damage(vast[: len(vast) // 2]) == "breaks off"


def test_the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg() -> None:
    exif = PIL.Image.Exif()
    exif[0x927C] = b"\xff\xd9"
    whole = noise("JPEG", exif=exif)
    assert whole.count(b"\xff\xd9") > 1
    assert damage(whole) == ""
    assert damage(whole[:-200]) == "breaks off"


def test_a_picture_with_very_many_pixels_is_not_decoded() -> None:
    """Its pixels would take gigabytes; the chunks tell that it is whole."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0), b"IDAT", b"IEND")
    vast = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )
    assert damage(vast) == ""


@pytest.mark.parametrize(("broken", "is_found"), [(2, True), (25, False)])
def test_the_frames_of_an_animation_are_decoded_up_to_a_number_of_pixels(broken: int, *, is_found: bool) -> None:
    """Otherwise, a file of some kilobytes would keep all pictures of all callers waiting for minutes."""
    side = 4000
    start = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    # Each frame has one pixel; a code size of 15 bits is more than GIF allows.
    frames = (
        b"," + struct.pack("<HHHHB", n, n, 1, 1, 0) + (b"\x0f" if n == broken else b"\x02") + b"\x02\x44\x01\0"
        for n in range(30)
    )
    assert bool(find_damage(io.BytesIO(start + b"".join(frames) + b";"), "image/gif")) == is_found
