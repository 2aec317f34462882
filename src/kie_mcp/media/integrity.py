"""Whether a media file is whole: a picture is decoded to its end, another file is checked by its container's sizes.

A container that states no sizes can break off unnoticed where one of its parts ends.
"""

import os
from collections.abc import Callable
from typing import IO

import PIL.Image
import PIL.ImageSequence

from kie_mcp.media import container_checks, pictures, strips
from kie_mcp.media.container_checks import BrokenMedia

MOST_FRAMES = 1000
"""Largest number of frames of an animation that are decoded."""

ALWAYS_READABLE = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")
"""Types that Pillow reads in every build and in every variant; it may not know a picture of another type."""

CONTAINERS: dict[str, Callable[[IO[bytes], int], None]] = {
    "image/jpeg": container_checks.check_jpeg,
    "image/png": container_checks.check_png,
    "image/gif": container_checks.check_gif,
    "image/webp": container_checks.check_riff,
    "image/tiff": container_checks.check_tiff,
    "image/heic": container_checks.check_boxes,
    "image/avif": container_checks.check_boxes,
    "video/mp4": container_checks.check_boxes,
    "video/quicktime": container_checks.check_boxes,
    "video/3gpp": container_checks.check_boxes,
    "audio/mp4": container_checks.check_boxes,
    "audio/quicktime": container_checks.check_boxes,
    "audio/3gpp": container_checks.check_boxes,
    "video/webm": container_checks.check_ebml,
    "video/x-matroska": container_checks.check_ebml,
    "audio/webm": container_checks.check_ebml,
    "audio/x-matroska": container_checks.check_ebml,
    "video/x-msvideo": container_checks.check_riff,
    "audio/wav": container_checks.check_wav,
    "audio/ogg": container_checks.check_ogg,
    "video/ogg": container_checks.check_ogg,
    "audio/flac": container_checks.check_flac,
    "audio/mpeg": container_checks.check_frames,
    "audio/aac": container_checks.check_frames,
    "audio/midi": container_checks.check_midi,
    "audio/aiff": container_checks.check_aiff,
    "image/svg+xml": container_checks.check_svg,
    "model/gltf-binary": container_checks.check_glb,
    "application/zip": container_checks.check_zip,
    "application/pdf": container_checks.check_pdf,
}
"""The check of each container, by MIME type."""


def find_damage(file: IO[bytes], mime_type: str) -> str:
    """Say what is wrong with a media file; an empty string means that it is whole, as far as one can tell.

    Args:
        file: The file, open for reading.
        mime_type: Its MIME type, which was read from its content.

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
    """Decode every frame of a picture, unless that takes too much memory; then only its container was checked.

    Raises:
        BrokenMedia: When the picture breaks off.
        Exception: When Pillow finds another fault in the picture.
    """
    pictures.prepare_pillow()
    try:
        file.seek(0)
        with pictures.one_at_a_time, PIL.Image.open(file) as picture:
            # For PNG, this compares the checksums.
            picture.verify()
        file.seek(0)
        with pictures.one_at_a_time, PIL.Image.open(file) as picture:
            _decode_frames(picture, file)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        return
    except ValueError as error:
        # Pillow refuses a PNG with a very long text inside, although the picture itself may be whole.
        if "too large" not in str(error):
            raise
    except PIL.UnidentifiedImageError:
        if mime_type in ALWAYS_READABLE:
            raise
    except OSError as error:
        if "truncated" in str(error):
            raise BrokenMedia("breaks off") from None
        raise


def _decode_frames(picture: PIL.Image.Image, file: IO[bytes]) -> None:
    whole, rows = picture.size, None
    # Pillow decodes a JPEG at an eighth of its size, which takes less memory and reads as much of the file.
    # The second picture of an MPO, as phones write it, cannot be decoded like that.
    if not getattr(picture, "is_animated", False):
        rows = pictures.find_rows(picture, file)
        picture.draft(picture.mode, (1, 1))
    if pictures.estimate_bytes(picture, whole, in_rows=rows is not None) > pictures.MAX_DECODED_BYTES:
        return
    if rows:
        strips.join_strips(rows, whole, strips.ROWS, pictures.to_8_bits)
        return
    for number, frame in enumerate(PIL.ImageSequence.Iterator(picture)):
        frame.load()
        if number == MOST_FRAMES:
            return
