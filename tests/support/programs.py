"""Programs that only some machines have."""

import pytest

from kie_mcp.media import ffmpeg

PROGRAM = ffmpeg.find_ffmpeg()
needs_ffmpeg = pytest.mark.skipif(not PROGRAM, reason="There is no ffmpeg on this machine.")
