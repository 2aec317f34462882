"""ffmpeg, on machines that have it: a frame of a clip, the samples of a sound."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import anyio

from kie_mcp.errors import InvalidCall

PATIENCE = 30.0
"""Seconds that one run may take."""
SAMPLE_RATE_HZ = 8000
SECONDS = 1800
"""Of a sound, that many are read: 29 MB."""

# What a model made is not trusted: no playlists, and nothing that would fetch or read another file.
CAREFUL = ("-protocol_whitelist", "file", "-format_whitelist", "mov,matroska,avi,mp3,wav,ogg,flac,aac")
DURATION = re.compile(rb"Duration: (\d+):(\d+):(\d+\.\d+)")


def find() -> str | None:
    """The program, if it is in a folder of PATH."""
    found = shutil.which("ffmpeg")
    # On Windows that may be one in the working folder, where anybody may have put it.
    return found if found and Path(found).is_absolute() else None


async def frame(program: str, path: Path, at: float, *, patience: float = PATIENCE) -> tuple[bytes, float]:
    """A frame of a clip as PPM, empty when there is none, and the clip's length in seconds, 0 when unknown.

    Args:
        program: ffmpeg.
        path: The clip.
        at: Seconds from its start.
        patience: Seconds that this may take.

    Raises:
        InvalidCall: When ffmpeg does not run, or not to its end.
    """
    seek, form = ("-ss", f"{at:.3f}"), ("-an", "-frames:v", "1", "-c:v", "ppm", "-f", "image2pipe")
    out, told = await _run(program, seek, path, form, patience)
    found = DURATION.search(told)
    hours, minutes, seconds = map(float, found.groups()) if found else (0, 0, 0)
    return out, hours * 3600 + minutes * 60 + seconds


async def samples(program: str, path: Path, *, patience: float = PATIENCE) -> bytes:
    """The sound of a file as 16-bit little-endian samples, SAMPLE_RATE_HZ a second; empty when there is none.

    Args:
        program: ffmpeg.
        path: The file.
        patience: Seconds that this may take.

    Raises:
        InvalidCall: As `frame()`.
    """
    form = ("-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-t", str(SECONDS), "-f", "s16le")
    return (await _run(program, (), path, form, patience))[0]


async def _run(
    program: str, seek: tuple[str, ...], path: Path, form: tuple[str, ...], patience: float
) -> tuple[bytes, bytes]:
    command = [program, "-nostdin", "-hide_banner", *CAREFUL, *seek, "-i", _input(path), *form, "pipe:1"]
    # KIE's key is none of its business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KIE")}
    try:
        with anyio.fail_after(patience):
            # It must not read what the client writes to us.
            ran = await anyio.run_process(command, stdin=subprocess.DEVNULL, check=False, env=environment)
    except TimeoutError:
        reason = f"ffmpeg did not come to an end with {path.name} in {patience:g} s."
    except OSError as error:
        reason = f"ffmpeg does not run: {error.strerror}."
    else:
        return ran.stdout, ran.stderr
    raise InvalidCall(reason, f"Open the file itself: {path}")


def _input(path: Path) -> str:
    # With `file:` no name is read as an option or as another protocol.
    return f"file:{path.absolute()}"
