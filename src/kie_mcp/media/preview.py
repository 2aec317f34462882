"""Make small JPEG previews for agents: a picture of one media file, or a contact sheet (a grid of several files)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import geometric_mean
from typing import IO, NamedTuple

import anyio.to_thread
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from kie_mcp.errors import InvalidCall
from kie_mcp.media.stills import INK, LINE, PAPER, Still, render_frames, render_still

MAX_BYTES = 45_000
"""Maximum size of a preview in bytes. As base64 text, it has up to 60,000 characters, the limit of several hosts."""
MAX_LARGE_BYTES = 200_000
"""Maximum size in bytes of a preview if the caller asks for a large one; hosts cut off larger answers."""
MAX_SIDE_PX = 1024
"""Maximum length in pixels of a preview's longer side."""
MAX_FILES, FEW_FILES = 50, 9
"""Maximum number of files on a contact sheet. With more than FEW_FILES files, each is rendered at half size."""

# Previews are JPEG files: all AI models that see previews can read JPEG, but some of them cannot read WebP.
MIME_TYPE = "image/jpeg"
QUALITIES = (85, 70, 50, 35)
"""JPEG qualities, in the order in which they are tried."""
GAP_PX, CAPTION_PX, FONT_PX, INSET_PX = 8, 26, 15, 6
CLIP_FRAMES = 6
"""Number of frames in the preview of a single video."""
MIN_CELL_PX = 160
"""Minimum width in pixels of a cell of a contact sheet, so that its caption has enough room."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview picture that is within the size limit, and a text that describes the file."""

    content: bytes
    """The encoded picture; empty if the file cannot be shown. In this case, `note` says why."""
    mime_type: str
    note: str
    """Facts about the file in words, such as dimensions and length; for a contact sheet, one line for each file."""


class SheetFile(NamedTuple):
    """A file to show on a contact sheet, and its label."""

    file: IO[bytes] | None
    """The open file; None if the file was not saved."""
    path: Path
    """The path at which the file was opened."""
    label: str
    """Text in the caption of the cell; may be empty."""


async def render_preview(
    file: IO[bytes], path: Path, *, max_bytes: int = MAX_BYTES, max_side_px: int = MAX_SIDE_PX
) -> Preview:
    """Render one image, video or audio file as a small JPEG.

    Args:
        file: The open file.
        path: The path at which the file was opened; used for its extension and in messages. The content is read from
            `file`, because another file may be at this path now.
        max_bytes: Largest size of the JPEG in bytes.
        max_side_px: Largest length in pixels of the JPEG's longer side.

    Raises:
        InvalidCall: The file is broken or too large, or cannot be read.
    """
    still = await render_still(file, path, max_side_px)
    if not still.image:
        return Preview(b"", "", still.facts)
    return Preview(await anyio.to_thread.run_sync(_encode_within, still.image, max_bytes), MIME_TYPE, still.facts)


