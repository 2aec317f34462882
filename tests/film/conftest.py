"""Films are made with the ffmpeg of the machine, so that an old version is tried too."""

import pytest
from support.programs import prefer_ffmpeg_of_system


@pytest.fixture(autouse=True)
def ffmpeg_of_system(monkeypatch: pytest.MonkeyPatch) -> None:
    prefer_ffmpeg_of_system(monkeypatch)
