"""Read the picture that is stored in a sound file, such as the cover of a song."""

from contextlib import suppress
from io import BytesIO
from typing import IO

import mutagen
import PIL.Image

MAX_BYTES = 10_000_000
"""Maximum size in bytes of the picture in a sound file; a larger picture is ignored."""
QUALITIES = (80, 60, 40)
"""JPEG qualities, in the order in which they are tried."""


def read_cover(file: IO[bytes], side_px: int, max_bytes: int) -> bytes:
    """Return the picture in a sound file as a small JPEG.

    Args:
        file: The open sound file.
        side_px: Largest length in pixels of the JPEG's longer side.
        max_bytes: Largest size of the JPEG in bytes.

    Returns:
        The JPEG; empty if the file has no picture that can be read, or if even the lowest quality takes too many bytes.
    """
    with suppress(mutagen.MutagenError, OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        content = _find_picture(file)
        if 0 < len(content) <= MAX_BYTES:
            with PIL.Image.open(BytesIO(content)) as picture:
                picture.draft("RGB", (side_px, side_px))
                small = picture.convert("RGB")
            small.thumbnail((side_px, side_px))
            for quality in QUALITIES:
                small.save(written := BytesIO(), "JPEG", quality=quality)
                if written.tell() <= max_bytes:
                    return written.getvalue()
    return b""


def _find_picture(file: IO[bytes]) -> bytes:
    """Return the first picture in the tags of a sound file (MP3, WAV, M4A, FLAC, Ogg), still encoded; empty if none."""
    sound = mutagen.File(file)
    if sound is None:
        return b""
    if pictures := getattr(sound, "pictures", None):
        return bytes(pictures[0].data)
    tags = sound.tags or {}
    # Iterating over the tags of Ogg, FLAC and WMA files would give pairs instead of names.
    for name in tags.keys():  # noqa: SIM118
        if name.startswith("APIC"):
            return bytes(tags[name].data)
    return bytes(next(iter(tags.get("covr", ())), b""))