async def render_clip(
    file: IO[bytes], path: Path, *, max_bytes: int = MAX_BYTES, max_side_px: int = MAX_SIDE_PX
) -> Preview:
    """Render several frames of a video side by side as one JPEG; render a short video or another file as one picture.

    The arguments and errors are those of `render_preview()`.
    """
    preview = await render_preview(file, path, max_bytes=max_bytes, max_side_px=max_side_px)
    frames = await render_frames(file, path, CLIP_FRAMES, max_side_px // 2)
    if len(frames) < CLIP_FRAMES:
        return preview
    content = await anyio.to_thread.run_sync(_lay_out, [(each, "") for each in frames], max_bytes, max_side_px)
    facts, _, _ = preview.note.partition(", the frame at")
    return Preview(content, MIME_TYPE, f"{facts}; {CLIP_FRAMES} frames of it, each with its time.")


async def render_contact_sheet(
    files: Sequence[SheetFile], *, max_bytes: int = MAX_BYTES, max_side_px: int = MAX_SIDE_PX
) -> Preview:
    """Render several files side by side as one JPEG, and number them from 1.

    A file that cannot be shown gets an empty cell, and the text in the result says why. Only the first MAX_FILES files
    get a cell.

    Args:
        files: The files to show, in the order of their cells.
        max_bytes: Largest size of the JPEG in bytes.
        max_side_px: Largest length in pixels of the JPEG's longer side.

    Returns:
        The JPEG, and a text with one line for each file.
    """
    shown = files[:MAX_FILES]
    # With many files, the stills are rendered at half size to save memory. They are still larger than the cells.
    side_px = max_side_px if len(shown) <= FEW_FILES else max_side_px // 2
    cells = [(await _render_or_explain(each, side_px), " ".join(each.label.split())) for each in shown]
    lines = [f"{n}. {label}{': ' if label else ''}{still.facts}" for n, (still, label) in enumerate(cells, start=1)]
    if len(files) > MAX_FILES:
        lines.append(f"{len(files) - MAX_FILES} more have no room here.")
    note = "\n".join(lines)
    if not any(still.image for still, _ in cells):
        return Preview(b"", "", note)
    return Preview(await anyio.to_thread.run_sync(_lay_out, cells, max_bytes, max_side_px), MIME_TYPE, note)


async def _render_or_explain(shown: SheetFile, max_side_px: int) -> Still:
    """Render a file as a still; if this fails, return a `Still` that has no picture and says why in its facts."""
    if not shown.file:
        return Still(None, "Not saved.")
    try:
        return await render_still(shown.file, shown.path, max_side_px)
    except InvalidCall as error:
        return Still(None, str(error))


def _lay_out(cells: Sequence[tuple[Still, str]], max_bytes: int, max_side_px: int) -> bytes:
    """Draw the stills with their numbers and labels on a grid, and return the grid as JPEG."""
    columns, width, height = _grid([still.image.size for still, _ in cells if still.image], len(cells), max_side_px)
    rows = math.ceil(len(cells) / columns)
    size = (GAP_PX + columns * (width + GAP_PX), GAP_PX + rows * (height + CAPTION_PX + GAP_PX))
    canvas = PIL.Image.new("RGB", size, PAPER)
    pen, font = PIL.ImageDraw.Draw(canvas), PIL.ImageFont.load_default(size=FONT_PX)
    for place, (still, label) in enumerate(cells):
        row, column = divmod(place, columns)
        left, top = GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + CAPTION_PX + GAP_PX)
        number = f"{place + 1}"
        edge = left + font.getlength(number) + 2 * INSET_PX
        pen.rounded_rectangle((left, top, edge, top + CAPTION_PX - 4), radius=4, fill=INK)
        pen.text((left + INSET_PX, top + 2), number, fill=PAPER, font=font)
        facts = still.facts.rstrip(".") if still.image else "not shown"
        words, room = f"{label}  {facts}".strip(), left + width - edge - INSET_PX
        # If there is no room for both label and facts, only the label is shown. The preview's `note` has all facts.
        words = words if not label or font.getlength(words) <= room else label
        pen.text((edge + INSET_PX, top + 2), _shorten(words, room, font), fill=INK, font=font)
        if still.image:
            still.image.thumbnail((width, height))
            canvas.paste(still.image, (left, top + CAPTION_PX))
        else:
            pen.rectangle((left, top + CAPTION_PX, left + width - 1, top + CAPTION_PX + height - 1), outline=LINE)
    return _encode_within(canvas, max_bytes)


def _grid(sizes: Sequence[tuple[int, int]], count: int, max_side_px: int) -> tuple[int, int, int]:
    """Choose the grid of a contact sheet, so that its cells are as large as possible.

    Args:
        sizes: Width and height of each picture in pixels.
        count: Number of cells.
        max_side_px: Largest length in pixels of the contact sheet's longer side.

    Returns:
        The number of columns, and the width and the height of a cell in pixels.
    """
    ratio = min(max(geometric_mean(width / height for width, height in sizes), 0.25), 4.0)
    best, columns = 0.0, 1
    for tried in range(1, count + 1):
        rows = math.ceil(count / tried)
        height = (max_side_px - GAP_PX) / rows - GAP_PX - CAPTION_PX
        width = min((max_side_px - GAP_PX) / tried - GAP_PX, height * ratio)
        if width > best:
            best, columns = width, tried
    # Small pictures are not enlarged, so a cell needs only the width of the widest picture, but at least MIN_CELL_PX.
    largest = max(max(width, height * ratio) for width, height in sizes)
    width = max(int(min(best, max(largest, MIN_CELL_PX))), 1)
    return columns, width, max(int(width / ratio), 1)


def _shorten(text: str, width: float, font: PIL.ImageFont.ImageFont | PIL.ImageFont.FreeTypeFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _encode_within(image: PIL.Image.Image, max_bytes: int) -> bytes:
    """Encode a picture as JPEG of at most `max_bytes` bytes: first lower the quality, then the number of pixels.

    Raises:
        ValueError: Even a picture of one pixel takes more than `max_bytes`.
    """
    content = b""
    while True:
        for quality in QUALITIES:
            content = _encode_jpeg(image, quality)
            if len(content) <= max_bytes:
                return content
        if image.size == (1, 1):
            raise ValueError(f"No picture fits into {max_bytes} bytes.")
        smaller = min(math.sqrt(max_bytes / len(content)), 0.9)
        image = image.resize((max(int(image.width * smaller), 1), max(int(image.height * smaller), 1)))


def _encode_jpeg(image: PIL.Image.Image, quality: int) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, progressive=True)
    return file.getvalue()
