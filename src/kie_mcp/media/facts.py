"""Describe a media file in a few words, such as `1024x1024 PNG, 1.2 MB`; tools show these words to the user."""

from pathlib import Path

from kie_mcp import disk
from kie_mcp.media import formats, pictures
from kie_mcp.media.lengths import measure_seconds

FORMAT_NAMES = {"jpg": "JPEG", "mid": "MIDI", "txt": "text", "webp": "WebP", "webm": "WebM"}
"""For each file extension, the format's name, if the name is not simply the extension in capital letters."""


def describe_file(path: Path, mime_type: str) -> str:
    """Describe a file in words, such as `1024x1024 PNG, 1.2 MB` or `183.4 s MP3, 4.4 MB`.

    Args:
        path: The path of the file to describe.
        mime_type: The file's MIME type.

    Raises:
        OSError: The file cannot be read.
    """
    extension = formats.EXTENSIONS.get(mime_type) or path.suffix.lstrip(".")
    name = FORMAT_NAMES.get(extension, extension.upper())
    return f"{_measure(path, mime_type)} {name}, {_format_bytes(path.stat().st_size)}".lstrip()


def _measure(path: Path, mime_type: str) -> str:
    """Return width and height of a picture, or the length of a clip or sound; empty if they are unknown."""
    kind = mime_type.partition("/")[0]
    if kind == "image":
        return _measure_pixels(path)
    if kind in ("audio", "video"):
        with disk.open_file(path) as file:
            seconds = measure_seconds(file, mime_type)
        return f"{round(seconds, 1):g} s" if seconds else ""
    return ""


def _measure_pixels(path: Path) -> str:
    try:
        with disk.open_file(path) as file:
            return "x".join(map(str, pictures.measure_picture(file)))
    except pictures.UnreadablePicture:
        return ""


def _format_bytes(size: int) -> str:
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1e3:.0f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"
