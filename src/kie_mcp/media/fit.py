"""Convert a picture so that it meets a model's limits for format, bytes and pixels; the given file is not changed."""

import math
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import PIL.Image

from kie_mcp.catalog.fields import Limits
from kie_mcp.media import formats, metadata, pictures
from kie_mcp.media.content import Content
from kie_mcp.media.integrity import find_damage

PICTURE_FORMATS = ("jpeg", "png", "webp")
"""MIME subtypes of pictures that a model probably accepts; used if KIE lists no formats for the model."""
STRIPPED_FORMATS = ("jpeg", "png", "webp", "bmp")
"""MIME subtypes of pictures whose metadata can be removed without encoding them again; BMP has no metadata."""
MAX_PIXELS = 4096 * 4096
"""Maximum number of pixels of a picture that is encoded again; larger pictures are scaled down.

No model uses more pixels.
"""
PIXEL_FACTS = ("icc_profile", "transparency")
"""Keys of `info` in Pillow that are kept when metadata is removed, because they say how to show the pixels."""
PLAIN_MODES = ("RGB", "RGBA", "L", "LA", "P", "1")
"""Pillow's modes of pictures that look the same in every program; pictures in other modes are encoded again."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A file that fits a model's limits, and a text that says what was changed."""

    content: Content
    done: str = ""
    """The changes in words, such as `HEIC made a JPEG, 4032x3024; location removed`; empty if nothing was changed."""


def fit_picture(content: Content, limits: Limits, *, keep_metadata: bool = False) -> Fitted:
    """Convert a picture so that it is upright, not too large, without metadata, and in a format that the model accepts.

    The conversion may take seconds, so call this function in a thread. A picture that is too small is not enlarged, and
    an aspect ratio that the model does not accept is not changed.

    Args:
        content: The picture; its read position is at the start of the file afterwards.
        limits: The limits of the model's field that takes the file.
        keep_metadata: True to keep EXIF and other metadata in the picture.

    Raises:
        ValueError: The picture cannot be read; the message begins with a verb, such as `is broken or cut off`.
    """
    try:
        with pictures.open_picture(content.file) as image:
            scale = _find_scale(pictures.upright_size(image), limits)
            if _must_encode(image, content, limits, keep_metadata=keep_metadata) or scale < 1:
                return _encode(image, content, limits, scale, keep_metadata=keep_metadata)
            removed = pictures.name_metadata(image)
        # Encoding would read the whole picture and find any damage. This picture is not encoded again, so it is checked
        # here.
        if damage := find_damage(content.file, content.mime_type):
            raise pictures.UnreadablePicture(damage)
        return Fitted(content) if keep_metadata else _strip(content, removed)
    finally:
        content.file.seek(0)


def accepted_pictures(limits: Limits) -> tuple[str, ...]:
    """Return the MIME subtypes of pictures that a field accepts, such as `("jpeg", "png")`."""
    named = limits.formats.split()
    return tuple(each for each in named if f"image/{each}" in formats.EXTENSIONS) or PICTURE_FORMATS


def _must_encode(image: PIL.Image.Image, content: Content, limits: Limits, *, keep_metadata: bool) -> bool:
    subtype = content.mime_type.partition("/")[2]
    is_deep = image.format == "PNG" and _read_bit_depth(content) == 16
    is_accepted = subtype in accepted_pictures(limits) and image.mode in PLAIN_MODES and not is_deep
    is_clean = keep_metadata or (subtype in STRIPPED_FORMATS and pictures.read_orientation(image) == 1)
    return not is_accepted or not is_clean or content.size > _max_bytes(limits)


def _read_bit_depth(content: Content) -> int:
    content.file.seek(24)
    return content.file.read(1)[0]


def _max_bytes(limits: Limits) -> float:
    return limits.mb * 1_000_000 if limits.mb else math.inf


def _find_scale(size: tuple[int, int], limits: Limits) -> float:
    """Return the factor, at most 1, by which width and height have to be multiplied to meet the limits."""
    side = limits.side_px[1] / max(size) if limits.side_px else 1
    area = math.sqrt(limits.pixels[1] / math.prod(size)) if limits.pixels else 1
    return min(1.0, side, area)


def _encode(image: PIL.Image.Image, content: Content, limits: Limits, scale: float, *, keep_metadata: bool) -> Fitted:
    before, removed, turned = (
        pictures.upright_size(image),
        pictures.name_metadata(image),
        pictures.read_orientation(image),
    )
    # The EXIF is read only if it is kept, because Pillow may decode all pixels of a PNG to read its EXIF.
    exif = image.getexif() if keep_metadata else None
    rendered = pictures.render_picture(image, content.file, min(scale, math.sqrt(MAX_PIXELS / math.prod(before))))
    if not keep_metadata:
        # Comments, XMP and texts are removed from `info`, because Pillow's encoders would write them into the new file.
        rendered.info = {name: value for name, value in rendered.info.items() if name in PIXEL_FACTS}
    accepted = accepted_pictures(limits)
    see_through = pictures.is_transparent(rendered)
    suitable = ("png", "webp", "jpeg") if see_through else ("jpeg", "png", "webp")
    subtype = next((each for each in suitable if each in accepted), "jpeg")
    if subtype == "jpeg":
        rendered = pictures.fill_transparency(rendered)
    if exif is not None:
        exif[pictures.ORIENTATION] = 1
    options = {"exif": exif} if exif is not None and image.format != "TIFF" else {}
    encoded = pictures.encode_picture(rendered, subtype.upper(), _max_bytes(limits), **options)
    fitted = _replace_file(content, encoded, f"image/{subtype}")
    kind, made = (formats.EXTENSIONS[each.mime_type].upper().replace("JPG", "JPEG") for each in (content, fitted))
    after = pictures.measure_picture(fitted.file)
    done = f"{kind} made a {made}" if kind != made else f"{kind} encoded again"
    done += f", {after[0]}x{after[1]}" + (f" instead of {before[0]}x{before[1]}" if after != before else "")
    done += ", turned upright" if turned != 1 else ""
    return Fitted(fitted, done if keep_metadata or not removed else f"{done}; {removed} removed")


def _strip(content: Content, removed: str) -> Fitted:
    content.file.seek(0)
    original = content.file.read()
    stripped = metadata.strip_metadata(original, content.mime_type)
    if stripped is None or len(stripped) == len(original):
        return Fitted(content)
    return Fitted(_replace_file(content, stripped, content.mime_type), f"{removed or 'metadata'} removed")


def _replace_file(content: Content, encoded: bytes, mime_type: str) -> Content:
    name = str(Path(content.name).with_suffix(f".{formats.EXTENSIONS[mime_type]}"))
    return replace(content, file=BytesIO(encoded), name=name, mime_type=mime_type, size=len(encoded))
