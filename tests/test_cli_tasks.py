"""The commands that make and show tasks, as a person uses them."""

import contextlib
import os
import re
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp_types import CallToolResult
from support.answers import answer
from support.commands import environment, run_command
from support.kie_server import serve_kie
from support.runners import saved_files
from support.tasks import NOW
from support.tasks import task as build_task
from support.terminal import run_in_terminal, run_program_in_terminal
from typer.testing import CliRunner, Result

from kie_mcp import __version__
from kie_mcp.cli import calls
from kie_mcp.cli.commands import COMMANDS, cli
from kie_mcp.cli.options import COMMAND_IN_TEXT
from kie_mcp.config import Settings
from kie_mcp.errors import InvalidCall
from kie_mcp.install.command import find_command, write_command
from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger import task as ledger_task
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.server.answers import build_task_result
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

IN_A_TERMINAL = pytest.mark.skipif(sys.platform == "win32", reason="There is no terminal to make.")

FOX = ledger_task.Result("https://example.org/fox.png", mime_type="image/png")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": "0.05",
        "KIE_MCP_DATA_DIR": str(tmp_path / "data"),
        "KIE_MCP_OUTPUT_DIR": str(tmp_path / "out"),
    }


def run(settings: dict[str, str], *arguments: str, ends_with: int = 0) -> Result:
    unset = {name: None for name in os.environ if name.startswith("KIE_")}
    # Where a shell finds kie-mcp by its name, commands are told with the name alone.
    settings = {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])), **settings}
    with contextlib.chdir(Path(settings["KIE_MCP_DATA_DIR"]).parent):
        ran = CliRunner().invoke(cli, arguments, env={**unset, **settings, "COLUMNS": "200"})
    assert ran.exit_code == ends_with, ran.output
    return ran


def test_a_picture_is_made_told_listed_found_and_opened(settings: dict[str, str], tmp_path: Path) -> None:
    made = run(settings, "run", "nano-banana-2-1", "prompt=a red fox", "aspect_ratio=16:9").stdout
    (file,) = saved_files(tmp_path / "out")
    task = made.split()[0]
    assert made.splitlines()[0] == f"{task} succeeded nano-banana-2-1, 4 credits"
    assert str(file) in made.splitlines()[2]
    assert run(settings, "task", task).stdout == made
    assert run(settings, "credits").stdout == "996 credits ($4.98)\n"
    for command in ("tasks", "library"):
        assert task in run(settings, command, "fox").stdout
        assert task not in run(settings, command, "zebra").stdout
    # What opens a file is any program on PATH with this name.
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$1" >{tmp_path}/opened\n', encoding="utf-8")
    opener.chmod(0o755)
    if sys.platform == "linux":
        path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
        assert run_command("open", task, **{**settings, "PATH": path}, cwd=tmp_path).stdout.strip() == str(file)
        assert (tmp_path / "opened").read_text(encoding="utf-8").strip() == str(file)
        unopened = run_command("open", task, **{**settings, "PATH": str(tmp_path / "empty")}, cwd=tmp_path)
        assert (unopened.returncode, unopened.stdout.strip()) == (1, str(file))
        assert "No program opened it" in unopened.stderr
    assert "no number 2" in " ".join(run(settings, "open", task, "2", ends_with=1).stderr.split())


def test_what_was_made_is_told_also_where_its_characters_cannot_be_shown(settings: dict[str, str]) -> None:
    narrow = {**settings, "PYTHONIOENCODING": "ascii"}
    made = run_command("run", "ai-music-api/generate-lyrics", "prompt=Снег und 雪", cwd=None, **narrow)
    assert (made.returncode, made.stderr) == (0, "")
    assert "succeeded" in made.stdout
    told = run_command("tasks", cwd=None, **narrow)
    assert (told.returncode, r"\u96ea" in told.stdout) == (0, True)


def test_errors_name_what_a_person_types(settings: dict[str, str]) -> None:
    def fail(*arguments: str, **more: str) -> str:
        return " ".join(run({**settings, **more}, *arguments, ends_with=1).stderr.split())

    assert "kie-mcp models tells what" in fail("run", "z-image", "promt=x")
    assert "kie-mcp models lists the models" in fail("run", "nano-bana", "prompt=x")
    assert "kie-mcp tasks shows" in fail("task", "t_abc")
    assert "Write it as --anyway." in fail("run", "z-image", "prompt=x", "anyway=true")
    assert "--confirm c_" in fail("run", "z-image", "prompt=x", KIE_MCP_CONFIRM_ABOVE="0")


