"""A small picture of what a task made, for an agent to look at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import geometric_mean

import anyio.to_thread
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from kie_mcp.errors import InvalidCall
from kie_mcp.media.stills import INK, LINE, PAPER, Still, still

BUDGET = 200_000
"""Bytes; hosts cut larger answers."""
SIDE = 1024
"""Pixels of the longer side."""
MOST = 20
"""Files of one sheet."""

# Every host's model reads JPEG; some know no WebP.
MIME_TYPE = "image/jpeg"
QUALITIES = (85, 70, 50, 35)
GAP, CAPTION, FONT_PX, INSET = 8, 26, 15, 6
NARROWEST = 160
"""Pixels of a cell, as a caption needs them."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture within its budget, and what there is to say of it."""

    content: bytes
    """Empty when nothing can be shown, which the note explains."""
    mime_type: str
    note: str
    """Size, length, what is missing; of a sheet a line for each file."""


async def picture(path: Path, *, budget: int = BUDGET, side: int = SIDE) -> Preview:
    """Show one file: a picture, a clip or a sound.

    Args:
        path: The file.
        budget: Bytes of the result, at most.
        side: Pixels of its longer side, at most.

    Raises:
        InvalidCall: When the file is not there, broken, or too large.
    """
    seen = await still(path, side)
    if not seen.image:
        return Preview(b"", "", seen.facts)
    return Preview(await anyio.to_thread.run_sync(_packed, seen.image, budget), MIME_TYPE, seen.facts)


async def sheet(files: Sequence[tuple[Path | None, str]], *, budget: int = BUDGET, side: int = SIDE) -> Preview:
    """Show several files side by side, numbered from 1.

    One that cannot be shown takes its place with the reason for that; after MOST, the others are left out.

    Args:
        files: Each with its label, which may be empty; None is a file that was not saved.
        budget: Bytes of the result, at most.
        side: Pixels of its longer side, at most.
    """
    shown = [(await _tried(path, side), " ".join(label.split())) for path, label in files[:MOST]]
    lines = [f"{n}. {label}{': ' if label else ''}{seen.facts}" for n, (seen, label) in enumerate(shown, start=1)]
    if len(files) > MOST:
        lines.append(f"{len(files) - MOST} more have no room here.")
    note = "\n".join(lines)
    if not any(seen.image for seen, _ in shown):
        return Preview(b"", "", note)
    return Preview(await anyio.to_thread.run_sync(_laid_out, shown, budget, side), MIME_TYPE, note)


async def _tried(path: Path | None, side: int) -> Still:
    if not path:
        return Still(None, "Not saved.")
    try:
        return await still(path, side)
    except InvalidCall as error:
        return Still(None, str(error))


def _laid_out(shown: Sequence[tuple[Still, str]], budget: int, side: int) -> bytes:
    columns, width, height = _grid([seen.image.size for seen, _ in shown if seen.image], len(shown), side)
    rows = math.ceil(len(shown) / columns)
    size = (GAP + columns * (width + GAP), GAP + rows * (height + CAPTION + GAP))
    canvas = PIL.Image.new("RGB", size, PAPER)
    pen, font = PIL.ImageDraw.Draw(canvas), PIL.ImageFont.load_default(size=FONT_PX)
    for place, (seen, label) in enumerate(shown):
        row, column = divmod(place, columns)
        left, top = GAP + column * (width + GAP), GAP + row * (height + CAPTION + GAP)
        number = f"{place + 1}"
        edge = left + font.getlength(number) + 2 * INSET
        pen.rounded_rectangle((left, top, edge, top + CAPTION - 4), radius=4, fill=INK)
        pen.text((left + INSET, top + 2), number, fill=PAPER, font=font)
        words = f"{label}  {seen.facts.rstrip('.') if seen.image else 'not shown'}".strip()
        pen.text((edge + INSET, top + 2), _cut(words, left + width - edge - INSET, font), fill=INK, font=font)
        if seen.image:
            seen.image.thumbnail((width, height))
            canvas.paste(seen.image, (left, top + CAPTION))
        else:
            pen.rectangle((left, top + CAPTION, left + width - 1, top + CAPTION + height - 1), outline=LINE)
    return _packed(canvas, budget)


def _grid(sizes: Sequence[tuple[int, int]], count: int, side: int) -> tuple[int, int, int]:
    """How many columns, and how wide and high a cell is, for pictures of these sizes to be seen best."""
    ratio = min(max(geometric_mean(width / height for width, height in sizes), 0.25), 4.0)
    best, columns = 0.0, 1
    for tried in range(1, count + 1):
        rows = math.ceil(count / tried)
        height = (side - GAP) / rows - GAP - CAPTION
        width = min((side - GAP) / tried - GAP, height * ratio)
        if width > best:
            best, columns = width, tried
    # Small pictures do not grow.
    largest = max(max(width, height * ratio) for width, height in sizes)
    width = max(int(min(best, max(largest, NARROWEST))), 1)
    return columns, width, max(int(width / ratio), 1)


def _cut(text: str, width: float, font: PIL.ImageFont.ImageFont | PIL.ImageFont.FreeTypeFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _packed(image: PIL.Image.Image, budget: int) -> bytes:
    """The picture as JPEG: coarser, then smaller, until it fits."""
    content = b""
    while True:
        for quality in QUALITIES:
            content = _jpeg(image, quality)
            if len(content) <= budget:
                return content
        if image.size == (1, 1):
            raise ValueError(f"No picture fits into {budget} bytes.")
        smaller = min(math.sqrt(budget / len(content)), 0.9)
        image = image.resize((max(int(image.width * smaller), 1), max(int(image.height * smaller), 1)))


def _jpeg(image: PIL.Image.Image, quality: int) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, progressive=True)
    return file.getvalue()
