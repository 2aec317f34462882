"""Decode pictures of all formats to upright pictures in sRGB with 8 bits a channel, with limited use of memory."""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from typing import IO

import PIL.Image
import PIL.ImageChops

MAX_PIXELS = 64_000_000
"""Maximum number of pixels of a picture; only a JPEG that can be scaled down during decoding may have more."""
HALVED_PIXELS = 40_000_000
"""If a JPEG has more pixels than this, it is decoded at half its width and height."""
SUBFILE_TYPE, ORIENTATION, MAKE, MODEL, GPS = 0x00FE, 0x0112, 0x010F, 0x0110, 0x8825
"""Numbers of TIFF and EXIF tags."""
TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""For each EXIF orientation, the transposition that makes the picture upright."""


class UnreadablePicture(ValueError):
    """The picture cannot be read; the message is a sentence without a subject, such as `is broken or cut off`."""


@contextmanager
def open_picture(file: IO[bytes]) -> Iterator[PIL.Image.Image]:
    """Open a picture without decoding it.

    Raises:
        UnreadablePicture: The picture cannot be read. Every error inside the `with` block also becomes this error.
    """
    _prepare_pillow()
    file.seek(0)
    try:
        with PIL.Image.open(file) as image:
            yield image
    except UnreadablePicture:
        raise
    except PIL.Image.DecompressionBombError:
        raise UnreadablePicture("has more pixels than any model takes") from None
    except PIL.UnidentifiedImageError:
        raise UnreadablePicture("is no picture that can be read here") from None
    except MemoryError:
        raise UnreadablePicture("is too large for this machine's memory") from None
    # Pillow does not document which errors broken files raise.
    except Exception as error:  # noqa: BLE001
        raise UnreadablePicture(f"is broken or cut off ({type(error).__name__})") from None


def read_exif(image: PIL.Image.Image) -> PIL.Image.Exif:
    """Return a copy of the EXIF metadata of an open picture; empty if the picture has none, or if it is broken."""
    exif = PIL.Image.Exif()
    with suppress(Exception):
        # If a PNG's EXIF comes after its pixels, getexif() would decode all pixels, so this EXIF is not read.
        if image.format != "PNG" or "exif" in image.info:
            exif.load(image.getexif().tobytes())
    return exif


def read_orientation(image: PIL.Image.Image) -> int:
    """Return the EXIF orientation: 1 is upright; 5 to 8 are quarter turns, which swap width and height."""
    # Pillow makes TIFF pictures upright by itself.
    given = 1 if image.format == "TIFF" else read_exif(image).get(ORIENTATION, 1)
    return given if isinstance(given, int) else 1


def upright_size(image: PIL.Image.Image) -> tuple[int, int]:
    """Return width and height in pixels that a picture has after it is turned upright."""
    width, height = image.size
    return (height, width) if read_orientation(image) >= 5 else (width, height)


def measure_picture(file: IO[bytes]) -> tuple[int, int]:
    """Return width and height in pixels that a picture has after it is turned upright, and rewind the file.

    Raises:
        UnreadablePicture: The picture cannot be read.
    """
    try:
        with open_picture(file) as image:
            return upright_size(image)
    finally:
        file.seek(0)


def name_metadata(image: PIL.Image.Image) -> str:
    """Return the kinds of metadata in a picture, such as `location and camera data`; empty if none is found."""
    exif = read_exif(image)
    names = ["location"] * bool(exif.get_ifd(GPS)) + ["camera data"] * bool(exif.get(MAKE) or exif.get(MODEL))
    # In a TIFF, the other tags are not metadata: they describe the pixels.
    has_more = image.format != "TIFF" and set(exif) - {ORIENTATION}
    return " and ".join(names) or "metadata" * bool(has_more)


def render_picture(image: PIL.Image.Image, scale: float) -> PIL.Image.Image:
    """Decode an open picture, scale it down, turn it upright, and convert it to sRGB (Pillow's mode L, RGB or RGBA).

    Args:
        image: The open picture.
        scale: Factor for width and height, at most 1. For a JPEG with more than HALVED_PIXELS, it is at most 0.5.

    Raises:
        UnreadablePicture: The picture has too many pixels, or is a camera's raw picture.
    """
    _check_pixels(image)
    is_jpeg, is_adobe = _is_jpeg(image), "adobe" in image.info
    if image.format == "TIFF" and int(image.tag_v2.get(SUBFILE_TYPE, 0)) & 1:  # type: ignore[attr-defined]
        raise UnreadablePicture("is a camera's raw picture, of which only a small preview can be read")
    if is_jpeg and image.width * image.height > HALVED_PIXELS:
        scale = min(scale, 0.5)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    profile, turn = image.info.get("icc_profile"), TURNS.get(read_orientation(image))
    image.draft(image.mode, size)
    image.load()
    # Adobe inverts the colours of a CMYK JPEG. Pillow always undoes this, also for JPEGs of other programs.
    plain = PIL.ImageChops.invert(image) if is_jpeg and image.mode == "CMYK" and not is_adobe else image
    plain = to_8_bits(plain)
    if plain.size != size:
        plain = plain.resize(size, PIL.Image.Resampling.LANCZOS, reducing_gap=3)
    plain = _to_srgb(plain, profile)
    return plain.transpose(turn) if turn is not None else plain


def to_8_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return a picture in RGB, RGBA, L or CMYK; values above 255 are scaled down, where Pillow would cut them off."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = image.convert("F")
        low, high = (float(each) for each in values.getextrema())  # type: ignore[arg-type]
        black, white = (0.0, _find_white(image.mode, high)) if low >= 0 else (low, high)
        factor = 255 / (white - black or 1)
        return values.point(lambda value: value * factor - black * factor).convert("L")
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB")


def _is_jpeg(image: PIL.Image.Image) -> bool:
    # Phones write JPEG files that contain a second picture. Pillow calls this format MPO.
    return image.format in ("JPEG", "MPO")


def _check_pixels(image: PIL.Image.Image) -> None:
    # A progressive JPEG cannot be scaled down during decoding to save memory.
    is_scaled = _is_jpeg(image) and not image.info.get("progressive")
    if image.width * image.height > MAX_PIXELS and not is_scaled:
        raise UnreadablePicture(f"has {image.width * image.height / 1e6:.0f} megapixels, too many to convert it here")


def _find_white(mode: str, highest: float) -> float:
    """Return the value of a white pixel: the first of the usual values (such as 255) that is not below `highest`."""
    usual = (1, 255, 65535) if mode == "F" else (65535,)
    return next((each for each in usual if highest <= each), highest)


def is_transparent(image: PIL.Image.Image) -> bool:
    """Return True if at least one pixel of a picture is transparent or partly transparent."""
    return image.mode == "RGBA" and image.getchannel("A").getextrema()[0] < 255  # type: ignore[operator]


def fill_transparency(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return the picture on a white background, without transparency."""
    if image.mode != "RGBA":
        return image
    ground = PIL.Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def encode_picture(image: PIL.Image.Image, image_format: str, max_bytes: float = math.inf, **options: object) -> bytes:
    """Encode a picture with at most `max_bytes` bytes: lower the quality of a JPEG first, then the number of pixels.

    Args:
        image: The picture.
        image_format: Pillow's name of the format, such as `JPEG`.
        max_bytes: Largest size in bytes; a picture of one pixel may be larger.
        options: Pillow's options for the encoder.
    """
    qualities: tuple[dict[str, int], ...] = ({"quality": 95}, {"quality": 90}, {"quality": 85})
    while True:
        size = 0
        for quality in qualities if image_format == "JPEG" else ({},):
            file = BytesIO()
            image.save(file, image_format, **quality, **options)
            size = file.tell()
            if size <= max_bytes or image.size == (1, 1):
                return file.getvalue()
        factor = min(0.95 * math.sqrt(max_bytes / size), 0.9)
        image = image.resize((max(int(image.width * factor), 1), max(int(image.height * factor), 1)))


def _to_srgb(image: PIL.Image.Image, profile: bytes | None) -> PIL.Image.Image:
    if image.mode == "L":
        return image
    if profile and not re.search(rb"s\0?R\0?G\0?B", profile):
        from PIL import ImageCms

        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        # A colour profile may be broken or made for another number of channels. Then the colours stay unchanged.
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            target = ImageCms.createProfile("sRGB")
            colours = image.convert("RGB") if alpha else image
            image = ImageCms.profileToProfile(colours, BytesIO(profile), target, outputMode="RGB") or image
            if alpha:
                image.putalpha(alpha)
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")


@cache
def _prepare_pillow() -> None:
    # Pillow's warning about large pictures is not needed, because `_check_pixels()` refuses too large pictures.
    warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
    # On Windows on ARM, the package pi-heif is not available, so HEIC pictures cannot be read there.
    with suppress(ImportError):
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False)
