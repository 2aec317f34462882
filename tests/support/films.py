"""Make clips of one colour and one pitch, and read the colours and pitches from all frames of a finished film."""

import itertools
import re
import shutil
import struct
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from kie_mcp.catalog.fields import Ref
from kie_mcp.film import editing
from kie_mcp.film.editing import Edit, Film
from kie_mcp.film.timeline import Timeline
from support.encoded_media import run_ffmpeg
from support.programs import PROGRAM

COLORS = {
    "red": (255, 0, 0),
    "lime": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
PITCHES = {"red": 400, "lime": 600, "blue": 800, "yellow": 1000, "white": 1200}
"""The pitch in hertz that belongs to a colour."""
WIDTH, HEIGHT = 160, 90
WINDOW = 4800
"""Number of samples in a tenth of a second at 48 kHz."""
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


class Made(NamedTuple):
    """An edit, and the film that was made from it."""

    edit: Edit
    film: Film


@cache
def clip(
    color: str,
    seconds: float = 1,
    *options: str,
    rate: str = "25",
    size: str = f"{WIDTH}x{HEIGHT}",
    sound: float | None = -1,
    ending: str = "mp4",
) -> bytes:
    """Return a clip of one colour with the pitch that belongs to it.

    Args:
        color: The colour.
        seconds: Length of the picture.
        options: Further options of ffmpeg, such as another codec.
        rate: Frames a second.
        size: Width and height in pixels.
        sound: Length of the sound in seconds; -1 for that of the picture, None for no sound.
        ending: Ending of the file's name, which chooses its format.
    """
    picture = ("-f", "lavfi", "-i", f"color={color}:size={size}:rate={rate}:duration={seconds}")
    heard = ("-f", "lavfi", "-i", tone(PITCHES[color], seconds if sound == -1 else sound)) if sound else ()
    return run_ffmpeg(f"clip.{ending}", *picture, *heard, *H264, *options)


def tone(pitch: float, seconds: float | None) -> str:
    """Return ffmpeg's source of a tone at 48 kHz."""
    return f"sine=frequency={pitch}:sample_rate=48000:duration={seconds}"


@cache
def sound(pitch: float, seconds: float, ending: str = "wav", *options: str) -> bytes:
    """Return a sound of one pitch."""
    return run_ffmpeg(f"sound.{ending}", "-f", "lavfi", "-i", tone(pitch, seconds), *options)


async def make(timeline: Mapping[str, Any], files: Mapping[str, bytes], folder: Path, lyrics: str = "") -> Made:
    """Make a film; `files` has the content of each file that the timeline names."""
    checked = Timeline.model_validate(timeline)
    edit = await editing.prepare(checked, folder, place(checked, files, folder), lyrics)
    return Made(edit, await editing.make_film(edit, lambda _: None))


def place(timeline: Timeline, files: Mapping[str, bytes], folder: Path) -> dict[Ref, str]:
    """Write the files of a timeline to a folder under new names, and return these names."""
    names = {}
    for number, ref in enumerate(timeline.files()):
        names[ref] = f"{number}{Path(ref).suffix}"
        (folder / names[ref]).write_bytes(files[ref])
    return names


def see(path: Path, spot: str = "iw/2:ih/2") -> list[tuple[str, int]]:
    """Decode every frame, and return the colours in the order in which they come, each with its number of frames.

    Args:
        path: The film.
        spot: The point to check: x and y, in the notation of ffmpeg's filter `crop`.
    """
    colors = [name_color(pixel) for pixel in read_pixels(path, spot)]
    return [(color, len(list(group))) for color, group in itertools.groupby(colors)]


def read_pixels(path: Path, spot: str = "iw/2:ih/2") -> list[tuple[int, ...]]:
    """Return the colour at a spot of every frame."""
    filters = f"crop=2:2:{spot},format=rgb24"
    raw = decode(path, "-map", "0:V:0", "-vf", filters, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    return [tuple(raw[at : at + 3]) for at in range(0, len(raw), 12)]


def name_color(pixel: tuple[int, ...], within: int = 40) -> str:
    """Return the name of a colour, or its RGB values as text if no colour in `COLORS` is `within` this distance."""
    near = [
        name for name, color in COLORS.items() if all(abs(a - b) < within for a, b in zip(pixel, color, strict=True))
    ]
    return near[0] if near else str(pixel)


def hear(path: Path) -> list[int]:
    """Return the pitch of every tenth of a second, in hertz rounded to hundreds; 0 for silence."""
    samples = read_samples(path)
    windows = [samples[at : at + WINDOW] for at in range(0, len(samples) - WINDOW + 1, WINDOW)]
    return [measure_pitch(window) if max(map(abs, window)) > 300 else 0 for window in windows]


def measure_pitch(window: list[int]) -> int:
    """Return the pitch in hertz of a tenth of a second, rounded to hundreds."""
    crossings = sum((a < 0) != (b < 0) for a, b in itertools.pairwise(window))
    return round(crossings * 5 / 100) * 100


def read_samples(path: Path) -> list[int]:
    """Return all samples of the sound in mono at 48 kHz, between -32768 and 32767."""
    raw = decode(path, "-map", "0:a:0", "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
    return list(memoryview(raw).cast("h"))


def measure_loudness(path: Path) -> float:
    """Return the loudness of a file in LUFS."""
    command = [str(PROGRAM), "-nostdin", "-i", str(path), "-vn", "-af", "ebur128=framelog=verbose", "-f", "null", "-"]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return float(re.findall(r"I: +(-?[\d.]+) LUFS", log)[-1])


def decode(path: Path, *options: str) -> bytes:
    """Run ffmpeg on a file, and return its output; fail if ffmpeg prints a warning."""
    run = subprocess.run(
        [str(PROGRAM), "-v", "error", "-nostdin", "-i", path, *options], capture_output=True, check=True
    )
    assert run.stderr == b"", run.stderr.decode()
    return run.stdout


def packets(path: Path, stream: str) -> list[str]:
    """Return size and checksum of every packet of a stream."""
    listed = decode(path, "-map", stream, "-c", "copy", "-f", "framecrc", "-").decode()
    return [re.sub(r"^.*?, *(\d+, 0x\w+).*", r"\1", line) for line in listed.splitlines() if not line.startswith("#")]


def packet_times(path: Path, stream: str) -> list[int]:
    """Return the time of every packet in order, in units of the stream's time base."""
    listed = decode(path, "-map", stream, "-c", "copy", "-f", "framecrc", "-").decode()
    return sorted(int(line.split(",")[2]) for line in listed.splitlines() if not line.startswith("#"))


TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""For clockwise degrees, the four numbers of a display matrix that turn a picture."""


def turn(content: bytes, degrees: int = 90) -> bytes:
    """Return an MP4 file with a rotation in its index, as phones write it; players show it turned clockwise."""
    turned = bytearray(content)
    at = content.index(b"tkhd") + 44
    a, b, c, d = (number << 16 for number in TURNS[degrees])
    struct.pack_into(">9i", turned, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return bytes(turned)


def empty(folder: Path) -> Path:
    """Create an empty subfolder, and return it."""
    shutil.rmtree(folder / "edit", ignore_errors=True)
    (folder / "edit").mkdir()
    return folder / "edit"
