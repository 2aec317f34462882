"""Whether a media file is whole: a picture is decoded to its end, another file is checked by its container's sizes.

A container that states no sizes can break off unnoticed where one of its parts ends.
"""

import os
from collections.abc import Callable
from typing import IO

import PIL.Image
import PIL.ImageSequence

from kie_mcp.media import containers
from kie_mcp.media.containers import BrokenMedia

MOST_PIXELS = 100_000_000
"""Largest number of pixels of a picture that is decoded; of a larger one, only the container is checked."""
MOST_FRAMES = 1000
"""Largest number of frames of an animation that are decoded."""

ALWAYS_READABLE = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")
"""Types that Pillow reads in every build and in every variant; it may not know a picture of another type."""

CONTAINERS: dict[str, Callable[[IO[bytes], int], None]] = {
    "image/png": containers.check_png,
    "image/gif": containers.check_gif,
    "image/webp": containers.check_riff,
    "image/tiff": containers.check_tiff,
    "image/heic": containers.check_boxes,
    "image/avif": containers.check_boxes,
    "video/mp4": containers.check_boxes,
    "video/quicktime": containers.check_boxes,
    "audio/mp4": containers.check_boxes,
    "video/webm": containers.check_ebml,
    "video/x-matroska": containers.check_ebml,
    "audio/webm": containers.check_ebml,
    "video/x-msvideo": containers.check_riff,
    "audio/wav": containers.check_wav,
    "audio/ogg": containers.check_ogg,
    "audio/flac": containers.check_flac,
    "audio/mpeg": containers.check_mp3,
    "audio/aac": containers.check_aac,
    "audio/midi": containers.check_midi,
    "audio/aiff": containers.check_aiff,
    "image/svg+xml": containers.check_svg,
    "model/gltf-binary": containers.check_glb,
    "application/zip": containers.check_zip,
    "application/pdf": containers.check_pdf,
}
"""The check of each container, by MIME type."""


def find_damage(file: IO[bytes], mime_type: str) -> str:
    """Say what is wrong with a media file; an empty string means that it is whole, as far as one can tell.

    Args:
        file: The file, open for reading.
        mime_type: Its MIME type, which `result_types.identify()` read from its content.

    Returns:
        A predicate, such as `breaks off`.
    """
    size = file.seek(0, os.SEEK_END)
    if not size:
        return "is empty"
    try:
        if check := CONTAINERS.get(mime_type):
            check(file, size)
        if mime_type.startswith("image/"):
            _decode_picture(file, mime_type)
    except BrokenMedia as error:
        return str(error)
    # Pillow does not document which errors broken files raise, and a broken number may make any check fail.
    except Exception as error:  # noqa: BLE001
        return f"cannot be decoded ({type(error).__name__})"
    return ""


def _decode_picture(file: IO[bytes], mime_type: str) -> None:
    """Decode every frame of a picture.

    Raises:
        BrokenMedia: When the picture breaks off.
        Exception: When Pillow finds another fault in the picture.
    """
    try:
        file.seek(0)
        with PIL.Image.open(file) as picture:
            # For PNG, this compares the checksums.
            picture.verify()
        file.seek(0)
        with PIL.Image.open(file) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return
            # Pillow decodes a JPEG at an eighth of its size, which takes less memory and reads as much of the file.
            picture.draft(picture.mode, (1, 1))
            for number, frame in enumerate(PIL.ImageSequence.Iterator(picture)):
                frame.load()
                if number == MOST_FRAMES:
                    return
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        return
    except ValueError as error:
        # A PNG may hold a longer text, such as a workflow, than Pillow reads.
        if "too large" not in str(error):
            raise
    except PIL.UnidentifiedImageError:
        if mime_type in ALWAYS_READABLE:
            raise
    except OSError as error:
        if "truncated" in str(error):
            raise BrokenMedia("breaks off") from None
        raise
