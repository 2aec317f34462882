"""Check before an upload whether a file is within a model's limits for format, size, length and pixels."""

from typing import IO

import PIL.Image

from kie_mcp.catalog.fields import Limits
from kie_mcp.media.content import Content
from kie_mcp.media.lengths import measure_seconds


def find_problems(content: Content, limits: Limits) -> list[str]:
    """List the reasons why a model would refuse a file; an empty list means that the model accepts it.

    Args:
        content: The file; its read position is at the start of the file afterwards.
        limits: The limits of the model's field that takes the file.

    Returns:
        The reasons, such as `is gif; the model takes png` or `has a length of 90 s; the model takes 2 to 15 s`. With
        the file's name before it, each reason is a sentence.
    """
    kind, _, subtype = content.mime_type.partition("/")
    problems: list[str] = []
    if limits.formats and subtype not in limits.formats.split():
        problems.append(f"is {subtype}; the model takes {', '.join(limits.formats.split())}")
    if limits.mb and content.size > limits.mb * 1_000_000:
        problems.append(f"has {content.size / 1_000_000:.1f} MB; the model takes up to {limits.mb:g} MB")
    if not problems and kind == "image" and (limits.side_px or limits.ratio or limits.pixels):
        problems += _find_image_problems(content.file, limits)
    if not problems and kind in ("audio", "video") and limits.seconds:
        problems += _find_length_problems(content, limits.seconds)
    content.file.seek(0)
    return problems


def _find_image_problems(file: IO[bytes], limits: Limits) -> list[str]:
    try:
        with PIL.Image.open(file) as picture:
            width, height = picture.size
    except PIL.Image.DecompressionBombError:
        return ["has more pixels than any model takes"]
    # A file that Pillow cannot read, such as HEIC in some installations, passes this check, and KIE checks it later.
    # Pillow may raise any error for such a file.
    except Exception:  # noqa: BLE001
        return []
    measures: tuple[tuple[str, float, str, tuple[float, float] | None], ...] = (
        ("a shorter side of", min(width, height), " px", limits.side_px),
        ("a longer side of", max(width, height), " px", limits.side_px),
        ("a width divided by height of", width / height, "", limits.ratio),
        ("a total of", width * height, " pixels", limits.pixels),
    )
    return [
        _describe_violation(what, value, unit, span)
        for what, value, unit, span in measures
        if span and _is_outside(value, span)
    ]


def _find_length_problems(content: Content, span: tuple[float, float]) -> list[str]:
    """Return a list with the problem if the file is too short or too long; empty if its length is right or unknown."""
    length = measure_seconds(content.file, content.mime_type)
    if length is None or not _is_outside(length, span):
        return []
    return [_describe_violation("a length of", length, " s", span)]


def _is_outside(value: float, span: tuple[float, float]) -> bool:
    return not span[0] <= value <= span[1]


def _describe_violation(what: str, value: float, unit: str, span: tuple[float, float]) -> str:
    least = f"{_format(span[0])} to" if span[0] else "up to"
    # Two decimals are enough, unless they would show the limit itself: 2.5004 is above 2.5.
    shown = next(short for digits in range(2, 20) if _is_outside(short := round(value, digits), span))
    return f"has {what} {_format(shown)}{unit}; the model takes {least} {_format(span[1])}{unit}"


def _format(number: float) -> str:
    return f"{number:,.10g}"
