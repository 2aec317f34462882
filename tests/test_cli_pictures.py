"""Pictures in terminals: what a terminal is sent, by what it says of itself, and what real ones then show."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
import PIL.ImageGrab
import pytest
from support.commands import environment, run_command
from support.paths import ROOT
from support.terminal import run_in_terminal, run_program_in_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="There is no terminal to make.")

SIZE_PX = 800, 800
ASKED = "\x1b[c"
WITH_SIXELS, VT340, WITHOUT_SIXELS = "\x1b[?62;4;22c", "\x1b[?63;1;2;4;6;9;15;22c", "\x1b[?62;22c"
PROBE = "from kie_mcp.cli.terminal import find_picture_terminal as find; print('found', find())"
XTERM = "xterm", "-ti", "vt340", "-e"
KITTY = "kitty", "--config", "NONE"
COLOUR_DISTANCE = 24
"""Most by which a colour in a screenshot differs from that of the file, which is a JPEG with 16 colours in xterm."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pictures")
    places = {"KIE_MCP_DATA_DIR": str(folder / "data"), "KIE_MCP_OUTPUT_DIR": str(folder / "out")}
    return {"KIE_MCP_SANDBOX": "1", "KIE_MCP_SANDBOX_SECONDS": "0.05", "PYTHONUNBUFFERED": "1", **places}


@pytest.fixture(scope="module")
def task(settings: Mapping[str, str]) -> str:
    made = run_command("run", "nano-banana-2-1", "prompt=a red fox", "aspect_ratio=16:9", cwd=None, **settings)
    assert made.returncode == 0, made.stderr
    # Nothing is shown in a pipe.
    assert "\x1b" not in made.stdout + made.stderr
    return made.stdout.split()[0]


def probe(answer: str = "", *, size_px: tuple[int, int] = SIZE_PX, **variables: str) -> str:
    """Return what is found out in a terminal, which gives this answer if it is asked for its attributes."""
    answers = [(ASKED, answer)] if answer else []
    code, shown = run_program_in_terminal(variables, sys.executable, "-c", PROBE, answers=answers, size_px=size_px)
    assert code == 0, shown
    return shown


def test_a_terminal_that_says_so_gets_sixels() -> None:
    assert "protocol='sixel', columns=80, rows=40, width_px=800, height_px=800, colours=256" in probe(
        WITH_SIXELS, TERM="xterm-256color"
    )
    assert "colours=16" in probe(VT340, TERM="xterm-256color")
    assert "found None" in probe(WITHOUT_SIXELS, TERM="xterm-256color")


@pytest.mark.parametrize("name", ["xterm-kitty", "xterm-ghostty"])
def test_a_terminal_of_kitty_s_protocol_is_not_asked(name: str) -> None:
    shown = probe(TERM=name)
    assert "protocol='kitty'" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("variables", "size_px"),
    [
        ({"TERM": "dumb"}, SIZE_PX),
        ({"TERM": "linux"}, SIZE_PX),
        ({"TERM": "xterm-kitty", "CI": "true"}, SIZE_PX),
        ({"TERM": "xterm-256color"}, (0, 0)),
    ],
    ids=str,
)
def test_what_cannot_show_pictures_is_not_asked(variables: Mapping[str, str], size_px: tuple[int, int]) -> None:
    shown = probe(size_px=size_px, **variables)
    assert "found None" in shown
    assert "\x1b" not in shown


def test_a_terminal_that_does_not_answer_is_not_waited_for_long() -> None:
    assert probe(TERM="xterm-256color").split("\x1b[c")[1].strip() == "found None"


def test_a_command_in_the_background_does_not_touch_the_terminal() -> None:
    """The shell would stop it if it did."""
    shell = f'set -m; "{sys.executable}" -c "{PROBE}" & wait; jobs'
    _, shown = run_program_in_terminal({"TERM": "xterm-256color"}, "bash", "-c", shell, size_px=SIZE_PX)
    assert "found None" in shown
    assert ASKED not in shown
    assert "Stopped" not in shown


