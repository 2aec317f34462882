"""The facts about a file that an answer tells."""

from pathlib import Path

import PIL.Image
import pytest
from support.media_files import photo, picture, sound
from support.threads import run_in_thread

from kie_mcp.media.facts import describe_file
from kie_mcp.sandbox.fake_media import MediaContent, render_file

WORK = MediaContent("a fox", "1", "16:9")


def turned(width: int, height: int) -> bytes:
    """Return a picture that lies on its side."""
    import io

    exif, file = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (width, height)).save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "mime_type", "facts"),
    [
        (picture(1024, 768), "image/png", "1024x768 PNG, "),
        (picture(40, 30, "JPEG"), "image/jpeg", "40x30 JPEG, "),
        (turned(40, 30), "image/jpeg", "30x40 JPEG, "),
        (sound(12.34), "audio/wav", "12.3 s WAV, 99 kB"),
        (render_file("a.mp4", WORK), "video/mp4", "2 s MP4, "),
        (render_file("a.mp3", WORK), "audio/mpeg", "3.1 s MP3, "),
        (b"MThd" + bytes(20), "audio/midi", "MIDI, 24 bytes"),
        (b"{}", "application/json", "JSON, 2 bytes"),
        (b"", "", "BIN, 0 bytes"),
        (b"\x89PNG\r\n\x1a\n broken", "image/png", "PNG, 15 bytes"),
        (b"RIFF broken", "audio/wav", "WAV, 11 bytes"),
        (bytes(2_345_678), "video/webm", "WebM, 2.3 MB"),
    ],
)
def test_a_file_is_told_in_few_words(content: bytes, mime_type: str, facts: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    assert run_in_thread(describe_file, path, mime_type).startswith(facts)


def test_a_picture_of_many_pixels_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photo(2048, 1365).save(path)
    assert describe_file(path, "image/png").startswith("2048x1365 PNG, ")
