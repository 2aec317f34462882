import io
import struct

import pytest
from support.media_files import picture, sound, timed_clip

from kie_mcp.media.length import measure_seconds
from kie_mcp.sandbox.fake_media import MediaContent, render_file

WORK = MediaContent("a heron", "1")


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (sound(2.5), 2.5),
        (timed_clip(12.25), 12.25),
        (timed_clip(12.25, version=1), 12.25),
        (timed_clip(3).replace(b"isom", b"qt  "), 3),
        (render_file("1.mp4", WORK), 2.023),
        (render_file("1.mp3", WORK), 3.056),
    ],
    ids=["wav", "mp4", "mp4 of more than 136 years", "mov", "mp4 with sound", "mp3"],
)
def test_a_file_tells_its_length(data: bytes, seconds: float) -> None:
    file = io.BytesIO(data)
    assert measure_seconds(file) == pytest.approx(seconds, abs=0.001)
    assert file.tell() == 0


def test_the_longest_track_is_the_length_of_a_clip() -> None:
    """Its sound may be shorter."""
    data = render_file("1.mp4", WORK)
    place = data.index(b"mvhd") + 4 + 12
    assert data[place - 12] == 0
    longer = data[:place] + struct.pack(">II", 1000, 90_000) + data[place + 8 :]
    assert measure_seconds(io.BytesIO(longer)) == 90


@pytest.mark.parametrize(
    "data",
    [
        b"",
        picture(),
        timed_clip(0),
        timed_clip(5)[:30],
        timed_clip(5).replace(b"mvhd", b"xxxx"),
        timed_clip(5).replace(b"moov", b"xxxx"),
        timed_clip(5).replace(struct.pack(">I", 1000), bytes(4)),
        struct.pack(">I4sI4s", 8, b"ftyp", 0, b"free"),
        struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 8, b"free") * 5000,
        b"\x1aE\xdf\xa3" + bytes(400),
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + b"\xff" * 40,
    ],
)
def test_a_file_that_does_not_tell_its_length_has_none(data: bytes) -> None:
    assert measure_seconds(io.BytesIO(data)) is None
