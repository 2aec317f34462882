"""Measure the memory that large files need: `python -m benchmarks.files [--beside PYTHON] [--write DOCUMENT]`.

The files are pictures of up to 40 MB, a clip of 2 GB and long sounds. A server process uploads each file, gives it to a
model, saves it as a model's result, and shows it; the server has to refuse some files. Then six calls at once show the
picture with the most pixels, and KIE sends a very large answer that gzip makes small. The limits apply to the memory
above that of the idle server, including ffmpeg. PYTHON is the interpreter of an environment with another build of
kie-mcp, which is measured for comparison. `--write docs/performance.md` writes the tables.
"""

import argparse
import gzip
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
from starlette.responses import Response

from benchmarks.document import format_table, write_block
from benchmarks.measured_server import Call, Measured, MeasuredServer, ScriptedKie, measured_server
from kie_mcp.media.ffmpeg import find_ffmpeg

LIMIT, LIMIT_FOR_SIX = 250.0, 400.0
"""Most megabytes above the idle server's memory that are allowed for one call, and for six calls at once."""
CLIP_BYTES = 2_000_000_000
PHOTO = 8064, 6048
"""Size of a phone's largest photo, in pixels: 48 megapixels."""
BOMB_BYTES = 500_000_000
"""Size in bytes, without compression, of KIE's very large answer."""
MAX_PIXELS = "9400x9400.png"
SOUND = ("-f", "lavfi", "-i", "sine=sample_rate=44100:duration=3600")
NOISE = ("-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25:duration=2,noise=alls=80:allf=t")
CLIPS_AND_SOUNDS = {
    "an-hour.mp3": (*SOUND, "-b:a", "64k", "-compression_level", "9"),
    "2-gigabytes.mp4": (*NOISE, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "12"),
    "3840x2160.mkv": ("-f", "lavfi", "-i", "testsrc2=size=3840x2160:duration=1", "-c:v", "mjpeg", "-q:v", "2"),
    "16384x8704.mp4": ("-f", "lavfi", "-i", "color=size=16384x8704:rate=1:duration=1", "-preset", "ultrafast"),
}
"""ffmpeg's arguments for each clip and sound; the clip of 2 GB is repeated until it has that size."""
TOOLS = {
    "image": ("nano_banana_image", "images", "nano_banana_image"),
    "video": ("runway_aleph", "video", "veo_video"),
    "audio": ("elevenlabs_isolate", "audio", "elevenlabs_speech"),
}
"""For each medium: a tool, its argument that takes a file of this medium, and a tool that makes such files."""
STEPS = ("upload_file", "a model's input", "a model's result", "view_media")
REFUSALS = {
    ("24-megapixels.webp", "view_media"): "takes 390 MB of memory to decode",
    ("an-hour.mp3", "a model's input"): "the model takes up to 10 MB",
    ("16384x8704.mp4", "view_media"): "frames of up to 36 megapixels are decoded here",
}
"""For each file and step that has to be refused, a part of the answer; all other steps have to succeed."""


@dataclass(frozen=True)
class Row:
    """A row of the table: a file, and the measurements of its steps."""

    name: str
    megabytes: float
    runs: tuple[Measured, ...]
    """The measurements, one for each of `STEPS`."""

    @property
    def memory(self) -> float:
        """The most memory that a step took, in megabytes."""
        return max(run.memory for run in self.runs)

    @property
    def cells(self) -> list[str]:
        """The cells of the table."""
        steps = [f"{run.memory:.0f}{' (refused)' * bool(find_refusal(run))}" for run in self.runs]
        seconds = sum(run.seconds for run in self.runs)
        ratio = f"{self.memory / self.megabytes:,.2f}"
        return [self.name, f"{self.megabytes:,.1f}", *steps, f"{self.memory:.0f}", ratio, f"{seconds:.0f}"]

    def find_faults(self) -> Iterator[str]:
        """Yield a sentence for each wrong outcome and each exceeded limit."""
        for step, run in zip(STEPS, self.runs, strict=True):
            expected, refusal = REFUSALS.get((self.name, step)), find_refusal(run)
            if bool(expected) != bool(refusal) or (expected and expected not in refusal):
                yield f"{self.name}, {step}: {refusal or 'was not refused'}"
            if run.memory > LIMIT:
                yield f"{self.name}, {step}: {run.memory:.0f} MB, limit {LIMIT:.0f} MB"


