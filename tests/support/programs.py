"""Programs that only some machines have."""

import os
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest

from kie_mcp.media import ffmpeg

NEWEST = Path(sys.prefix, "ffmpeg")
"""The folder with a link to the newest ffmpeg, from the package `imageio-ffmpeg`.

It has no shared libraries, and so starts in a fifth of the time that the ffmpeg of a Linux distribution takes.
"""
PATH_OF_SYSTEM = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if each != str(NEWEST))
"""The PATH without this folder."""


def prefer_newest_ffmpeg() -> None:
    """Let this process and those that it starts use the newest ffmpeg, where the package has one for this system."""
    try:
        newest = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        return
    NEWEST.mkdir(exist_ok=True)
    link = NEWEST / "ffmpeg"
    # Another run of tests may use the link.
    if not link.exists() or not link.samefile(newest):
        link.unlink(missing_ok=True)
        link.symlink_to(newest)
    os.environ["PATH"] = os.pathsep.join((str(NEWEST), PATH_OF_SYSTEM))


PROGRAM = ffmpeg.find_ffmpeg()
needs_ffmpeg = pytest.mark.skipif(not PROGRAM, reason="There is no ffmpeg on this machine.")
