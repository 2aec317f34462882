"""Read the marks that the sandbox draws into clips: for each frame of a film, its clip and its place in the clip."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kie_mcp.sandbox.fake_clip import CELL_HEIGHT_PX, CELLS, LONG_SIDE_PX, MARK_PX, MARK_STEP
from support.films import decode
from support.programs import PROGRAM

DARKEST_WHITE = 60
"""Least brightness of white, from 0 to 255: after the conversion of HDR, white is darker than usual."""


TOP_ROW = CELL_HEIGHT_PX // 4
"""The row of pixels of a film that crosses the numbers of all clips, whatever the scale."""


class Area(NamedTuple):
    """The part of a film's picture that shows the whole picture of a clip; all in pixels."""

    left: int
    top: int
    width: int
    height: int


class Frame(NamedTuple):
    """A decoded frame: the brightness of each pixel, and the frame's width in pixels."""

    pixels: bytes
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, len(self.pixels) // self.width

    @property
    def top(self) -> bytes:
        """The row of pixels that crosses the number of a clip that reaches the top of the film."""
        return self.pixels[TOP_ROW * self.width : (TOP_ROW + 1) * self.width]

    def row(self, area: Area, y: float) -> bytes:
        """Return one row of pixels of an area; `y` counts from the top of the area."""
        start = (area.top + round(y)) * self.width + area.left
        return self.pixels[start : start + area.width]


def read_marks(path: Path) -> list[tuple[int, int]]:
    """Decode every frame, and return the number of its clip and its place in the clip."""
    area = Area(0, 0, *measure(path))
    return [(read_number(frame, area), read_place(frame, area)) for frame in decode_frames(path)]


def decode_frames(path: Path) -> Iterator[Frame]:
    """Decode every frame of a film."""
    width, height = measure(path)
    raw = decode(path, "-map", "0:V:0", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    return (Frame(raw[at : at + width * height], width) for at in range(0, len(raw), width * height))


def read_number(frame: Frame, area: Area) -> int:
    """Return the number of the clip from which a frame comes; 0 if there is no clip."""
    cells = read_cells(frame, area)
    white = max(*cells, DARKEST_WHITE)
    return sum((cell > white / 2) << (CELLS - 1 - place) for place, cell in enumerate(cells))


def read_cells(frame: Frame, area: Area) -> list[int]:
    """Return the brightness of each bit of a clip's number, from the highest to the lowest."""
    row = frame.row(area, CELL_HEIGHT_PX / 2 * _scale(area))
    return [row[round((cell + 0.5) * area.width / CELLS)] for cell in range(CELLS)]


def read_place(frame: Frame, area: Area) -> int:
    """Return the index of a frame in its clip, from 0; the left edge of the mark shows it. Without a mark, -1."""
    row = frame.row(area, area.height - MARK_PX / 2 * _scale(area))
    white = max(*row, DARKEST_WHITE)
    bright = [at for at, pixel in enumerate(row) if pixel > white / 2]
    return round(bright[0] / _scale(area) / MARK_STEP) if bright else -1


def _scale(area: Area) -> float:
    return max(area.width, area.height) / LONG_SIDE_PX


def measure(path: Path) -> tuple[int, int]:
    """Return the width and height of a film's picture in pixels."""
    run = subprocess.run([str(PROGRAM), "-hide_banner", "-i", path], capture_output=True, text=True, check=False)
    found = re.search(r"Video: .*?, (\d+)x(\d+)", run.stderr)
    assert found
    return int(found[1]), int(found[2])
