"""Decode, measure and convert clips and sounds with ffmpeg, if ffmpeg is installed."""

import os
import re
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anyio
import anyio.from_thread

from kie_mcp.child_process import Finished, run_program
from kie_mcp.errors import InvalidCall

TIMEOUT_SECONDS = 30.0
"""Maximum seconds for one run of ffmpeg that does not convert a file."""
CONVERT_SECONDS = 300.0
"""Maximum seconds for the conversion of one file."""
MEMORY_BYTES = 800_000_000
"""Maximum memory of ffmpeg, in bytes; converting a clip of 3840x2160 pixels with 10 bits a channel needs less.

ffmpeg 5 needs 400 MB for it, version 7 needs 610 MB and version 9 needs 500 MB, because frames wait between threads.
"""
STANDARD_INPUT = Path("/dev/fd/0")
"""The path at which a program can open its standard input; if the input is a file, the program can seek in it."""
MAX_FRAME_PIXELS = 36_000_000
"""Maximum number of pixels of a video frame that is decoded; an 8K frame has 33 million."""
MAX_OUTPUT_BYTES = 40_000_000
"""Maximum number of bytes that are read from ffmpeg's output; MAX_AUDIO_SECONDS of audio take 29 million."""
SAMPLE_RATE_HZ = 8000
"""Sample rate, in hertz, to which audio is decoded for a waveform picture."""
MAX_AUDIO_SECONDS = 1800
"""Maximum number of seconds of a file's audio that are decoded; 1800 seconds take 29 MB of memory."""

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
"""Folders into which package managers install ffmpeg; the PATH of a desktop application often lacks these folders."""

# A media file may come from an attacker. So these options forbid formats, such as playlists, that make ffmpeg open
# other files or URLs.
SAFE_INPUT_OPTIONS = (
    "-protocol_whitelist",
    "file",
    "-format_whitelist",
    "mov,matroska,avi,mp3,wav,w64,ogg,flac,aac,aiff,caf,au,amr,ac3,eac3,asf,flv,mpeg,mpegvideo,mpegts",
)
# One thread needs the least memory. With more threads, ffmpeg holds several decoded frames in memory at once.
FRUGAL_INPUT_OPTIONS = ("-threads", "1", "-max_pixels", str(MAX_FRAME_PIXELS))
FRUGAL_OPTIONS = ("-nostdin", "-hide_banner", "-max_alloc", str(MEMORY_BYTES), "-filter_threads", "1")
DURATION_PATTERN = re.compile(rb"Duration: (\d+):(\d+):(\d+\.\d+)")
STREAM_PATTERN = re.compile(rb"^ *Stream #0:\d+.*?: (Video|Audio): (\w+)(?!.*attached pic)", re.MULTILINE)
TIME_PATTERN = re.compile(rb"time=(\d+):(\d+):(\d+\.\d+)")
OUT_OF_MEMORY_PATTERN = re.compile(rb"Cannot allocate memory|malloc of size \d+ failed|Failed to allocate")
TOO_MANY_PIXELS_PATTERN = re.compile(rb"Picture size (\d+)x(\d+) exceeds specified max pixel count")
FRAME_SIZE_PATTERN = re.compile(rb" sar:(\d+)/(\d+) s:(\d+)x(\d+) ")

_frames, _conversions = anyio.Lock(), anyio.Lock()
"""Locks that save memory: only one ffmpeg decodes at a time, and only one converts a file at a time."""


def find_ffmpeg(folders: Iterable[str] = FOLDERS) -> str | None:
    """Return the path of ffmpeg, or None if ffmpeg is not installed.

    The function searches in the folders of PATH, then in `folders`, then in the Python package imageio-ffmpeg.
    """
    more = (os.path.expanduser(folder) for folder in folders)  # noqa: PTH111 (Path's version may raise)
    program = shutil.which("ffmpeg") or shutil.which("ffmpeg", path=os.pathsep.join(more))
    # The path must be absolute: on Windows, `which` also finds a program in the current folder, which is not trusted.
    if program and Path(program).is_absolute():
        return program
    with suppress(ImportError, RuntimeError):
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    return None


def can_read(file: IO[bytes]) -> bool:
    """Return whether ffmpeg can read an open file: it is on disk, and on Windows its path is known."""
    try:
        file.fileno()
    except (AttributeError, OSError):
        return False
    return sys.platform != "win32" or isinstance(file.name, str)