def test_a_model_that_fails_often_and_one_without_a_schema_can_be_run_all_the_same(settings: dict[str, str]) -> None:
    with serve_kie() as kie:
        kie.sandbox.discovery.success_rates["z-image"] = 10.0
        kie.sandbox.discovery.add_model("new/model", None)
        mine = {**settings, **kie.environment}
        # Where KIE has not yet been asked how often a model fails, the first call is sent meanwhile.
        run(mine, "run", "z-image", "prompt=a fox")
        for model, option in (("z-image", "add --anyway"), ("new/model", "Add --unchecked")):
            told = " ".join(run(mine, "run", model, "prompt=a hare", ends_with=1).stderr.split())
            assert option in told
            assert "succeeded" in run(mine, "run", model, "prompt=a hare", option.split()[-1]).stdout


def test_a_task_of_unknown_outcome_is_settled_as_its_error_says(settings: dict[str, str]) -> None:
    with serve_kie() as kie:
        kie.sandbox.inject_fault("create", "after:502")
        mine = {**settings, **kie.environment}
        told = run(mine, "run", "z-image", "prompt=x", ends_with=1).stderr
        assert "then settle it with kie-mcp settle." in " ".join(told.split())
        (row,) = (line for line in run(mine, "tasks").stdout.splitlines() if "unknown" in line)
        task = row.split()[0]
        settled = run(mine, "settle", task, "not created").stdout
        assert settled.startswith(f"{task} failed")
        assert "unknown" not in run(mine, "tasks").stdout


@pytest.mark.parametrize("name", [*COMMANDS, "catalog"])
def test_every_command_is_known_in_a_sentence(name: str) -> None:
    assert COMMAND_IN_TEXT.search(f"To go on, kie-mcp {name} is there.")
    assert not COMMAND_IN_TEXT.search(f"To go on, kie-mcp needs {name}.")


def test_what_has_no_command_is_said_to_be_in_an_mcp_client(settings: dict[str, str]) -> None:
    assert "find_voices, in an MCP client, finds" in " ".join(run(settings, "models", "voiceover").stdout.split())


def test_a_repeated_call_says_so_and_how_to_make_another(settings: dict[str, str], tmp_path: Path) -> None:
    call = ("run", "z-image", "prompt=a red fox")
    made = run(settings, *call).stdout
    task = made.split()[0]
    assert made.splitlines()[-1] == f"kie-mcp open {task} shows it."
    again = run(settings, *call).stdout
    assert again.split()[0] == task
    assert "The same call was made" in again
    assert "variation=2 makes another" in " ".join(again.split())
    assert run(settings, *call, "variation=2").stdout.split()[0] != task
    assert len(saved_files(tmp_path / "out")) == 2


def test_a_note_of_the_first_answer_stays_until_the_end() -> None:
    first, last = (
        CallToolResult(content=[], structured_content={"note": each}) for each in ("Repeated.", "Not saved.")
    )
    for _ in range(2):
        assert calls._keep_note(first, last).structured_content == {"note": "Repeated. Not saved."}


def test_the_texts_of_a_task_are_shown_as_they_are(settings: dict[str, str]) -> None:
    made = run(settings, "run", "ai-music-api/generate-lyrics", "prompt=rain").stdout
    assert made.count("\n\n[Chorus]\n") == 2
    assert run(settings, "task", made.split()[0]).stdout == made


