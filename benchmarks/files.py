"""Memory that large files take: `python -m benchmarks.files`, with `--beside PYTHON` for another build in the same run.

Each file, a picture of up to 40 MB, a clip of 2 GB or a long sound, is uploaded, given to a model, and shown as a
result, by a server in a process of its own. Files that the server refuses count too. The limit is the memory above that
of the idle server; it includes ffmpeg. PYTHON is the interpreter of an environment with another build of kie-mcp.
"""

import argparse
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import PIL.Image

from benchmarks.measured_server import Call, MeasuredServer, ScriptedKie, measured_server
from kie_mcp.media.ffmpeg import find_ffmpeg

LIMIT = 250.0
"""Most memory above the idle server that passes, in megabytes."""
CLIP_BYTES = 2_000_000_000
SOUND_SECONDS = 3600
PHOTO = 8064, 6048
"""Size of a phone's largest photo, in pixels: 48 megapixels."""
TOOLS = {
    "image": (("nano_banana_image", "images"), "nano_banana_image"),
    "video": (("runway_aleph", "video"), "veo_video"),
    "audio": (("elevenlabs_isolate", "audio"), "elevenlabs_speech"),
}
"""By medium: a tool and its argument for such a file, and a tool that makes one."""


def paint(size: tuple[int, int]) -> PIL.Image.Image:
    """Return a picture with gradients and noise, which takes as many bytes as a photo."""
    gradient = PIL.Image.linear_gradient("L")
    bands = (gradient, gradient.rotate(90), PIL.Image.radial_gradient("L"))
    smooth = PIL.Image.merge("RGB", [band.resize(size) for band in bands])
    noise = PIL.Image.effect_noise((size[0] // 2, size[1] // 2), 60).resize(size)
    return PIL.Image.blend(smooth, PIL.Image.merge("RGB", [noise] * 3), 0.4)


def make_pictures(folder: Path) -> Iterator[tuple[str, Path]]:
    """Make pictures; yield medium and path of each."""
    photo = paint(PHOTO)
    photo.save(folder / "48-megapixels.jpg", quality=97)
    photo.save(folder / "48-megapixels-progressive.jpg", quality=95, progressive=True)
    smooth = photo.resize((PHOTO[0] // 4, PHOTO[1] // 4)).resize(PHOTO)
    smooth.save(folder / "48-megapixels.png", compress_level=1)
    smaller = photo.resize((5700, 4275))
    smaller.save(folder / "24-megapixels.png", compress_level=1)
    smaller.save(folder / "24-megapixels.webp", quality=60, method=0)
    smaller.resize((4000, 3000)).save(folder / "12-megapixels.webp", quality=60, method=0)
    smaller.resize((4000, 3000)).save(folder / "12-megapixels.tif")
    PIL.Image.new("RGB", (9400, 9400), "white").save(folder / "9400x9400.png")
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.from_pillow(smooth.resize((4000, 3000))).save(
            folder / "12-megapixels.heic", quality=60, enc_params={"preset": "ultrafast"}
        )
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_size):
        yield "image", path


def make_sounds_and_clips(folder: Path, ffmpeg: str) -> Iterator[tuple[str, Path]]:
    """Make clips and sounds; yield medium and path of each."""
    pattern = ("-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25:duration=4")
    huge = ("-f", "lavfi", "-i", "color=size=16384x8704:rate=1:duration=1")
    hour = ("-f", "lavfi", "-i", f"sine=sample_rate=44100:duration={SOUND_SECONDS}")
    commands = {
        "an-hour.wav": hour,
        "an-hour.mp3": (*hour, "-ac", "1", "-b:a", "64k", "-compression_level", "9"),
        "2-gigabytes.mp4": (*pattern, "-c:v", "libx264", "-preset", "ultrafast", "-movflags", "+faststart"),
        "1920x1080.mkv": (*pattern, "-c:v", "mjpeg", "-q:v", "2"),
        "16384x8704.mp4": (*huge, "-c:v", "libx264", "-preset", "ultrafast"),
    }
    for name, arguments in commands.items():
        path = folder / name
        subprocess.run([ffmpeg, "-v", "error", "-nostdin", "-y", *arguments, path], check=True)
        if name == "2-gigabytes.mp4":
            # A box that players skip. The file system does not store its zeros.
            with path.open("ab") as file:
                file.write(struct.pack(">I4s", CLIP_BYTES - file.tell(), b"free"))
                file.truncate(CLIP_BYTES)
        yield "audio" if "hour" in name else "video", path


def name_calls(medium: str, path: Path) -> tuple[Call, Call]:
    """Return the calls that upload a file and that give it to a model."""
    tool, argument = TOOLS[medium][0]
    given = [str(path)] if argument == "images" else str(path)
    prompt = {} if medium == "audio" else {"prompt": "snow"}
    return ("upload_file", {"path": str(path)}), (tool, {argument: given, **prompt, "variation": 2})


def measure_file(server: MeasuredServer, kie: ScriptedKie, medium: str, path: Path) -> float:
    """Let a server handle a file in all ways, print a row about it, and return the most memory, in megabytes."""
    kie.result = None
    runs = [server.measure(call) for call in name_calls(medium, path)]
    kie.result = path
    made = server.measure((TOOLS[medium][1], {"prompt": f"the file {path.name}"}))
    task_id = made.answers[0].get("structuredContent", {}).get("task_id", "")
    runs += [made, server.measure(("view_media", {"task_id": task_id}))]
    memory, size = max(run.memory for run in runs), path.stat().st_size / 1e6
    cells = " | ".join(
        f"{run.memory:.0f} MB, {run.seconds:.1f} s{' (refused)' * run.answers[0].get('isError', False)}" for run in runs
    )
    print(f"| {path.name} | {size:,.1f} MB | {cells} | {memory:.0f} MB | {memory / size:.2f} |", flush=True)
    return memory


def measure_build(python: str, files: list[tuple[str, Path]], folder: Path) -> float:
    """Measure all files with one build, print a table, and return the most memory, in megabytes."""
    print("\n| file | size | upload_file | a model's input | a model's result | view_media | most | most / size |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    most, kie = 0.0, ScriptedKie()
    with measured_server(folder, kie, (python, "-m", "kie_mcp")) as server:
        for medium, path in files:
            most = max(most, measure_file(server, kie, medium, path))
        print(f"\nidle {server.idle:.0f} MB, at most {most:.0f} MB more; limit {LIMIT:.0f} MB")
    return most


def main() -> int:
    """Measure, print, and return 1 when a file took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", metavar="PYTHON", help="interpreter of an environment with another build")
    beside = parser.parse_args().beside
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "pictures").mkdir()
        files = list(make_pictures(place / "pictures"))
        if ffmpeg := find_ffmpeg():
            files += make_sounds_and_clips(place, ffmpeg)
        if beside:
            measure_build(beside, files, place)
        most = measure_build(sys.executable, files, place / "pictures" / "..")
    return int(most > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
