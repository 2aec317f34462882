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
        The reasons, such as `is gif; the model takes png` or `its shorter side: 90, but the model takes 300 to 4096`.
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
    measures: tuple[tuple[str, float, tuple[float, float] | None], ...] = (
        ("its shorter side", min(width, height), limits.side_px),
        ("its longer side", max(width, height), limits.side_px),
        ("width divided by height", round(width / height, 2), limits.ratio),
        ("its pixels", width * height, limits.pixels),
    )
    return [
        f"{what}: {_format_violation(value, span)}"
        for what, value, span in measures
        if span and _is_outside(value, span)
    ]


def _find_length_problems(content: Content, span: tuple[float, float]) -> list[str]:
    """Return a list with the problem if the file is too short or too long; empty if its length is right or unknown."""
    length = measure_seconds(content.file, content.mime_type)
    if length is None or not _is_outside(length, span):
        return []
    return [f"its length in seconds: {_format_violation(round(length, 1), span)}"]


def _is_outside(value: float, span: tuple[float, float]) -> bool:
    return not span[0] <= value <= span[1]


def _format_violation(value: float, span: tuple[float, float]) -> str:
    return f"{value:g}, but the model takes {span[0]:g} to {span[1]:g}"