def find_refusal(run: Measured) -> str:
    """Return the text of the last answer if it is an error or reports a failed task; empty after a success."""
    answer = run.answers[-1]
    return run.text if answer.get("isError") or read_task(run).get("status", "succeeded") != "succeeded" else ""


def read_task(run: Measured) -> dict[str, Any]:
    """Return the fields of the task in the last answer; empty if the answer is not about a task."""
    task: dict[str, Any] = run.answers[-1].get("structuredContent") or {}
    return task if "task_id" in task else {}


def paint() -> PIL.Image.Image:
    """Return a picture with gradients and noise, which takes as many bytes as a photo."""
    gradient = PIL.Image.linear_gradient("L")
    bands = (gradient, gradient.rotate(90), PIL.Image.radial_gradient("L"))
    smooth = PIL.Image.merge("RGB", [band.resize(PHOTO) for band in bands])
    noise = PIL.Image.effect_noise((PHOTO[0] // 2, PHOTO[1] // 2), 60).resize(PHOTO)
    return PIL.Image.blend(smooth, PIL.Image.merge("RGB", [noise] * 3), 0.4)


def make_pictures(folder: Path) -> None:
    """Make pictures in many formats; HEIC only where Pillow can write it."""
    photo = paint()
    photo.save(folder / "48-megapixels-progressive.jpg", quality=95, progressive=True)
    smooth = photo.resize((PHOTO[0] // 4, PHOTO[1] // 4)).resize(PHOTO)
    smaller = photo.resize((5700, 4275))
    smaller.save(folder / "24-megapixels.png", compress_level=1)
    smaller.save(folder / "24-megapixels.webp", quality=60, method=0)
    smaller.resize((4000, 3000)).save(folder / "12-megapixels.webp", quality=60, method=0)
    PIL.Image.new("RGB", (9400, 9400), "white").save(folder / MAX_PIXELS)
    try:
        import pillow_heif
    except ImportError:
        return
    heic = pillow_heif.from_pillow(smooth)
    heic.save(folder / "48-megapixels.heic", quality=60, enc_params={"preset": "ultrafast"})


def make_clips_and_sounds(folder: Path, ffmpeg: str) -> None:
    """Make clips and sounds."""
    command = (ffmpeg, "-v", "error", "-nostdin", "-y")
    for name, arguments in CLIPS_AND_SOUNDS.items():
        subprocess.run([*command, *arguments, folder / name], check=True)
    huge, part = folder / "2-gigabytes.mp4", folder / "part.mp4"
    times = CLIP_BYTES // huge.rename(part).stat().st_size
    subprocess.run([*command, "-stream_loop", str(times), "-i", part, "-c", "copy", huge], check=True)
    part.unlink()


def name_medium(path: Path) -> str:
    """Return the medium of a file by its extension: `image`, `video` or `audio`."""
    return {".mp4": "video", ".mkv": "video", ".mp3": "audio", ".wav": "audio"}.get(path.suffix, "image")


def measure_task(server: MeasuredServer, call: Call) -> Measured:
    """Call a tool that makes a task, and wait until the task has ended and its files are saved."""
    run = server.measure(call)
    while is_unfinished(run):
        rest = server.measure(("get_task", {"task_ids": [read_task(run)["task_id"]], "wait_seconds": 50}))
        run = Measured(rest.answers, run.seconds + rest.seconds, max(run.memory, rest.memory))
    return run


def is_unfinished(run: Measured) -> bool:
    """Return True if the task of the last answer still runs, or has files that are not saved yet."""
    task = read_task(run)
    if task.get("status") == "succeeded":
        return not all("path" in each for each in task.get("media", ()))
    return task.get("status") in ("submitting", "running")


def measure_file(server: MeasuredServer, kie: ScriptedKie, path: Path) -> Row:
    """Measure all steps of `STEPS` with one file."""
    tool, argument, maker = TOOLS[name_medium(path)]
    given: dict[str, object] = {argument: [str(path)] if argument == "images" else str(path)}
    if name_medium(path) != "audio":
        given["prompt"] = "snow"
    kie.result = None
    sent = (server.measure(("upload_file", {"path": str(path)})), measure_task(server, (tool, given)))
    kie.result = path
    made = measure_task(server, (maker, {"prompt": f"the file {path.name}"}))
    shown = server.measure(("view_media", {"task_id": read_task(made).get("task_id", "")}))
    return Row(path.name, path.stat().st_size / 1e6, (*sent, made, shown))


def measure_crowds(server: MeasuredServer, kie: ScriptedKie, path: Path) -> dict[str, tuple[Measured, float, bool]]:
    """Measure six simultaneous calls and a very large answer of KIE.

    Return each measurement with its memory limit, and whether the calls have to be refused.
    """
    kie.result = path
    made = measure_task(server, (TOOLS["image"][2], {"prompt": "many look at it"}))
    view = ("view_media", {"task_id": read_task(made).get("task_id", "")})
    six = server.measure(*[view] * 6)
    kie.answer = Response(gzip.compress(bytes(BOMB_BYTES), 1), headers={"content-encoding": "gzip"})
    bomb = server.measure(("get_credits", {}))
    kie.answer = None
    return {
        f"{path.name}, view_media six times at once": (six, LIMIT_FOR_SIX, False),
        f"an answer of KIE with {BOMB_BYTES / 1e6:.0f} MB, which gzip makes small": (bomb, LIMIT, True),
    }


def measure_build(python: str, files: list[Path]) -> tuple[str, list[str]]:
    """Measure everything with one build; return the tables, and a sentence for each fault."""
    # An older build does not have this setting, and refuses unknown settings.
    without = () if python == sys.executable else ("env", "-u", "KIE_MCP_CONFIRM_HOURLY")
    kie, command = ScriptedKie(), (*without, python, "-m", "kie_mcp")
    with (
        tempfile.TemporaryDirectory() as folder,
        measured_server(Path(folder).resolve(), kie, command, files=files[0].parent) as server,
    ):
        rows = [measure_file(server, kie, path) for path in files]
        crowds = measure_crowds(server, kie, next(path for path in files if path.name == MAX_PIXELS))
        kept = server.measure(("list_tasks", {})).memory
    faults = [fault for row in rows for fault in row.find_faults()]
    faults += [f"{what}: {run.memory:.0f} MB" for what, (run, limit, _) in crowds.items() if run.memory > limit]
    faults += [f"{what}: {run.text}" for what, (run, _, refused) in crowds.items() if refused != run.is_refused]
    head = ["file", "MB", *(f"{step}, MB" for step in STEPS), "most, MB", "most to size", "seconds"]
    tables = format_table(head, [row.cells for row in rows]) + "\n\n"
    tables += format_table(
        ["", "MB", "seconds"],
        [
            *([what, f"{run.memory:.0f}", f"{run.seconds:.1f}"] for what, (run, *_) in crowds.items()),
            ["all this before, then nothing", f"{kept:.0f}", ""],
            ["the idle server itself", f"{server.idle:.0f}", ""],
        ],
    )
    return tables, faults


def main() -> int:
    """Measure, print, and return 1 when a file took too much memory or had another outcome than expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", metavar="PYTHON", help="interpreter of an environment with another build")
    parser.add_argument("--only", default="", help="measure only files with this text in their names")
    parser.add_argument("--write", type=Path, help="the document to write the tables to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        make_pictures(folder)
        if ffmpeg := find_ffmpeg():
            make_clips_and_sounds(folder, ffmpeg)
        chosen = [path for path in folder.iterdir() if options.only in path.name or path.name == MAX_PIXELS]
        files = sorted(chosen, key=lambda path: (name_medium(path), path.stat().st_size))
        text, faults = measure_build(sys.executable, files)
        if options.beside:
            other, _ = measure_build(options.beside, files)
            text += f"\n\nThe other build, in the same run:\n\n{other}"
    print(text, *faults, sep="\n")
    if options.write:
        write_block(options.write, "files", "python -m benchmarks.files --write docs/performance.md", text)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