def test_files_that_cannot_be_saved_are_told(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    made = run(settings, "run", "z-image", "prompt=a red fox").stdout
    assert "https://" in made
    assert "Not saved: " in made
    assert "Not saved: " in run(settings, "task", made.split()[0]).stdout


def test_of_a_batch_a_file_that_is_gone_is_told_with_its_own_task(settings: dict[str, str], tmp_path: Path) -> None:
    async def make() -> None:
        app = App(Settings(sandbox=True, sandbox_seconds=0.05, data_dir=tmp_path / "data", output_dir=tmp_path / "out"))
        async with Client(build_server(app)) as client:
            call = {"prompts": ["a fox", "a crow"], "model": "z-image", "max_credits": 10}
            made = answer(await client.call_tool("make_batch", call))
            made = answer(await client.call_tool("get_task", {"task_ids": [made["task_id"]], "wait_seconds": 60}))
            batch.update(made)

    batch: dict[str, Any] = {}
    anyio.run(make)
    Path(batch["media"][1]["path"]).unlink()
    told = " ".join(run(settings, "open", batch["task_id"], "2", ends_with=1).stderr.split())
    own = batch["items"][1]["task_id"]
    assert told.endswith(f"is not there any more. kie-mcp open {own} 1 opens its web link.")
    # On Linux, nothing opens the link, because no program is on PATH.
    if sys.platform == "linux":
        assert run({**settings, "PATH": "/nowhere"}, "open", own, "1").stdout.startswith("https://")


def test_tables_are_no_wider_than_80_columns(settings: dict[str, str]) -> None:
    run(settings, "run", "nano-banana-2-1", f"prompt={'a fox in the snow ' * 10}")
    for command in (("tasks",), ("library",), ("models", "lip", "sync")):
        lines = run(settings, *command).stdout.splitlines()
        assert len(lines) > 3
        assert max(map(len, lines)) <= 80


def test_a_quote_makes_nothing(settings: dict[str, str], tmp_path: Path) -> None:
    told = run(settings, "run", "nano-banana-2-1", "prompt=x", "--quote").stdout
    assert "estimate: 4 credits" in told
    assert "balance afterwards: 996 credits" in told
    assert not (tmp_path / "out").exists()


def test_a_name_again_makes_a_list(settings: dict[str, str]) -> None:
    pictures = [f"images=https://example.org/{n}.png" for n in (1, 2)]
    assert "estimate" in run(settings, "run", "nano-banana-2-1", "prompt=x", *pictures, "--quote").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("task", "t_none"), "There is no task t_none, here or at KIE. Nothing was charged."),
        (("run", "nano-banana-2-1", "prompt=x", "colour=red"), "does not take colour"),
        (("run", "no-such-model", "prompt=x"), "Nothing was charged."),
        (("run", "veo3", "prompt=x"), "may cost 250 credits"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_cost_and_the_next_step(
    arguments: tuple[str, ...], words: str, settings: dict[str, str]
) -> None:
    ran = run(settings, *arguments, ends_with=1)
    assert ran.stdout == ""
    assert words in " ".join(ran.stderr.split())
    assert max(map(len, ran.stderr.splitlines())) <= 80


def test_without_a_key_a_command_that_asks_kie_says_how_to_get_one(settings: dict[str, str]) -> None:
    ran = run({**settings, "KIE_MCP_SANDBOX": "0"}, "credits", ends_with=1)
    assert "https://kie.ai/api-key" in ran.stderr


def test_what_was_made_is_shown_without_a_key_and_without_a_request(settings: dict[str, str], tmp_path: Path) -> None:
    with serve_kie() as kie:
        kie.restart(seconds=0.05)
        keyed = settings | kie.environment
        made = run(keyed, "run", "nano-banana-2-1", "prompt=a red fox").stdout
        task, (file,) = made.split()[0], saved_files(tmp_path / "out")
        kie.request_counts.clear()
        for given in (keyed | {"KIE_API_KEY": ""}, keyed):
            assert run(given, "task", task).stdout == made
            assert task in run(given, "tasks", "fox").stdout
            assert "a red fox" in run(given, "library").stdout
            assert "no number 2" in " ".join(run(given, "open", task, "2", ends_with=1).stderr.split())
            assert str(file) in run(given, "task", task).stdout
        assert not kie.request_counts


def test_only_with_a_key_kie_is_asked_about_a_running_task(settings: dict[str, str]) -> None:
    with serve_kie() as kie:
        kie.restart(seconds=0.05)
        keyed = settings | kie.environment
        keyless = keyed | {"KIE_API_KEY": ""}
        body = {"model": "google/nano-banana", "input": {"prompt": "rain"}}
        headers = {"Authorization": "Bearer sandbox"}
        accepted = httpx2.post(f"{kie.url}{JOBS.create}", headers=headers, json=body).json()
        add_running_task(Path(settings["KIE_MCP_DATA_DIR"]), accepted["data"]["taskId"])
        kie.request_counts.clear()
        told = run(keyless, "task", "t_running", "--wait", "0.1")
        assert "t_running running google/nano-banana" in told.stdout
        assert told.stderr == ""
        assert not kie.request_counts
        assert "t_running succeeded" in run(keyed, "task", "t_running", "--wait", "60").stdout


@pytest.mark.parametrize(
    ("fields", "waits"),
    [
        ({"state": "submitting"}, True),
        ({"state": "running"}, True),
        ({"state": "succeeded", "results": [FOX], "saved": False}, True),
        ({"state": "succeeded", "results": [FOX], "saved": True}, False),
        ({"state": "succeeded", "results": [FOX], "saved": False, "note": "The disk is full."}, False),
        ({"state": "failed", "error": InvalidCall("No.", "Call get_task.").as_dict()}, False),
    ],
    ids=str,
)
def test_run_waits_until_the_files_are_saved(fields: dict[str, Any], waits: bool) -> None:
    result = build_task_result(build_task(**fields), now=NOW, usual=5)
    assert calls._find_unfinished(result) == ("t_1" if waits else None)


def test_a_task_that_is_not_in_the_ledger_is_not_found_without_a_key(settings: dict[str, str]) -> None:
    told = run({**settings, "KIE_MCP_SANDBOX": "0"}, "task", "t_none", ends_with=1).stderr
    assert "There is no task t_none here. Nothing was charged." in " ".join(told.split())
    assert "key" not in told


def add_running_task(folder: Path, kie_id: str) -> None:
    """Add a task that KIE has accepted to a ledger, as a process does that ends before the task."""

    async def add() -> None:
        ledger = await Ledger.open(folder)
        more = {"tool": "nano_banana_image", "model": "google/nano-banana", "kind": "image", "created": time.time()}
        await ledger.add(build_task(id="t_running", kie_id=kie_id, **more))
        await ledger.close()

    anyio.run(add)


def test_an_argument_without_a_value_is_refused(settings: dict[str, str]) -> None:
    assert "is no NAME=VALUE" in run(settings, "run", "nano-banana-2-1", "fox", ends_with=2).stderr


def test_options_of_http_are_refused_without_http(settings: dict[str, str]) -> None:
    for option in (("--port", "8765"), ("--host", "127.0.0.1"), ("--no-token",)):
        assert "Add --http" in run(settings, "serve", *option, ends_with=2).stderr


def test_a_shell_can_complete_commands() -> None:
    words = {"_KIE_MCP_COMPLETE": "complete_bash", "COMP_WORDS": "kie-mcp in", "COMP_CWORD": "1"}
    program = Path(sys.executable).with_name("kie-mcp")
    ran = subprocess.run(
        [program], env=environment(**words), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert ran.stdout.split() == [b"install"]


@IN_A_TERMINAL
def test_in_a_terminal_the_program_says_what_it_is_and_what_to_do_next(settings: dict[str, str]) -> None:
    code, shown = run_in_terminal(settings)
    assert code == 0
    assert f"kie-mcp {__version__}" in shown
    # The program's path is quoted if it has blanks.
    assert re.findall(r"kie-mcp'? (install|doctor|--help)", shown) == ["install", "doctor", "--help"]


@IN_A_TERMINAL
def test_no_command_is_broken_by_the_width_of_the_terminal(settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / ("folder" * 10)
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    code, shown = run_program_in_terminal(settings | {"PYTHONPATH": os.pathsep.join(sys.path)}, python, "-m", "kie_mcp")
    assert code == 0, shown
    for command in ("install", "doctor", "--help"):
        assert f"{python} -m kie_mcp {command}" in shown


def test_what_to_do_next_is_told_as_uvx_runs_it(settings: dict[str, str], tmp_path: Path) -> None:
    folder, program = tmp_path / "archive-v0" / "x", tmp_path / "bin" / "uvx"
    venv.create(folder, symlinks=True)
    program.parent.mkdir()
    program.touch(mode=0o755)
    places = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "PATH": str(program.parent), "COLUMNS": "200"}
    env = environment(**settings, **places, PYTHONPATH=os.pathsep.join(sys.path))
    told = {
        "models video": "More: {} models video --page 2",
        "task t_none": "{} tasks shows the tasks there are.",
        "doctor --no-update": "{} install CLIENT sets one up",
    }
    # One process runs all commands, because most of its time is imports.
    script = f"""
import sys
from contextlib import suppress
from kie_mcp.__main__ import main

sys.stderr = sys.stdout
for arguments in {[*told]}:
    sys.argv = ["kie-mcp", *arguments.split()]
    with suppress(SystemExit):
        main()
"""
    command = [str(folder / "bin" / "python"), "-c", script]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    uvx, *words = find_command(str(folder), {"PATH": str(program.parent)})
    assert uvx == str(program)
    for text in told.values():
        assert text.format(write_command(("uvx", *words), {})) in " ".join(ran.stdout.split())


@IN_A_TERMINAL
@pytest.mark.parametrize(("answer", "ends_with", "files"), [("y", 0, 1), ("n", 1, 0)])
def test_in_a_terminal_a_high_cost_is_asked_about(
    answer: str, ends_with: int, files: int, settings: dict[str, str], tmp_path: Path
) -> None:
    code, shown = run_in_terminal(settings, "run", "veo3", "prompt=x", answers=[("[y/N]: ", answer)])
    assert code == ends_with, shown
    assert "250 credits" in " ".join(shown.split())
    assert len(saved_files(tmp_path / "out") if files else []) == files
    # Who answers at once is no program, and is not told to ask somebody else.
    assert ("Nothing was made, and nothing was charged." in shown) == (not files)
    assert "Nobody was asked" not in shown
