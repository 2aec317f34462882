"""The cover of a song is read from all formats of sounds, and one without a cover has none."""

import io

import pytest
from support.encoded_media import SINE, run_ffmpeg
from support.programs import needs_ffmpeg

from kie_mcp.media.covers import read_cover


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.opus", "a.oga", "a.flac", "a.wma", "a.mp3", "a.m4a", "a.wav"])
def test_a_sound_with_a_title_and_no_cover_has_no_cover(name: str) -> None:
    content = run_ffmpeg(name, *SINE, "-metadata", "title=x")
    assert read_cover(io.BytesIO(content), side_px=64, max_bytes=10_000) == b""