def test_sixels_follow_the_text_of_a_task(settings: dict[str, str], task: str) -> None:
    terminal = {**settings, "TERM": "xterm-256color"}
    code, shown = run_in_terminal(terminal, "task", task, answers=[(ASKED, WITH_SIXELS)], size_px=SIZE_PX)
    assert code == 0
    (sixels,) = re.findall(r"\x1bP[\d;]*q(.*?)\x1b\\", shown, re.DOTALL)
    assert len(sixels) > 1_000
    assert shown.index(f"{task} succeeded") < shown.index(ASKED) < shown.index(sixels)
    # textual-image would ask as well, when it is imported.
    assert shown.count(ASKED) == 1


@pytest.mark.usefixtures("task")
def test_kitty_gets_what_the_library_found_as_png(settings: dict[str, str]) -> None:
    code, shown = run_in_terminal({**settings, "TERM": "xterm-kitty"}, "library", "fox", size_px=SIZE_PX)
    assert code == 0
    parts = re.findall(r"\x1b_G(.*?);(.*?)\x1b\\", shown)
    assert parts[0][0].startswith("a=T,f=100")
    assert [options[-3:] for options, _ in parts] == ["m=1"] * (len(parts) - 1) + ["m=0"]
    assert parts[0][1].startswith("iVBORw0KGgo")


def test_blocks_are_shown_on_request_alone(settings: dict[str, str], task: str) -> None:
    terminal = {**settings, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    code, shown = run_in_terminal(terminal, "task", task, "--pictures", "blocks")
    assert code == 0
    assert shown.count("▀") > 100
    assert "▀" not in run_command("task", task, "--pictures", "blocks", cwd=None, **settings).stdout


@contextmanager
def show_in(terminal: tuple[str, ...], settings: Mapping[str, str], *arguments: str) -> Iterator[str]:
    """Run a command in a terminal on a screen in memory, and yield the name of the screen."""
    reading, writing = os.pipe()
    screen = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    with subprocess.Popen(screen, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        try:
            with os.fdopen(reading) as told:
                name = f":{told.readline().strip()}"
            variables = environment(DISPLAY=name, LIBGL_ALWAYS_SOFTWARE="1", **settings)
            variables.pop("CI", None)
            # The terminal closes when its program ends.
            command = ["sh", "-c", '"$@"; exec sleep 600', "sh", sys.executable, "-m", "kie_mcp", *arguments]
            with subprocess.Popen([*terminal, *command], env=variables, stderr=subprocess.DEVNULL, cwd=ROOT) as shown:
                try:
                    yield name
                finally:
                    shown.send_signal(signal.SIGTERM)
        finally:
            server.terminate()


def count_near(screen: str, colour: tuple[int, int, int]) -> int:
    """Return how many pixels of a screen have about this colour."""
    near = PIL.ImageGrab.grab(xdisplay=screen).convert("RGB").resize((400, 300), PIL.Image.Resampling.NEAREST)
    pixels = near.tobytes()
    return sum(
        all(abs(pixels[start + band] - colour[band]) < COLOUR_DISTANCE for band in range(3))
        for start in range(0, len(pixels), 3)
    )


@pytest.mark.parametrize("terminal", [XTERM, KITTY], ids=["xterm", "kitty"])
def test_real_terminals_show_the_picture(terminal: tuple[str, ...], settings: dict[str, str], task: str) -> None:
    if not (shutil.which(terminal[0]) and shutil.which("Xvfb")):
        pytest.skip(f"{terminal[0]} or Xvfb is not installed.")
    (file,) = Path(settings["KIE_MCP_OUTPUT_DIR"]).glob("*.jpg")
    with PIL.Image.open(file) as made:
        colour = made.convert("RGB").getpixel((made.width // 2, made.height - 20))
    assert isinstance(colour, tuple)
    # Without a graphics card, kitty now and then shows nothing, so it is started up to three times.
    assert any(shows(terminal, settings, task, (colour[0], colour[1], colour[2])) for _ in range(3))


def shows(terminal: tuple[str, ...], settings: Mapping[str, str], task: str, colour: tuple[int, int, int]) -> bool:
    """Return whether a picture of this colour comes within 20 seconds."""
    with show_in(terminal, settings, "task", task) as screen:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if count_near(screen, colour) >= 10_000:
                return True
    return False
