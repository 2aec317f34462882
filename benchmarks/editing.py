"""Compare joining and encoding clips with plain ffmpeg: `python -m benchmarks.editing [--write docs/performance.md]`.

kie-mcp joins ten clips of 5 s and 1280 x 720, as models make them, and ten clips of 100 MB each. The time includes all
its own work: it reads the sources, makes the plan, checks the result, and moves it to its folder. Each round also
measures a plain copy of the files, and one ffmpeg command that encodes the same clips in the same way.
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
LEAST_GAIN, MAX_TO_COPY, MAX_TO_BARE = 5.0, 1.5, 1.15
"""The goals, as ratios: least gain of joining over encoding, most time of joining to a copy, of encoding to ffmpeg."""


def make_clips(program: str, folder: Path, seconds: int, *options: str) -> list[Path]:
    """Make one clip, and copy it until there are `CLIPS` clips."""
    folder.mkdir()
    first = folder / "clip-0.mp4"
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=25:duration={seconds}")
    sound = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}")
    form = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", *options)
    subprocess.run([program, "-v", "error", "-nostdin", *picture, *sound, *form, first], check=True)
    return [first, *(Path(shutil.copy(first, folder / f"clip-{number}.mp4")) for number in range(1, CLIPS))]


async def edit(clips: list[Path], folder: Path, **changes: Any) -> None:
    """Join clips as the tool `edit_media` does, up to the finished file with its name."""
    work = folder / "work"
    await anyio.Path(work).mkdir()
    given = [{"source": str(clip)} for clip in clips]
    timeline = Timeline.model_validate({"clips": [given[0] | changes, *given[1:]]})
    names = {}
    for number, ref in enumerate(timeline.files()):
        names[ref] = f"{number}.mp4"
        await anyio.Path(work / names[ref]).hardlink_to(ref)
    film = await editing.make_film(await editing.prepare(timeline, work, names), lambda _: None)
    with partial_files.open_complete_file(film.path) as part:
        part.commit(folder, "film", "mp4")


def copy(clips: list[Path], folder: Path) -> None:
    """Copy clips, one after the other, and wait until they are on disk."""
    for clip in clips:
        with clip.open("rb") as source, (folder / f"copy-{clip.name}").open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())


def encode(program: str, clips: list[Path], folder: Path) -> None:
    """Join and encode clips with one ffmpeg command, without kie-mcp."""
    target = folder / "bare.mp4"
    streams = "".join(f"[{number}:v][{number}:a]" for number, _ in enumerate(clips))
    inputs = [option for clip in clips for option in ("-i", str(clip))]
    graph = ("-filter_complex", f"{streams}concat=n={len(clips)}:v=1:a=1[v][a]", "-map", "[v]", "-map", "[a]")
    output = (*H264, *AAC, "-movflags", "+faststart", str(target))
    subprocess.run([program, "-v", "error", "-nostdin", "-y", *inputs, *graph, *output], check=True)


def measure(folder: Path, run: Callable[[], None]) -> float:
    """Return the seconds that a function takes to fill a folder, which is then emptied.

    All copies exist at once, as a film has all its bytes: a deleted copy would leave its memory to the next one.
    """
    folder.mkdir()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    shutil.rmtree(folder)
    return seconds


def measure_rounds(program: str, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return, for each kind of run, the seconds of every round; each round runs every kind once."""
    usual = make_clips(program, folder / "usual", USUAL_SECONDS)
    rate = ("-preset", "ultrafast", "-b:v", LARGE_RATE, "-minrate", LARGE_RATE, "-maxrate", LARGE_RATE)
    large = make_clips(
        program, folder / "large", LARGE_SECONDS, *rate, "-bufsize", LARGE_RATE, "-x264-params", "nal-hrd=cbr"
    )
    made = folder / "made"
    kinds = {
        "copy of the files, 100 MB each": partial(copy, large, made),
        "joined as they are, 100 MB each": partial(anyio.run, edit, large, made),
        "joined as they are": partial(anyio.run, edit, usual, made),
        "joined and encoded": partial(anyio.run, partial(edit, usual, made, volume=0.99)),
        "joined and encoded by ffmpeg alone": partial(encode, program, usual, made),
    }
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        # Memory that was just freed is written several times faster than other memory, so that without this run the
        # first kind would be slow, and the second one would gain by it.
        measure(made, partial(copy, large, made))
        for name, run in kinds.items():
            seconds[name].append(measure(made, run))
    return seconds


def compare(seconds: dict[str, list[float]], one: str, other: str) -> float:
    """Return the ratio of the seconds of two kinds of run, as the median over all rounds."""
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
    return int(gain < LEAST_GAIN or to_copy > MAX_TO_COPY or to_bare > MAX_TO_BARE)


if __name__ == "__main__":
    sys.exit(main())
