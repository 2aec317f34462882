"""Decode pictures of all formats to upright pictures in sRGB with 8 bits a channel, without using much memory."""

import gc
import math
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from typing import IO, Any

import PIL.Image
import PIL.ImageChops
import PIL.PngImagePlugin

from kie_mcp.media import strips

MAX_PIXELS = 50_000_000
"""Maximum number of pixels of a picture that is decoded as a whole; see `_decode()` for larger pictures."""
MAX_DECODED_BYTES = 4 * MAX_PIXELS
"""Maximum memory for decoding a picture, in bytes; Pillow holds 4 bytes for each pixel."""
HALVED_PIXELS, HALVED_HEIC_PIXELS = 34_000_000, 25_000_000
"""Number of pixels above which a picture is scaled to at most half its width and height, to save memory.

The second number is for HEIC pictures.
"""
STRIPPED_PIXELS = 4_000_000
"""Number of pixels above which a PNG or HEIC picture is decoded in strips, a few rows at a time."""
BAND_ROWS, BAND_OVERLAP = 256, 4
"""Number of rows that `_resize()` computes at once, and number of extra rows above and below them that it cuts off."""
BYTES_PER_PIXEL = {"WEBP": 16, "AVIF": 10, "TIFF": 8, "HEIF": 8, "F": 16, "I": 16, "I;16": 12, "P": 5}
"""Bytes of memory that decoding one pixel takes, by Pillow's name of the picture's format or mode; otherwise, 4 bytes.

These values were measured. They are high if the decoder holds a second copy, or if a picture with more than 8 bits a
channel is converted in several steps.
"""
RETURNED_BYTES = 4_000_000
"""On Linux, glibc immediately returns freed blocks of at least this size, in bytes, to the operating system."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of two settings for glibc's `mallopt()`, from malloc.h."""
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
"""For each EXIF orientation except 1 (upright), the transposition that makes the picture upright."""


one_at_a_time = threading.RLock()
"""Lock that lets only one thread decode a picture at a time, to save memory."""


class UnreadablePicture(ValueError):
    """The picture cannot be read; the message begins with a verb, such as `is broken or cut off`."""


@contextmanager
def open_picture(file: IO[bytes]) -> Iterator[PIL.Image.Image]:
    """Open a picture without decoding it; other threads cannot open a picture until the `with` block ends.

    Raises:
        UnreadablePicture: The picture cannot be read. Every error inside the `with` block also becomes this error.
    """
    prepare_pillow()
    file.seek(0)
    try:
        with one_at_a_time, PIL.Image.open(file) as image:
            yield image
    except UnreadablePicture:
        raise
    except PIL.Image.DecompressionBombError:
        raise UnreadablePicture("has more pixels than any model takes") from None
    except PIL.UnidentifiedImageError:
        raise UnreadablePicture("is no picture that can be read here") from None
    except MemoryError:
        raise UnreadablePicture("is too large for this machine's memory") from None
    # Pillow does not document which errors a broken file can cause. So every other error counts as a broken picture.
    except Exception as error:  # noqa: BLE001
        raise UnreadablePicture(f"is broken or cut off ({type(error).__name__})") from None


def read_exif(image: PIL.Image.Image) -> PIL.Image.Exif:
    """Return a copy of an open picture's EXIF metadata; empty if the picture has none, or if the EXIF is broken."""
    exif = PIL.Image.Exif()
    with suppress(Exception):
        # The EXIF of a PNG is read only if it comes before the pixels: otherwise, `getexif()` would decode all pixels.
        if image.format != "PNG" or "exif" in image.info:
            exif.load(image.getexif().tobytes())
    return exif


def read_orientation(image: PIL.Image.Image) -> int:
    """Return the EXIF orientation of a picture: 1 is upright; from 5 to 8, width and height are exchanged."""
    # The orientation of TIFF pictures is ignored, because Pillow makes them upright by itself.
    given = 1 if image.format == "TIFF" else read_exif(image).get(ORIENTATION, 1)
    return given if isinstance(given, int) else 1


def upright_size(image: PIL.Image.Image) -> tuple[int, int]:
    """Return width and height, in pixels, of a picture after it is turned upright."""
    width, height = image.size
    return (height, width) if read_orientation(image) >= 5 else (width, height)


