"""Use ffmpeg, where it is installed, to extract a frame of a video and to decode the audio of a file."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import anyio

from kie_mcp.errors import InvalidCall

TIMEOUT_SECONDS = 30.0
"""Seconds that one run of ffmpeg may take."""
SAMPLE_RATE_HZ = 8000
"""Sample rate of decoded audio in hertz."""
MAX_AUDIO_SECONDS = 1800
"""Seconds of a file's audio that are decoded at most; 1800 seconds of samples take 29 MB."""

# Result files are not trusted. These options forbid playlists and other formats that make ffmpeg open further files
# or addresses.
SAFE_INPUT_OPTIONS = ("-protocol_whitelist", "file", "-format_whitelist", "mov,matroska,avi,mp3,wav,ogg,flac,aac")
DURATION_PATTERN = re.compile(rb"Duration: (\d+):(\d+):(\d+\.\d+)")


def find_ffmpeg() -> str | None:
    """Return the path of ffmpeg if it is in a folder of PATH, else None."""
    program = shutil.which("ffmpeg")
    # On Windows, `which` also finds a program in the working folder, and such a program cannot be trusted.
    return program if program and Path(program).is_absolute() else None


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
    input_options = ("-ss", f"{at_seconds:.3f}")
    output_options = ("-an", "-frames:v", "1", "-c:v", "ppm", "-f", "image2pipe")
    image, log = await _run(program, input_options, path, output_options, timeout_seconds)
    duration = DURATION_PATTERN.search(log)
    hours, minutes, seconds = map(float, duration.groups()) if duration else (0, 0, 0)
    return image, hours * 3600 + minutes * 60 + seconds


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
    output_options = ("-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-t", str(MAX_AUDIO_SECONDS), "-f", "s16le")
    return (await _run(program, (), path, output_options, timeout_seconds))[0]


async def _run(
    program: str, input_options: tuple[str, ...], path: Path, output_options: tuple[str, ...], timeout_seconds: float
) -> tuple[bytes, bytes]:
    """Run ffmpeg on one file and return its standard output and its log."""
    source = (*SAFE_INPUT_OPTIONS, *input_options, "-i", _input_url(path))
    command = [program, "-nostdin", "-hide_banner", *source, *output_options, "pipe:1"]
    # ffmpeg does not need the API key of KIE, so the variables with KIE's name are not passed on.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KIE")}
    try:
        with anyio.fail_after(timeout_seconds):
            # With the stdio transport, standard input carries the client's messages, which ffmpeg must not read.
            process = await anyio.run_process(command, stdin=subprocess.DEVNULL, check=False, env=environment)
    except TimeoutError:
        reason = f"ffmpeg did not come to an end with {path.name} in {timeout_seconds:g} s."
    except OSError as error:
        reason = f"ffmpeg does not run: {error.strerror}."
    else:
        return process.stdout, process.stderr
    raise InvalidCall(reason, f"Open the file itself: {path}")


def _input_url(path: Path) -> str:
    # The prefix `file:` prevents ffmpeg from reading a file name as an option or as the URL of another protocol.
    return f"file:{path.absolute()}"
