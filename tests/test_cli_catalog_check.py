"""`kie-mcp catalog check`, run as a weekly job runs it."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.commands import environment, run_command, serve_command
from support.preloaded import preloaded_command


def check(folder: Path, *models: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    chosen = [word for model in models for word in ("--model", model)]
    return run_command("catalog", "check", *chosen, KIE_MCP_DATA_DIR=str(folder), **settings)


def test_no_drift_ends_with_0_and_drift_with_1(tmp_path: Path) -> None:
    with serve_command("sandbox", "--port", "0", KIE_MCP_DATA_DIR=str(tmp_path)) as url:
        kie = {"KIE_API_KEY": "sandbox", "KIE_MCP_BASE_URL": url}
        same = check(tmp_path, "z-image", **kie)
        other = check(tmp_path, "z-image", "vendor/nothing", **kie)
    assert (same.returncode, same.stdout, same.stderr) == (0, "Models compared: 1; different: 0.\n", "")
    assert (other.returncode, other.stderr) == (1, "")
    assert other.stdout == "vendor/nothing: neither at KIE nor built in\nModels compared: 2; different: 1.\n"


def test_the_sandbox_of_the_settings_is_compared_without_a_key(tmp_path: Path) -> None:
    assert check(tmp_path, "z-image", KIE_MCP_SANDBOX="1").returncode == 0


def test_without_a_key_it_ends_with_2_and_says_how_to_set_one(tmp_path: Path) -> None:
    run = check(tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert "KIE_API_KEY" in run.stderr


def test_a_kie_that_cannot_be_asked_ends_with_2(tmp_path: Path) -> None:
    with serve_command("sandbox", "--port", "0", KIE_MCP_DATA_DIR=str(tmp_path)) as url:
        run = check(tmp_path, KIE_API_KEY="wrong", KIE_MCP_BASE_URL=url)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("kie-mcp: ")
    assert "Traceback" not in run.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo terminals")
def test_a_person_sees_how_far_it_is(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    settings = environment(KIE_MCP_SANDBOX="1", KIE_MCP_DATA_DIR=str(tmp_path), TERM="xterm")
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        run = subprocess.run(
            [*preloaded_command(), "catalog", "check", "--model", "z-image"],
            env=settings,
            stdout=subprocess.PIPE,
            stderr=theirs,
            check=True,
            timeout=60,
        )
        os.close(theirs)
        shown = terminal.read(4096)
    assert run.stdout == b"Models compared: 1; different: 0.\n"
    assert b"Asking KIE" in shown


def test_without_a_command_it_shows_its_commands() -> None:
    run = run_command("catalog")
    assert "check" in run.stdout + run.stderr


def test_offline_the_models_are_compared_with_what_ships_and_none_differs(tmp_path: Path) -> None:
    run = run_command("catalog", "check", "--offline", KIE_MCP_DATA_DIR=str(tmp_path))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith("different: 0.\n")


def test_when_kie_does_not_answer_its_last_known_list_is_compared(tmp_path: Path) -> None:
    run = check(tmp_path, "z-image", KIE_API_KEY="sandbox", KIE_MCP_BASE_URL="http://127.0.0.1:9")
    assert (run.returncode, run.stdout) == (0, "Models compared: 1; different: 0.\n")
    assert "Its list of " in run.stderr


def test_sync_writes_what_the_server_and_check_then_take(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"KIE_MCP_DATA_DIR": str(tmp_path), "KIE_MCP_SANDBOX": "1"}
    run = run_command("catalog", "sync", "--model", "z-image", **settings)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(str(tmp_path))
    assert run_command("catalog", "check", "--offline", **settings).returncode == 0
    own = run_command("catalog", "sync", "--model", "z-image", "--to", str(tmp_path / "own.json"), **settings)
    assert own.returncode == 0
    assert (tmp_path / "own.json").read_text("utf-8").startswith('{"as_of":')


def test_sync_without_kie_ends_with_2(tmp_path: Path) -> None:
    run = run_command(
        "catalog", "sync", KIE_MCP_DATA_DIR=str(tmp_path), KIE_API_KEY="x", KIE_MCP_BASE_URL="http://127.0.0.1:9"
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("kie-mcp: ")