def measure_picture(file: IO[bytes]) -> tuple[int, int]:
    """Return width and height, in pixels, of a picture after it is turned upright; also rewind the file.

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
    # For a TIFF, only location and camera data are reported, because every TIFF has tags that describe its pixels.
    has_more = image.format != "TIFF" and set(exif) - {ORIENTATION}
    return " and ".join(names) or "metadata" * bool(has_more)


def render_picture(image: PIL.Image.Image, file: IO[bytes], scale: float) -> PIL.Image.Image:
    """Decode an open picture, scale it down, turn it upright, and convert it to sRGB (Pillow's mode L, RGB or RGBA).

    Args:
        image: The open picture; its own pixels must not be used afterwards.
        file: The file from which the picture was opened.
        scale: Factor for width and height, at most 1; for a picture with more than HALVED_PIXELS, at most 0.5 is used.

    Raises:
        UnreadablePicture: Decoding the picture would take too much memory, or it is a camera's raw picture.
    """
    is_jpeg, is_adobe = _is_jpeg(image), "adobe" in image.info
    if image.format == "TIFF" and int(image.tag_v2.get(SUBFILE_TYPE, 0)) & 1:  # type: ignore[attr-defined]
        raise UnreadablePicture("is a camera's raw picture, of which only a small preview can be read")
    if image.width * image.height > (HALVED_HEIC_PIXELS if image.format == "HEIF" else HALVED_PIXELS):
        scale = min(scale, 0.5)
    # Sides are rounded down, because otherwise the picture might have more pixels than the scale was computed for. But
    # a side such as 4095.9999999 is 4096, without the error of the multiplication.
    width, height = (max(int(round(side * scale, 6)), 1) for side in image.size)
    size = (width, height)
    profile, turn = image.info.get("icc_profile"), TURNS.get(read_orientation(image))
    plain = _decode(image, file, size)
    # Pillow inverts the colours of every CMYK JPEG. This is right for files from Adobe's programs, which store inverted
    # colours. For files from other programs, the colours are inverted back here.
    if is_jpeg and plain.mode == "CMYK" and not is_adobe:
        plain = PIL.ImageChops.invert(plain)
    if plain.size != size:
        plain = _resize(plain, size)
    if plain is not image:
        # To free memory, the decoded pixels of the given picture are replaced by a single pixel. The file stays open.
        image.im = PIL.Image.new("L", (1, 1)).im
    plain = _to_srgb(plain, profile)
    return plain.transpose(turn) if turn is not None else plain


def _decode(image: PIL.Image.Image, file: IO[bytes], size: tuple[int, int]) -> PIL.Image.Image:
    """Decode a picture to 8 bits a channel, if possible directly in a size that is only a little larger than `size`.

    JPEG pictures are scaled down by the decoder. Large PNG and HEIC pictures are decoded and scaled down in strips. So
    pictures in these formats may have more than MAX_PIXELS.
    """
    factor = 1 << int(math.log2(min(image.width / size[0], image.height / size[1], strips.ROWS)))
    rows, whole = find_rows(image, file), image.size
    image.draft(image.mode, size)
    needed = estimate_bytes(image, whole, in_rows=rows is not None)
    if needed > MAX_DECODED_BYTES:
        megapixels = whole[0] * whole[1] / 1e6
        raise UnreadablePicture(
            f"has {megapixels:.0f} megapixels and takes {needed / 1e6:.0f} MB of memory to decode, of "
            f"{MAX_DECODED_BYTES / 1e6:.0f} MB allowed here: scale it down first, or save it as JPEG"
        )
    if whole[0] * whole[1] > STRIPPED_PIXELS:
        _give_memory_back()
    if rows:
        return strips.join_strips(rows, whole, factor, to_8_bits)
    image.load()
    return to_8_bits(image)


def find_rows(image: PIL.Image.Image, file: IO[bytes]) -> Iterator[PIL.Image.Image] | None:
    """Return the strips of an open picture if it is large and can be decoded a few rows at a time; otherwise, None."""
    return strips.find_strips(image, file) if image.width * image.height > STRIPPED_PIXELS else None


def estimate_bytes(image: PIL.Image.Image, whole: tuple[int, int], *, in_rows: bool = False) -> float:
    """Estimate the memory that decoding an open picture takes, in bytes.

    Args:
        image: The open picture, after `draft()` has set the size to which a JPEG is decoded.
        whole: Width and height of the picture before `draft()`.
        in_rows: True if the picture is decoded a few rows at a time.
    """
    pixels, whole_pixels = image.width * image.height, whole[0] * whole[1]
    if in_rows:
        # libheif holds two copies of a HEIC picture: in the file's colour format, with 1.5 bytes a pixel, and in RGB.
        # Of a PNG, only a few rows are in memory.
        return whole_pixels * 4 if image.format == "HEIF" else 0
    if image.info.get("progressive"):
        # The decoder holds all coefficients of a progressive JPEG, with 2 bytes each, even if it scales the picture
        # down.
        samples = [each[1] * each[2] for each in image.layer]  # type: ignore[attr-defined]
        return float(2 * whole_pixels * sum(samples) / max(samples) + 4 * pixels)
    return pixels * max(BYTES_PER_PIXEL.get(image.format or "", 4), BYTES_PER_PIXEL.get(image.mode, 4))


def _resize(image: PIL.Image.Image, size: tuple[int, int]) -> PIL.Image.Image:
    """Return a smaller copy of a picture; resize it in bands to save memory.

    If Pillow resized it as a whole, it would first make a copy with the full height.
    """
    resized, step = PIL.Image.new(image.mode, size), image.height / size[1]
    for top in range(0, size[1], BAND_ROWS):
        first, last = max(top - BAND_OVERLAP, 0), min(top + BAND_ROWS + BAND_OVERLAP, size[1])
        upper, lower = first * step, min(last * step, image.height)
        band = image.crop((0, int(upper), image.width, math.ceil(lower)))
        box = (0, upper - int(upper), image.width, lower - int(upper))
        band = band.resize((size[0], last - first), PIL.Image.Resampling.LANCZOS, box)
        resized.paste(band.crop((0, top - first, size[0], band.height)), (0, top))
    return resized


def to_8_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Convert a picture to mode RGB, RGBA, L or CMYK.

    The values of a picture with more than 8 bits a channel are scaled to at most 255; Pillow would cut them off at 255.
    """
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
    # MPO is Pillow's name for a JPEG file with several pictures; phones write such files.
    return image.format in ("JPEG", "MPO")


def _find_white(mode: str, highest: float) -> float:
    """Return the value that counts as white in a picture with this mode and this highest value.

    In modes with 16 bits, this is 65535. In the modes `I` and `F`, with 32 bits, programs also store the values of
    pictures with fewer bits. So it is the smallest usual maximum, such as 255, that is at least `highest`; if there is
    none, it is `highest`.
    """
    usual = (1, 255, 4095, 65535) if mode in ("I", "F") else (65535,)
    return next((each for each in usual if highest <= each), highest)


def is_transparent(image: PIL.Image.Image) -> bool:
    """Return True if any pixel of a picture is at least partly transparent."""
    return image.mode == "RGBA" and image.getchannel("A").getextrema()[0] < 255  # type: ignore[operator]


def fill_transparency(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return the picture on a white background, so that no pixel is transparent."""
    if image.mode != "RGBA":
        return image
    ground = PIL.Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def encode_picture(image: PIL.Image.Image, image_format: str, max_bytes: float = math.inf, **options: object) -> bytes:
    """Encode a picture in at most `max_bytes` bytes: first lower the quality of a JPEG, then the number of pixels.

    Args:
        image: The picture to encode.
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
            file.close()
        factor = min(0.95 * math.sqrt(max_bytes / size), 0.9)
        image = _resize(image, (max(int(image.width * factor), 1), max(int(image.height * factor), 1)))


def _to_srgb(image: PIL.Image.Image, profile: bytes | None) -> PIL.Image.Image:
    if image.mode == "L":
        return image
    if profile and not re.search(rb"s\0?R\0?G\0?B", profile):
        from PIL import ImageCms

        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        # If the colour profile is broken, or made for another number of channels, the colours stay unchanged.
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            target = ImageCms.createProfile("sRGB")
            colours = image.convert("RGB") if alpha else image
            image = ImageCms.profileToProfile(colours, BytesIO(profile), target, outputMode="RGB") or image
            if alpha:
                image.putalpha(alpha)
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")


@cache
def prepare_pillow() -> None:
    """Let Pillow read HEIC pictures, and let glibc give freed memory back early; call this before any decoding."""
    # Pillow's warning about large pictures is switched off, because `_decode()` refuses pictures that are too large.
    warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
    # By default, Pillow opens no PNG with a compressed text above 1 MB, such as a drawing program's whole document.
    PIL.PngImagePlugin.MAX_TEXT_CHUNK = PIL.PngImagePlugin.MAX_TEXT_MEMORY
    # The package pi-heif does not exist for Windows on ARM. There, HEIC pictures cannot be read.
    with suppress(ImportError):
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False)
    if glibc := _find_glibc():
        # By default, glibc keeps freed blocks of up to 32 MB for later use. After a few pictures, these blocks take 170
        # MB of memory. So the limit of 32 MB is lowered.
        glibc.mallopt(_M_MMAP_THRESHOLD, RETURNED_BYTES)
        glibc.mallopt(_M_TRIM_THRESHOLD, RETURNED_BYTES)
    _give_memory_back()


def _give_memory_back() -> None:
    """Give freed memory back to the operating system, so that memory does not grow with each picture."""
    gc.collect()
    if glibc := _find_glibc():
        glibc.malloc_trim(0)


@cache
def _find_glibc() -> Any:
    """Return the C library if it is glibc, which can give memory back to the operating system; otherwise, None."""
    if sys.platform == "linux":
        import ctypes

        # C libraries other than glibc do not have the function `malloc_trim`.
        with suppress(OSError):
            library = ctypes.CDLL(None)
            return library if hasattr(library, "malloc_trim") else None
    return None
