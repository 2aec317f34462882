"""ffmpeg: found or not, stopped after a timeout, and given nothing that it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.encoded_media import run_ffmpeg
from support.media_files import tone
from support.programs import PROGRAM, needs_ffmpeg

from kie_mcp.errors import InvalidCall
from kie_mcp.media import ffmpeg
from kie_mcp.media.ffmpeg import Frame

pytestmark = pytest.mark.anyio


def program(folder: Path, script: str) -> str:
    """A program that does what the script says."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def write(folder: Path, name: str, content: bytes = b"") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


async def decode_audio(ffmpeg_: str, path: Path) -> bytes:
    with path.open("rb") as file:
        return await ffmpeg.decode_audio(ffmpeg_, file, path)


async def extract_frame(ffmpeg_: str, path: Path, at_seconds: float, **how: float) -> Frame:
    with path.open("rb") as file:
        return await ffmpeg.extract_frame(ffmpeg_, file, path, at_seconds, 99, **how)


@pytest.mark.usefixtures("without_ffmpeg")
def test_there_may_be_none() -> None:
    assert ffmpeg.find_ffmpeg(()) is None


def test_it_is_looked_for_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    there = program(tmp_path, "true")
    assert ffmpeg.find_ffmpeg(()) == there


@pytest.mark.usefixtures("without_ffmpeg")
def test_it_is_found_where_package_managers_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    assert ffmpeg.find_ffmpeg(("~/bin", "/nowhere")) is None
    there = program(tmp_path / "bin", "true")
    assert ffmpeg.find_ffmpeg(("~/bin", "/nowhere")) == there


def test_the_package_that_brings_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = ffmpeg.find_ffmpeg(())
    assert found
    assert subprocess.run([found, "-version"], check=True, capture_output=True).stdout.startswith(b"ffmpeg version")


@pytest.mark.parametrize("path", [".", ""])
@pytest.mark.usefixtures("without_ffmpeg")
def test_one_in_the_working_folder_is_not_run(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "true")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", path)
    assert ffmpeg.find_ffmpeg(()) is None


async def test_it_is_not_told_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIE_API_KEY", "secret")
    monkeypatch.setenv("KIE_MCP_HTTP_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("TMPDIR", "/harmless")
    environment = await decode_audio(program(tmp_path, "/usr/bin/env"), write(tmp_path, "a.mp3"))
    assert b"harmless" in environment
    assert b"secret" not in environment


def test_it_does_not_read_what_the_client_writes_to_the_server(tmp_path: Path) -> None:
    script = f"""
import sys
import anyio
from pathlib import Path
from kie_mcp.media import ffmpeg
print(anyio.run(ffmpeg.read_streams, {program(tmp_path, "/bin/cat >&2")!r}, Path("a.mp3")).log, end="")
"""
    run = subprocess.run(
        [sys.executable, "-c", script], input=b"a message", capture_output=True, timeout=60, check=True
    )
    assert run.stdout == b""


async def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    stuck = program(tmp_path, "exec /bin/sleep 60")
    with pytest.raises(InvalidCall, match=r"did not come to an end with a\.mp4") as refused:
        await extract_frame(stuck, write(tmp_path, "a.mp4"), 1, timeout_seconds=0.2)
    assert str(tmp_path / "a.mp4") in refused.value.next_step


async def test_one_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_bytes(b"\0no program")
    broken.chmod(0o755)
    with pytest.raises(InvalidCall, match="ffmpeg does not run"):
        await decode_audio(str(broken), write(tmp_path, "a.mp3"))


@pytest.mark.parametrize(
    "line",
    ["x264 [error]: malloc of size 11611520 failed", "a.mkv: Cannot allocate memory", "Failed to allocate packet"],
)
async def test_a_clip_that_needs_too_much_memory_is_not_called_broken(line: str, tmp_path: Path) -> None:
    full = program(tmp_path, f"echo '{line}' >&2\nexit 1")
    with pytest.raises(InvalidCall, match=r"a\.mkv takes more than the 800 MB of memory") as refused:
        await ffmpeg.convert(full, tmp_path / "a.mkv", tmp_path / "a.mp4", ())
    assert "fewer pixels" in refused.value.next_step
    with pytest.raises(InvalidCall, match=r"a\.mkv takes more than the 800 MB of memory"):
        await extract_frame(full, write(tmp_path, "a.mkv"), 0)


@needs_ffmpeg
async def test_a_clip_with_too_many_pixels_is_not_called_broken(tmp_path: Path) -> None:
    clip = run_ffmpeg("a.mp4", "-f", "lavfi", "-i", "color=size=8192x4608:rate=1:duration=1", "-preset", "ultrafast")
    (tmp_path / "a.mp4").write_bytes(clip)
    with pytest.raises(InvalidCall, match=r"has 8192 x 4608 px; frames of up to 36 megapixels are decoded here"):
        await extract_frame(str(PROGRAM), tmp_path / "a.mp4", 0)


@needs_ffmpeg
async def test_a_sound_is_read_as_samples(tmp_path: Path) -> None:
    assert len(await decode_audio(str(PROGRAM), write(tmp_path, "a.wav", tone(2)))) == 2 * ffmpeg.SAMPLE_RATE_HZ


@needs_ffmpeg
@pytest.mark.parametrize("content", ["ffconcat version 1.0\nfile a.wav\n", "#EXTM3U\n#EXTINF:1,\na.wav\n"])
async def test_a_list_of_other_files_is_not_followed(content: str, tmp_path: Path) -> None:
    write(tmp_path, "a.wav", tone(2))
    path = write(tmp_path, "list.mp3", content.encode())
    assert await decode_audio(str(PROGRAM), path) == b""
    assert await extract_frame(str(PROGRAM), path, 0) == Frame(b"", (0, 0), 0)
