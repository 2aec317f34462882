"""The facts about a media file that an answer tells: pixels or length, format and size."""

from pathlib import Path

import PIL.Image

from kie_mcp.media import formats
from kie_mcp.media.length import measure_seconds

FORMAT_NAMES = {"jpg": "JPEG", "mid": "MIDI", "txt": "text", "webp": "WebP", "webm": "WebM"}
"""Names of formats, by extension, where the name is not the extension in capitals."""
EXIF_ORIENTATION = 0x0112
"""The EXIF tag of a picture's orientation; values from 5 to 8 mean a quarter turn."""


def describe_file(path: Path, mime_type: str) -> str:
    """Return the facts about a file, such as `1024x1024 PNG, 1.2 MB` or `183.4 s MP3, 4.4 MB`.

    Args:
        path: The file.
        mime_type: Its MIME type.

    Raises:
        OSError: When the file cannot be read.
    """
    extension = formats.EXTENSIONS.get(mime_type) or path.suffix.lstrip(".")
    name = FORMAT_NAMES.get(extension, extension.upper())
    return f"{_measure(path, mime_type)} {name}, {_format_bytes(path.stat().st_size)}".lstrip()


def _measure(path: Path, mime_type: str) -> str:
    """Return a picture's pixels, or the length of a clip or sound; empty when the file does not tell it."""
    kind = mime_type.partition("/")[0]
    if kind == "image":
        return _measure_pixels(path)
    if kind in ("audio", "video"):
        with path.open("rb") as file:
            seconds = measure_seconds(file)
        return f"{round(seconds, 1):g} s" if seconds else ""
    return ""


def _measure_pixels(path: Path) -> str:
    try:
        with PIL.Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(EXIF_ORIENTATION, 1) in range(5, 9)
    # Pillow does not document which errors files raise that are broken, too large, or of a format that it cannot read.
    except Exception:  # noqa: BLE001
        return ""
    return f"{height}x{width}" if turned else f"{width}x{height}"


def _format_bytes(size: int) -> str:
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1e3:.0f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"