def read_duration(
    program: str, file: IO[bytes], *, decode: bool, timeout_seconds: float = TIMEOUT_SECONDS
) -> float | None:
    """Return the length of a clip or sound in seconds; None if ffmpeg does not find the length in time.

    Call this function in a thread with `anyio.to_thread.run_sync()`. If this call is cancelled, ffmpeg is killed.

    Args:
        program: The path of ffmpeg.
        file: The open file, which `can_read()` accepts.
        decode: True to decode the whole file; False to read only its headers, which may be wrong.
        timeout_seconds: Maximum seconds for the run of ffmpeg.
    """
    output_options = ("-f", "null", "-") if decode else ()
    path = Path(str(file.name))
    try:
        run = anyio.from_thread.run(_run, program, path, (*_read_open(path), *output_options), timeout_seconds, file)
    except InvalidCall:
        return None
    found = TIME_PATTERN.findall(run.errors) if decode else DURATION_PATTERN.findall(run.errors)
    return _to_seconds(found[-1]) if found else None


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video, scaled down, with facts about the video."""

    ppm: bytes
    """The frame as a PPM picture; empty if the video has no frame at the requested position."""
    size: tuple[int, int]
    """Width and height in pixels at which players show the video; (0, 0) if unknown."""
    seconds: float
    """The length of the video in seconds; 0 if unknown."""


async def extract_frame(
    program: str,
    file: IO[bytes],
    path: Path,
    at_seconds: float,
    max_side_px: int,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Frame:
    """Extract one frame of a video.

    Args:
        program: The path of ffmpeg.
        file: The open video file, which is decoded from its first byte.
        path: The path at which the file was opened; it is used in error messages, and on Windows to read the file.
        at_seconds: Position of the frame, in seconds from the start.
        max_side_px: Largest length in pixels of the frame's longer side; a larger frame is scaled down.
        timeout_seconds: Maximum seconds for the run of ffmpeg.

    Raises:
        InvalidCall: ffmpeg cannot be started, does not finish in time or needs more than MEMORY_BYTES, or a frame of
            the video has more than MAX_FRAME_PIXELS.
    """
    # The pixels of a video need not be square: `sar` is the width of a pixel divided by its height, or 1 if unknown.
    factor = f"min(1,min({max_side_px}/(iw*sar),{max_side_px}/ih))"
    smaller = f"scale='max(1,round(iw*sar*{factor}))':'max(1,round(ih*{factor}))'"
    filters = ("-vf", f"showinfo=checksum=0,{smaller}")
    output_options = ("-an", "-frames:v", "1", *filters, "-c:v", "ppm", "-f", "image2pipe", "pipe:1")
    async with _frames:
        seek = ("-ss", f"{at_seconds:.3f}")
        run = await _run(program, path, (*_read_open(path, *seek), *output_options), timeout_seconds, file)
    if not run.output and (too_large := TOO_MANY_PIXELS_PATTERN.search(run.errors)):
        width, height = map(int, too_large.groups())
        most = f"frames of up to {MAX_FRAME_PIXELS // 1_000_000} megapixels are decoded here"
        raise InvalidCall(f"{path.name} has {width} x {height} px; {most}.", f"Open the file itself: {path}")
    if not run.output:
        _require_memory(run, path, f"Open the file itself: {path}")
    duration = DURATION_PATTERN.search(run.errors)
    size = FRAME_SIZE_PATTERN.search(run.errors)
    return Frame(
        run.output,
        _to_shown_size(*map(int, size.groups())) if size else (0, 0),
        _to_seconds(duration.groups()) if duration else 0,
    )


async def measure_picture(program: str, file: IO[bytes], path: Path) -> float:
    """Return for how many seconds a video shows pictures, even if its sound is longer or shorter; 0 if unknown.

    The arguments are those of `extract_frame()`.
    """
    copied = ("-map", "0:V:0", "-c", "copy", "-f", "null", "-")
    try:
        async with _frames:
            run = await _run(program, path, (*_read_open(path), *copied), TIMEOUT_SECONDS, file)
    except InvalidCall:
        return 0
    ends, whole = TIME_PATTERN.findall(run.errors), DURATION_PATTERN.search(run.errors)
    seconds = _to_seconds(ends[-1]) if ends else 0
    stated = _to_seconds(whole.groups()) if whole else 0
    # The time that ffmpeg tells is the begin of one of the last frames, so the stated length is better if it is near.
    return stated if seconds < stated < seconds + 1 else seconds


async def decode_audio(program: str, file: IO[bytes], path: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
    """Decode the audio of a file to mono samples.

    Args:
        program: The path of ffmpeg.
        file: The open audio or video file, which is decoded from its first byte.
        path: The path at which the file was opened; it is used in error messages, and on Windows to read the file.
        timeout_seconds: Maximum seconds for the run of ffmpeg.

    Returns:
        Signed 16-bit little-endian samples of the first MAX_AUDIO_SECONDS, with SAMPLE_RATE_HZ samples for each second;
        empty if the file has no audio.

    Raises:
        InvalidCall: ffmpeg cannot be started, or does not finish in time.
    """
    length = ("-t", str(MAX_AUDIO_SECONDS))
    output_options = ("-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), *length, "-f", "s16le", "pipe:1")
    async with _frames:
        return (await _run(program, path, (*_read_open(path), *output_options), timeout_seconds, file)).output


@dataclass(frozen=True, slots=True)
class Streams:
    """The codecs of a file's first video and audio streams, and ffmpeg's log."""

    video: str
    """Codec of the first video stream, such as `h264`; empty if the file has no video."""
    audio: str
    """Codec of the first audio stream, such as `aac`; empty if the file has no audio."""
    log: str
    """All text that ffmpeg prints about the file, including the file's metadata."""


