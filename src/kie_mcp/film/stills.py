"""Convert picture files to formats that every build of ffmpeg reads: a still to PNG, an animation to APNG."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import PIL.Image

from kie_mcp import disk
from kie_mcp.film.graph import MOVING_ENDING, STILL_ENDING
from kie_mcp.media import pictures

MAX_STILL_PIXELS = 3840 * 2160
"""Maximum number of pixels of one picture; larger ones are scaled down, or refused if they are animations."""
MAX_FILM_PIXELS = 240_000_000
"""Maximum number of pixels of all still pictures of a film together, because ffmpeg holds all of them in memory."""
ANIMATED_FORMATS = ("GIF", "WEBP", "PNG")
"""Pillow's names of formats that may be animated. TIFF is left out: Pillow treats the pages of a TIFF as frames."""
MAX_MOVING_PIXELS = 30_000_000
"""Maximum number of pixels of all frames of an animation together; the frames of larger animations are scaled down.

There is a maximum because Pillow needs 8 bytes of memory for each of these pixels.
"""
SMALLEST_SCALE = 0.25
"""Minimum factor for scaling an animation down; an animation that needs a smaller factor is refused."""
SHORTEST_FRAME, USUAL_FRAME = 20, 100
"""In milliseconds: a frame whose time is below SHORTEST_FRAME is shown for USUAL_FRAME, as browsers do."""


def write_picture(file: IO[bytes], folder: Path, stem: str, clips: int = 1) -> str:
    """Convert a picture or an animation for ffmpeg: turned upright, in RGB, and on white if it is transparent.

    Args:
        file: The file with the picture.
        folder: The private folder.
        stem: The name of the new file without its extension.
        clips: The number of clips of the film; if there are many, each picture gets fewer pixels.

    Returns:
        The name of the new file. Its extension is `.apng` for an animation, and `.png` for any other picture.

    Raises:
        UnreadablePicture: When the picture cannot be read, or an animation is too large.
    """
    still, moving = folder / f"{stem}{STILL_ENDING}", folder / f"{stem}{MOVING_ENDING}"
    with pictures.open_picture(file) as image:
        if image.format not in ANIMATED_FORMATS or not getattr(image, "is_animated", False):
            _write_still(image, file, still, min(MAX_STILL_PIXELS, MAX_FILM_PIXELS // max(clips, 1)))
            return still.name
        _write_moving(image, moving)
    with PIL.Image.open(moving) as made:
        moves = getattr(made, "is_animated", False)
    # If all frames are equal, Pillow writes a still. This file must not be named `.apng`, which means an animation.
    return moving.name if moves else moving.rename(still).name


def _write_still(image: PIL.Image.Image, file: IO[bytes], target: Path, max_pixels: int) -> None:
    width, height = pictures.upright_size(image)
    scale = min(1, math.sqrt(max_pixels / (width * height)))
    shown = pictures.fill_transparency(pictures.render_picture(image, file, scale)).convert("RGB")
    with disk.create_file(target) as written:
        shown.save(written, "PNG", compress_level=1)


def _write_moving(image: PIL.Image.Image, target: Path) -> None:
    count, pixels = getattr(image, "n_frames", 1), image.width * image.height
    scale = min(1, math.sqrt(MAX_MOVING_PIXELS / (count * pixels)))
    if scale < SMALLEST_SCALE or pixels > MAX_STILL_PIXELS:
        raise pictures.UnreadablePicture(
            f"is an animation of {count} frames of {image.width} x {image.height}, too much to take apart here: "
            "save it as MP4 first"
        )
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    times: list[int] = []
    frames = list(_read_frames(image, count, size, times))
    with disk.create_file(target) as written:
        frames[0].save(
            written, "PNG", save_all=True, append_images=frames[1:], duration=times, compress_level=1, loop=1
        )


def _read_frames(
    image: PIL.Image.Image, count: int, size: tuple[int, int], times: list[int]
) -> Iterator[PIL.Image.Image]:
    """Yield the frames of an animation; append to `times` the milliseconds for which each frame is shown."""
    for number in range(count):
        image.seek(number)
        image.load()
        shown = pictures.fill_transparency(image.convert("RGBA")).convert("RGB")
        told = round(image.info.get("duration", 0))
        times.append(told if told >= SHORTEST_FRAME else USUAL_FRAME)
        yield shown if shown.size == size else shown.resize(size)
