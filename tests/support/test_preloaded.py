"""A forked kie-mcp process behaves as one that was started."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.commands import COMMAND, environment
from support.preloaded import preloaded_command

BOTH = pytest.mark.parametrize("forked", [False, True], ids=["started", "forked"])


def choose(forked: bool) -> tuple[str, ...]:
    return preloaded_command() if forked else COMMAND


@BOTH
def test_a_command_gets_arguments_environment_and_folder(forked: bool, tmp_path: Path) -> None:
    settings = environment(KIE_MCP_SANDBOX="1", KIE_MCP_DATA_DIR=str(tmp_path / "data"), KIE_MCP_OUTPUT_DIR="here")
    # The clients that this user has are none of the test's.
    settings["HOME"] = str(tmp_path)
    ran = subprocess.run(
        [*choose(forked), "doctor", "--json", "--no-update"],
        env=settings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    findings = {each["name"]: each["text"] for each in json.loads(ran.stdout)["findings"]}
    assert str(tmp_path / "here") in findings["output folder"]


@BOTH
def test_a_wrong_setting_ends_a_command_with_2_and_a_message_on_stderr(forked: bool) -> None:
    settings = environment(KIE_MCP_WAIT_SECONDS="soon")
    ran = subprocess.run([*choose(forked), "spend"], env=settings, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "KIE_MCP_WAIT_SECONDS" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_server_on_stdio(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        preloaded_command(),
        env=environment(KIE_MCP_SANDBOX="1", KIE_MCP_DATA_DIR=str(tmp_path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        server.stdin.flush()
        server.stdout.readline()
        server.send_signal(number)
        assert server.wait(60) == -number


def test_a_server_ends_when_its_relay_is_killed(tmp_path: Path) -> None:
    read, write = os.pipe()
    settings = environment(KIE_MCP_SANDBOX="1", KIE_MCP_DATA_DIR=str(tmp_path))
    with subprocess.Popen(preloaded_command(), env=settings, stdin=subprocess.PIPE, stdout=write) as relay:
        os.close(write)
        relay.kill()
    # No process has the other end of the pipe any more.
    with os.fdopen(read, "rb") as output:
        assert output.read() == b""