async def read_streams(program: str, path: Path) -> Streams:
    """Read the codecs and the metadata of a file.

    Raises:
        InvalidCall: ffmpeg cannot be started, or does not finish in time.
    """
    run = await _run(program, path, _read(path), TIMEOUT_SECONDS)
    header = run.errors
    first = {kind: codec.decode() for kind, codec in reversed(STREAM_PATTERN.findall(header))}
    return Streams(first.get(b"Video", ""), first.get(b"Audio", ""), header.decode(errors="replace"))


async def convert(program: str, path: Path, target: Path, options: tuple[str, ...]) -> bool:
    """Convert a file; return True if ffmpeg wrote the whole new file, and False if ffmpeg reported an error.

    Args:
        program: The path of ffmpeg.
        path: The file.
        target: The path of the new file; ffmpeg chooses the format by the extension of this path.
        options: ffmpeg's options for the new file.

    Raises:
        InvalidCall: ffmpeg cannot be started, does not finish in CONVERT_SECONDS, or needs more than MEMORY_BYTES.
    """
    # With `-xerror`, ffmpeg stops with an error if the input is broken. Otherwise, it would write a file that is too
    # short.
    arguments = (*_read(path, "-xerror"), *options, _file_url(target))
    async with _conversions:
        run = await _run(program, path, arguments, CONVERT_SECONDS)
    if run.exit_code:
        _require_memory(run, path, "Nothing was sent. Save it with fewer pixels, 8 bits a channel, or as H.264.")
    return run.exit_code == 0


def _require_memory(run: Finished, path: Path, next_step: str) -> None:
    """Raise `InvalidCall` if a run failed because it needed more than MEMORY_BYTES."""
    if OUT_OF_MEMORY_PATTERN.search(run.errors):
        most = f"{MEMORY_BYTES // 1_000_000} MB of memory that ffmpeg may use here"
        raise InvalidCall(f"{path.name} takes more than the {most}.", next_step)


async def _run(
    program: str, path: Path, arguments: tuple[str, ...], timeout_seconds: float, file: IO[bytes] | None = None
) -> Finished:
    """Run ffmpeg with these arguments; `file` is its standard input, and `path` is only used in error messages."""
    _rewind(file)
    try:
        return await run_program(
            [program, *FRUGAL_OPTIONS, *arguments],
            seconds=timeout_seconds,
            max_output_bytes=MAX_OUTPUT_BYTES,
            memory_bytes=MEMORY_BYTES,
            file=file,
        )
    except TimeoutError:
        reason = f"ffmpeg did not come to an end with {path.name} in {timeout_seconds:g} s."
    except OSError as error:
        reason = f"ffmpeg does not run: {error.strerror}."
    finally:
        _rewind(file)
    raise InvalidCall(reason, f"Open the file itself: {path}")


def _read(path: Path, *options: str) -> tuple[str, ...]:
    """Return arguments with which ffmpeg reads this file with little memory, and opens no other file."""
    return (*SAFE_INPUT_OPTIONS, *FRUGAL_INPUT_OPTIONS, *options, "-i", _file_url(path))


def _read_open(path: Path, *options: str) -> tuple[str, ...]:
    """Return arguments with which ffmpeg reads the file that is its standard input.

    On Windows, ffmpeg reads the file at the path instead. This is safe, because Windows does not let another program
    replace an open file.
    """
    return _read(path if sys.platform == "win32" else STANDARD_INPUT, *options)


def _rewind(file: IO[bytes] | None) -> None:
    """Set the read position of an open file to the first byte, also for a child process that inherits the file."""
    if file:
        # The child process reads from the operating system's read position. `seek(0)` alone does not change this
        # position if Python still has the first byte in its buffer. The seek to the end empties the buffer.
        file.seek(0, os.SEEK_END)
        file.seek(0)


def _to_shown_size(pixel_width: int, pixel_height: int, width: int, height: int) -> tuple[int, int]:
    """Return the size of a video in square pixels.

    The sides of a pixel are in the proportion `pixel_width`:`pixel_height`. If one of these numbers is 0, the
    proportion is unknown, and the size stays unchanged.
    """
    known = pixel_width and pixel_height
    return (max(round(width * pixel_width / pixel_height), 1) if known else width), height


def _to_seconds(clock: Iterable[bytes]) -> float:
    hours, minutes, seconds = map(float, clock)
    return hours * 3600 + minutes * 60 + seconds


def _file_url(path: Path) -> str:
    # With the prefix `file:`, ffmpeg cannot read a file name as an option or as the URL of another protocol.
    return f"file:{path.absolute()}"
