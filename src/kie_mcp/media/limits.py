"""What a model takes of a file, held against the file before a byte of it is sent."""

from dataclasses import dataclass
from typing import IO

import mutagen
import PIL.Image

from kie_mcp.catalog.fields import Limits


@dataclass(frozen=True, slots=True)
class Content:
    """A file's content, ready to be sent."""

    file: IO[bytes]
    name: str
    mime_type: str
    size: int


def problems(content: Content, limits: Limits) -> list[str]:
    """Why a model would refuse a file, in words; empty when it takes it."""
    kind, _, subtype = content.mime_type.partition("/")
    found: list[str] = []
    if limits.formats and subtype not in limits.formats.split():
        found.append(f"is {subtype}; the model takes {', '.join(limits.formats.split())}")
    if limits.mb and content.size > limits.mb * 1_000_000:
        found.append(f"has {content.size / 1_000_000:.1f} MB; the model takes up to {limits.mb:g} MB")
    if not found and kind == "image" and (limits.side_px or limits.ratio or limits.pixels):
        found += _picture_problems(content.file, limits)
    if not found and kind in ("audio", "video") and limits.seconds:
        found += _length_problems(content.file, limits.seconds)
    content.file.seek(0)
    return found


def _picture_problems(file: IO[bytes], limits: Limits) -> list[str]:
    try:
        with PIL.Image.open(file) as picture:
            width, height = picture.size
    except PIL.Image.DecompressionBombError:
        return ["has more pixels than any model takes"]
    except (OSError, ValueError):
        # A format that Pillow cannot read, such as HEIC: KIE will tell.
        return []
    measures: tuple[tuple[str, float, tuple[float, float] | None], ...] = (
        ("its shorter side", min(width, height), limits.side_px),
        ("its longer side", max(width, height), limits.side_px),
        ("width divided by height", round(width / height, 2), limits.ratio),
        ("its pixels", width * height, limits.pixels),
    )
    return [f"{what}: {_outside(value, span)}" for what, value, span in measures if span and _is_outside(value, span)]


def _length_problems(file: IO[bytes], span: tuple[float, float]) -> list[str]:
    try:
        info = getattr(mutagen.File(file), "info", None)
    except mutagen.MutagenError:
        info = None
    length = getattr(info, "length", 0)
    return (
        [f"its length in seconds: {_outside(round(length, 1), span)}"] if length and _is_outside(length, span) else []
    )


def _is_outside(value: float, span: tuple[float, float]) -> bool:
    return not span[0] <= value <= span[1]


def _outside(value: float, span: tuple[float, float]) -> str:
    return f"{value:g}, but the model takes {span[0]:g} to {span[1]:g}"
