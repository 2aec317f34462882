"""The demo: five files that open, and the truth when there are none."""

import io
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from support import films
from support.commands import run_command
from support.marks import read_marks
from support.programs import needs_ffmpeg
from support.runners import saved_files

from kie_mcp.demo import session

pytestmark = pytest.mark.anyio


def run_demo(folder: Path, tools: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    return run_command("demo", "--seconds", "0.1", "--tools", tools, cwd=folder, **settings)


@pytest.mark.parametrize("tools", ["", "compact"])
def test_the_demo_makes_files_that_open_and_tells_what_they_cost(tools: str, tmp_path: Path) -> None:
    # With the compact tools, there is no browser that could take a picture of the page.
    run = run_demo(tmp_path, tools, **({"PATH": ""} if tools else {}))
    # The last call of all is one of run_model in any case.
    assert run.stdout.count("run_model") == (6 if tools else 1)
    assert run.returncode == 0, run.stdout + run.stderr
    ours = ("sketch.png", "chat.html", "chat.png")
    made = {file for file in saved_files(tmp_path / "demo-output") if file.name not in ours}
    # A picture, an edit, a video, a voice, a song in two takes, and the picture that a task was followed for.
    assert sorted(file.suffix for file in made) == [".jpg", ".jpg", ".jpg", ".mp3", ".mp3", ".mp3", ".mp4"]
    assert all(session.describe_file(file) for file in made)
    assert all(file.name in run.stdout for file in made)
    assert "5 of 5 made" in run.stdout
    assert "tasks/get: completed, made in" in run.stdout
    page = (tmp_path / "demo-output" / "chat.html").read_text(encoding="utf-8")
    assert "data:image/" in page
    assert page.count("</script>") == 1
    assert ("chat.png" in run.stdout) == (tmp_path / "demo-output" / "chat.png").exists()
    if (picture := tmp_path / "demo-output" / "chat.png").exists():
        assert_the_whole_card_is_shown(picture)
    before, after = (float(each.replace(",", "")) for each in re.findall(r"([\d.,]+) (?:before|after)", run.stdout))
    assert after < before
    shown, _, next_step = run.stdout.partition("Next, in ")
    assert max(len(line) for line in shown.splitlines()) <= 80
    # Commands and paths are not broken, so that they can be copied.
    assert re.search(r"kie-mcp.? install", next_step)
    assert "KIE_MCP_SANDBOX" in next_step


def assert_the_whole_card_is_shown(picture: Path) -> None:
    """Assert that the card's frame ends inside the picture, and that the card has no scrollbar."""
    with Image.open(picture) as opened:
        page = opened.convert("RGB")
    # Rows from the page's top to its bottom, a column left of the frame's inner edge.
    edge = [page.getpixel((page.width - 30, row)) for row in range(page.height)]
    card = (255, 255, 255)
    first, last = edge.index(card), page.height - 1 - edge[::-1].index(card)
    assert set(edge[first : last + 1]) == {card}
    assert page.height - last in range(24, 30)


@needs_ffmpeg
def test_the_demo_makes_a_film_of_scenes_with_voice_music_and_titles(tmp_path: Path) -> None:
    run = run_command("demo", "--film", "--seconds", "0.1", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    (film,) = (tmp_path / "demo-output").glob("*kie-mcp-edit*.mp4")
    assert film.name in run.stdout
    pixels = films.read_pixels(film, "iw/2:ih-8")
    # A card of 1.5 s, and three clips of 5 s of which each begins half a second earlier, at 12 frames a second.
    assert len(pixels) == 12 * 15
    scenes = sorted((tmp_path / "demo-output").glob("*kling*.mp4"), key=lambda scene: scene.stat().st_mtime_ns)
    marks = read_marks(film)
    in_the_middle = [marks[round(12 * (3.5 + 4.5 * number))][0] for number in range(3)]
    assert in_the_middle == [read_marks(scene)[0][0] for scene in scenes]
    assert films.name_color(pixels[0]) == "black"
    assert films.measure_loudness(film) == pytest.approx(-14, abs=1)


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "demo-output").touch()
    run = run_demo(tmp_path)
    assert run.returncode == 2
    assert "demo-output cannot be written" in run.stderr
    assert "Traceback" not in run.stderr


async def test_a_wish_that_fails_is_named_and_the_others_still_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # There is no browser.
    monkeypatch.setenv("PATH", "")
    output = io.StringIO()
    wishes = (
        session.Wish("A video that KIE makes no more.", "sora_video", "sora-2-text-to-video", {"prompt": "waves"}),
        session.Wish("A red fox.", "nano_banana_image", "google/nano-banana", {"prompt": "a red fox"}),
    )
    assert not await session.run_demo(Console(file=output, width=80), 0.1, wishes=wishes)
    assert "1 of 2 made" in output.getvalue()
    assert "failed   A video that KIE makes no more." in output.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("noise.mp3", b"noise" * 100),
        ("noise.bin", b"noise" * 100),
        ("noise.png", b"noise" * 100),
        ("half.mp4", b"\0\0\0\x18ftypmp42"),
        ("empty.wav", b""),
    ],
)
def test_what_does_not_open_is_found_out(name: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        session.describe_file(file)


def test_a_picture_that_was_cut_does_not_open(tmp_path: Path) -> None:
    file = tmp_path / "cut.png"
    Image.effect_noise((64, 64), 50).save(file)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises((OSError, ValueError)):
        session.describe_file(file)
