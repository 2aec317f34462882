"""The sandbox's clips are drawn where ffmpeg is installed: each tells its prompt, its number and its frames."""

from pathlib import Path

import pytest
from support import films
from support.marks import read_marks
from support.programs import PROGRAM, needs_ffmpeg

from kie_mcp.sandbox.fake_clip import RATE, draw_clip, number_clip
from kie_mcp.sandbox.fake_media import MediaContent

pytestmark = needs_ffmpeg


@pytest.mark.parametrize("shape", ["16:9", "9:16", "1:1"])
def test_each_frame_of_a_clip_tells_the_clip_and_its_place(tmp_path: Path, shape: str) -> None:
    media = MediaContent("a fox in the snow", "t/1.mp4", shape, seconds=1.5)
    clip = draw_clip(str(PROGRAM), media)
    assert clip
    (tmp_path / "clip.mp4").write_bytes(clip)
    assert read_marks(tmp_path / "clip.mp4") == [(number_clip(media), frame) for frame in range(round(1.5 * RATE))]
    assert films.hear(tmp_path / "clip.mp4")[5] > 0


def test_a_program_that_fails_draws_nothing(tmp_path: Path) -> None:
    assert draw_clip(str(tmp_path / "nothing"), MediaContent("a fox", "1")) is None
    assert draw_clip("/bin/false", MediaContent("a fox", "1")) is None
