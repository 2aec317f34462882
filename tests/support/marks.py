"""Read the marks of the sandbox's clips in a film: which clip each frame is of, and its place there."""

import re
import subprocess
from pathlib import Path

from kie_mcp.sandbox.fake_clip import CELL_HEIGHT_PX, CELLS, LONG_SIDE_PX, MARK_PX, MARK_STEP
from support.films import decode
from support.programs import PROGRAM


def read_marks(path: Path) -> list[tuple[int, int]]:
    """Decode every frame, and return the number of its clip and its place in the clip."""
    width, height = measure(path)
    scale = max(width, height) / LONG_SIDE_PX
    raw = decode(path, "-map", "0:V:0", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    frames = (raw[at : at + width * height] for at in range(0, len(raw), width * height))
    return [(read_number(frame, width, scale), read_place(frame, width, height, scale)) for frame in frames]


def read_number(frame: bytes, width: int, scale: float) -> int:
    """Return the number of the clip that a frame is of."""
    row = round(CELL_HEIGHT_PX / 2 * scale) * width
    bits = (frame[row + round((cell + 0.5) * width / CELLS)] > 128 for cell in range(CELLS))
    return sum(bit << (CELLS - 1 - cell) for cell, bit in enumerate(bits))


def read_place(frame: bytes, width: int, height: int, scale: float) -> int:
    """Return the place of a frame in its clip, counted from 0, by the left edge of its mark."""
    row = (height - round(MARK_PX / 2 * scale)) * width
    bright = [at for at in range(width) if frame[row + at] > 128]
    return round((bright[0] / scale if bright else -1) / MARK_STEP)


def measure(path: Path) -> tuple[int, int]:
    """Return the width and height of a film's picture in pixels."""
    run = subprocess.run([str(PROGRAM), "-hide_banner", "-i", path], capture_output=True, text=True, check=False)
    found = re.search(r"Video: .*?, (\d+)x(\d+)", run.stderr)
    assert found
    return int(found[1]), int(found[2])
