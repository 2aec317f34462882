"""Use ffmpeg, where it is installed, to decode, measure and convert clips and sounds."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from kie_mcp.errors import InvalidCall

TIMEOUT_SECONDS = 30.0
"""Seconds that one run of ffmpeg may take."""
CONVERT_SECONDS = 300.0
"""Seconds that a conversion may take."""
SAMPLE_RATE_HZ = 8000
"""Sample rate of decoded audio in hertz."""
MAX_AUDIO_SECONDS = 1800
"""Seconds of a file's audio that are decoded at most; 1800 seconds of samples take 29 MB."""

FOLDERS = (
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/opt/local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/snap/bin",
    "~/.local/bin",
    "~/AppData/Local/Microsoft/WinGet/Links",
    "~/scoop/shims",
    "C:/ProgramData/chocolatey/bin",
    "C:/Program Files/ffmpeg/bin",
    "C:/ffmpeg/bin",
)
"""Folders where package managers put ffmpeg; desktop applications often start without them on PATH."""

# Files are not trusted. These options forbid playlists and other formats that make ffmpeg open further files or
# addresses.
SAFE_INPUT_OPTIONS = (
    "-protocol_whitelist",
    "file",
    "-format_whitelist",
    "mov,matroska,avi,mp3,wav,w64,ogg,flac,aac,aiff,caf,au,amr,ac3,eac3,asf,flv,mpeg,mpegvideo,mpegts",
)
INHERITED_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")
"""Environment variables that ffmpeg gets; all others, such as API keys, are none of its business."""
DURATION_PATTERN = re.compile(rb"Duration: (\d+):(\d+):(\d+\.\d+)")
STREAM_PATTERN = re.compile(rb"^ *Stream #0:\d+.*?: (Video|Audio): (\w+)(?!.*attached pic)", re.MULTILINE)
TIME_PATTERN = re.compile(rb"time=(\d+):(\d+):(\d+\.\d+)")


def find_ffmpeg(folders: Iterable[str] = FOLDERS) -> str | None:
    """Return the path of ffmpeg, or None if there is none.

    It is looked for in the folders of PATH, in the given folders, and in the package imageio-ffmpeg.
    """
    more = (os.path.expanduser(folder) for folder in folders)  # noqa: PTH111 (Path's version may raise)
    program = shutil.which("ffmpeg") or shutil.which("ffmpeg", path=os.pathsep.join(more))
    # On Windows, `which` also finds a program in the working folder, and such a program cannot be trusted.
    if program and Path(program).is_absolute():
        return program
    with suppress(ImportError, RuntimeError):
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    return None


def read_duration(program: str, path: Path, *, decode: bool, timeout_seconds: float = TIMEOUT_SECONDS) -> float | None:
    """Return the length of a clip or sound in seconds; None if ffmpeg does not find it in time.

    Args:
        program: The path of ffmpeg.
        path: The file.
        decode: Whether to decode the whole file instead of believing its headers.
        timeout_seconds: How long ffmpeg may run, in seconds.
    """
    output_options = ("-f", "null", "-") if decode else ()
    command = [program, "-nostdin", "-hide_banner", *_read(path), *output_options]
    try:
        run = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
            env=_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = TIME_PATTERN.findall(run.stderr) if decode else DURATION_PATTERN.findall(run.stderr)
    return _to_seconds(found[-1]) if found else None


async def extract_frame(
    program: str, path: Path, at_seconds: float, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> tuple[bytes, float]:
    """Extract one frame of a video.

    Args:
        program: The path of ffmpeg.
        path: The video file.
        at_seconds: Position of the frame, in seconds from the start.
        timeout_seconds: How long ffmpeg may run, in seconds.

    Returns:
        The frame as PPM, empty if there is no frame at the position; and the video's length in seconds, 0 if unknown.

    Raises:
        InvalidCall: ffmpeg cannot be started, or does not finish in time.
    """
    output_options = ("-an", "-frames:v", "1", "-c:v", "ppm", "-f", "image2pipe", "pipe:1")
    run = await _run(program, path, (*_read(path, "-ss", f"{at_seconds:.3f}"), *output_options), timeout_seconds)
    duration = DURATION_PATTERN.search(run.stderr)
    return run.stdout, _to_seconds(duration.groups()) if duration else 0


async def decode_audio(program: str, path: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
    """Decode the audio of a file to mono.

    Args:
        program: The path of ffmpeg.
        path: An audio or video file.
        timeout_seconds: How long ffmpeg may run, in seconds.

    Returns:
        Signed 16-bit little-endian samples at SAMPLE_RATE_HZ, MAX_AUDIO_SECONDS at most; empty if there is no audio.

    Raises:
        InvalidCall: ffmpeg cannot be started, or does not finish in time.
    """
    length = ("-t", str(MAX_AUDIO_SECONDS))
    output_options = ("-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), *length, "-f", "s16le", "pipe:1")
    return (await _run(program, path, (*_read(path), *output_options), timeout_seconds)).stdout


@dataclass(frozen=True, slots=True)
class Streams:
    """What ffmpeg says about a file."""

    video: str
    """Codec of the first video, such as `h264`; empty if there is none."""
    audio: str
    """Codec of the first sound; empty if there is none."""
    log: str
    """All that ffmpeg says, with the metadata."""


async def read_streams(program: str, path: Path) -> Streams:
    """Read which streams a file has.

    Raises:
        InvalidCall: ffmpeg cannot be started, or does not finish in time.
    """
    run = await _run(program, path, _read(path), TIMEOUT_SECONDS)
    header = run.stderr
    first = {kind: codec.decode() for kind, codec in reversed(STREAM_PATTERN.findall(header))}
    return Streams(first.get(b"Video", ""), first.get(b"Audio", ""), header.decode(errors="replace"))


async def convert(program: str, path: Path, target: Path, options: tuple[str, ...]) -> bool:
    """Convert a file, and return whether this succeeded.

    Args:
        program: The path of ffmpeg.
        path: The file.
        target: The new file; its extension names the format.
        options: Options of the output.

    Raises:
        InvalidCall: ffmpeg cannot be started, or does not finish in CONVERT_SECONDS.
    """
    # Only whole files count: a broken input ends with an error instead of a shorter output.
    run = await _run(program, path, (*_read(path, "-xerror"), *options, _file_url(target)), CONVERT_SECONDS)
    return run.returncode == 0


async def _run(
    program: str, path: Path, arguments: tuple[str, ...], timeout_seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg on one file."""
    command = [program, "-nostdin", "-hide_banner", *arguments]
    try:
        with anyio.fail_after(timeout_seconds):
            # With the stdio transport, standard input carries the client's messages, which ffmpeg must not read.
            return await anyio.run_process(command, stdin=subprocess.DEVNULL, check=False, env=_environment())
    except TimeoutError:
        reason = f"ffmpeg did not come to an end with {path.name} in {timeout_seconds:g} s."
    except OSError as error:
        reason = f"ffmpeg does not run: {error.strerror}."
    raise InvalidCall(reason, f"Open the file itself: {path}")


def _read(path: Path, *options: str) -> tuple[str, ...]:
    """Return the arguments that make ffmpeg read one file, and no other."""
    return (*SAFE_INPUT_OPTIONS, *options, "-i", _file_url(path))


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}


def _to_seconds(clock: Iterable[bytes]) -> float:
    hours, minutes, seconds = map(float, clock)
    return hours * 3600 + minutes * 60 + seconds


def _file_url(path: Path) -> str:
    # The prefix `file:` prevents ffmpeg from reading a file name as an option or as the URL of another protocol.
    return f"file:{path.absolute()}"
