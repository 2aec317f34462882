"""Check whether a media file is complete: the sizes in its container are checked, and a picture is decoded to its end.

If a container states no total size, and the file is cut off exactly between two parts, the damage is not detected.
"""

import os
from collections.abc import Callable
from typing import IO

import PIL.Image
import PIL.ImageSequence

from kie_mcp.media import container_checks, pictures, strips
from kie_mcp.media.container_checks import BrokenMedia

MAX_FRAMES = 1000
"""Maximum number of frames of an animation that are decoded."""
MAX_FRAME_PIXELS = 300_000_000
"""Maximum number of pixels of all frames of an animation that are decoded; this takes two seconds.

The pixels of a small frame in a large canvas count as those of the canvas, because Pillow copies the canvas for each
frame.
"""

ALWAYS_READABLE = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")
"""MIME types that every build of Pillow can read. Pillow may be unable to read undamaged files of other types."""

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
    "audio/x-caf": container_checks.check_caf,
    "audio/basic": container_checks.check_au,
    "audio/x-w64": container_checks.check_w64,
    "audio/x-ms-wma": container_checks.check_asf,
    "video/x-ms-wmv": container_checks.check_asf,
    "video/x-flv": container_checks.check_flv,
    "audio/ac3": container_checks.check_ac3,
    "audio/eac3": container_checks.check_ac3,
    "video/mp2t": container_checks.check_transport_stream,
    "video/mpeg": container_checks.check_program_stream,
    "image/x-icon": container_checks.check_icon,
    "image/svg+xml": container_checks.check_svg,
    "model/gltf-binary": container_checks.check_glb,
    "application/zip": container_checks.check_zip,
    "application/pdf": container_checks.check_pdf,
}
"""For each MIME type, the function that checks files of this type."""


def find_damage(file: IO[bytes], mime_type: str) -> str:
    """Return what is wrong with a media file; empty if no damage was found.

    Args:
        file: The file, open for reading.
        mime_type: The file's MIME type, detected by its content.

    Returns:
        A message that begins with a verb, such as `breaks off`.
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
    # Any error means damage: Pillow does not document its errors for broken files, and a wrong number in a broken file
    # may cause any kind of error.
    except Exception as error:  # noqa: BLE001
        return f"cannot be decoded ({type(error).__name__})"
    return ""


def _decode_picture(file: IO[bytes], mime_type: str) -> None:
    """Decode every frame of a picture, unless decoding would take too much memory.

    Raises:
        BrokenMedia: When the picture breaks off.
        Exception: When Pillow finds another fault in the picture.
    """
    pictures.prepare_pillow()
    try:
        file.seek(0)
        with pictures.one_at_a_time, PIL.Image.open(file) as picture:
            # For a PNG, `verify()` checks the checksums in the file.
            picture.verify()
        file.seek(0)
        with pictures.one_at_a_time, PIL.Image.open(file) as picture:
            _decode_frames(picture, file)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        return
    except ValueError as error:
        # Pillow also raises this error for a PNG that contains a very long text. The pixels may be complete, so this
        # error does not mean damage.
        if "MAX_TEXT_" not in str(error):
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
    # To save memory, `draft()` makes Pillow decode a JPEG at an eighth of its size; Pillow still reads the whole file.
    # `draft()` does not work for the second picture of an MPO (a JPEG file with several pictures, as phones write). So
    # it is called only for files with one picture.
    if not getattr(picture, "is_animated", False):
        rows = pictures.find_rows(picture, file)
        picture.draft(picture.mode, (1, 1))
    if pictures.estimate_bytes(picture, whole, in_rows=rows is not None) > pictures.MAX_DECODED_BYTES:
        return
    if rows:
        strips.join_strips(rows, whole, strips.ROWS, pictures.to_8_bits)
        return
    most = min(MAX_FRAMES, MAX_FRAME_PIXELS // (whole[0] * whole[1]))
    for number, frame in enumerate(PIL.ImageSequence.Iterator(picture), start=1):
        frame.load()
        if number >= most:
            return
