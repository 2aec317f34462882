"""Joining and encoding clips, beside ffmpeg itself: `python -m benchmarks.editing [--write docs/performance.md]`.

Ten clips of 5 s, 1280 x 720, as models make them, and ten of 100 MB each are joined in the same rounds by kie-mcp, with
all that it does about ffmpeg: reading the facts of the sources, the plan, the check of the result, and its place on
disk. Beside it stand a plain copy of the files, and one ffmpeg command that encodes the same clips in the same way.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import anyio

from benchmarks.document import format_table, write_block
from kie_mcp.film import editing
from kie_mcp.film.plan import AAC, H264
from kie_mcp.film.timeline import Timeline
from kie_mcp.media import ffmpeg
from kie_mcp.tasks import partial_files

CLIPS = 10
USUAL_SECONDS, LARGE_SECONDS, LARGE_RATE = 5, 10, "80M"
LEAST_GAIN, MOST_TO_COPY, MOST_TO_BARE = 5.0, 1.5, 1.15
"""The goals: how much faster a join is than encoding, and how much longer it may take than a copy, or than ffmpeg."""


def make_clips(program: str, folder: Path, seconds: int, *options: str) -> list[Path]:
    """Make one clip, and as many copies as are joined."""
    folder.mkdir()
    first = folder / "clip-0.mp4"
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=25:duration={seconds}")
    sound = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}")
    form = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", *options)
    subprocess.run([program, "-v", "error", "-nostdin", *picture, *sound, *form, first], check=True)
    return [first, *(Path(shutil.copy(first, folder / f"clip-{number}.mp4")) for number in range(1, CLIPS))]


async def edit(clips: list[Path], folder: Path, **changes: Any) -> None:
    """Join clips as the tool `edit_media` does, from the private folder to the file with its name."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    await anyio.Path(work).mkdir()
    given = [{"source": str(clip)} for clip in clips]
    timeline = Timeline.model_validate({"clips": [given[0] | changes, *given[1:]]})
    names = {}
    for number, ref in enumerate(timeline.files()):
        names[ref] = f"{number}.mp4"
        await anyio.Path(work / names[ref]).hardlink_to(ref)
    film = await editing.make_film(await editing.prepare(timeline, work, names), lambda _: None)
    with partial_files.open_complete_file(film.path) as part:
        part.commit(folder, "film", "mp4").unlink()


def copy(clips: list[Path], folder: Path) -> None:
    """Copy clips, one after the other, and wait until they are on disk."""
    for clip in clips:
        target = folder / f"copy-{clip.name}"
        with clip.open("rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        target.unlink()


def encode(program: str, clips: list[Path], folder: Path) -> None:
    """Join and encode clips with one command."""
    target = folder / "bare.mp4"
    streams = "".join(f"[{number}:v][{number}:a]" for number, _ in enumerate(clips))
    inputs = [option for clip in clips for option in ("-i", str(clip))]
    graph = ("-filter_complex", f"{streams}concat=n={len(clips)}:v=1:a=1[v][a]", "-map", "[v]", "-map", "[a]")
    output = (*H264, *AAC, "-movflags", "+faststart", str(target))
    subprocess.run([program, "-v", "error", "-nostdin", "-y", *inputs, *graph, *output], check=True)
    target.unlink()


def measure(run: Callable[[], None]) -> float:
    """Return the seconds that a function takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def measure_rounds(program: str, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return, for each kind of run, its seconds in every round; in a round, the kinds take turns."""
    usual = make_clips(program, folder / "usual", USUAL_SECONDS)
    rate = ("-preset", "ultrafast", "-b:v", LARGE_RATE, "-minrate", LARGE_RATE, "-maxrate", LARGE_RATE)
    large = make_clips(
        program, folder / "large", LARGE_SECONDS, *rate, "-bufsize", LARGE_RATE, "-x264-params", "nal-hrd=cbr"
    )
    kinds = {
        "copy of the files, 100 MB each": partial(copy, large, folder),
        "joined as they are, 100 MB each": partial(anyio.run, edit, large, folder),
        "joined as they are": partial(anyio.run, edit, usual, folder),
        "joined and encoded": partial(anyio.run, partial(edit, usual, folder, volume=0.99)),
        "joined and encoded by ffmpeg alone": partial(encode, program, usual, folder),
    }
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, run in kinds.items():
            seconds[name].append(measure(run))
    return seconds


def compare(seconds: dict[str, list[float]], one: str, other: str) -> float:
    """Return the median of the ratios of the rounds."""
    return median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


def main() -> int:
    """Measure, print, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, help="the document to write the table to")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    program = ffmpeg.find_ffmpeg()
    if not program:
        print("There is no ffmpeg here.")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure_rounds(program, Path(folder), options.rounds)
    gain = compare(seconds, "joined and encoded", "joined as they are")
    to_copy = compare(seconds, "joined as they are, 100 MB each", "copy of the files, 100 MB each")
    to_bare = compare(seconds, "joined and encoded", "joined and encoded by ffmpeg alone")
    ratios = {
        "joined as they are": f"{gain:.1f} times faster than encoded",
        "joined as they are, 100 MB each": f"{to_copy:.2f} of the copy",
        "joined and encoded": f"{to_bare:.2f} of ffmpeg alone",
    }
    rows = [[name, f"{median(each):.2f}", ratios.get(name, "")] for name, each in seconds.items()]
    table = format_table(("ten clips", "s", "in the same round"), rows)
    print(table)
    if options.write:
        write_block(options.write, "editing", "python -m benchmarks.editing --write docs/performance.md", table)
    return int(gain < LEAST_GAIN or to_copy > MOST_TO_COPY or to_bare > MOST_TO_BARE)


if __name__ == "__main__":
    sys.exit(main())
