"""The kie-mcp command as a process that starts at once, because it is forked from one that has imported everything.

A start that imports takes two seconds of CPU. Tests about the start itself use `commands.COMMAND`. All processes of a
run of tests share the process that forks the others.
"""

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from mcp import StdioServerParameters

HERE = Path(__file__).parent


def preloaded_command(script: str = "") -> tuple[str, ...]:
    """Return a command that does what `commands.COMMAND` does, or runs a script, until `end_parent` is called."""
    _, folder, _ = _use_parent()
    # Without the standard folders and `site`, Python starts in a hundredth of a second.
    return sys.executable, "-I", "-S", str(HERE / "relay.py"), folder, script


def preloaded_parameters(
    settings: Mapping[str, str], *arguments: str, cwd: Path | None = None
) -> StdioServerParameters:
    """Return what an MCP client needs to start this command."""
    command, *first = preloaded_command()
    return StdioServerParameters(command=command, args=[*first, *arguments], env=dict(settings), cwd=cwd)


def end_parent() -> None:
    """Use the process that forks the others no longer, and wait for its end if it was started here."""
    if _use_parent.cache_info().currsize:
        connection, _, parent = _use_parent()
        _use_parent.cache_clear()
        connection.close()
        _note().unlink(missing_ok=True)
        if parent:
            parent.communicate()


def _note() -> Path:
    """Return the file in which all processes of this run of tests find the folder of the process that forks."""
    return Path(tempfile.gettempdir(), f"kie-mcp-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}")


@cache
def _use_parent() -> "tuple[socket.socket, str, subprocess.Popen[bytes] | None]":
    """Return a connection to the process that forks the others, its folder, and the process if it was started here.

    It ends when there is no such connection any more.
    """
    parent = None
    with _note().open("a+") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.seek(0)
        folder = note.read()
        if not folder or not (connection := _connect(folder)):
            folder = tempfile.mkdtemp(prefix="kie-mcp-")
            parent = _start_parent(folder)
            connection = _connect(folder)
            note.truncate(0)
            note.write(folder)
    assert connection
    return connection, folder, parent


def _start_parent(folder: str) -> "subprocess.Popen[bytes]":
    """Start the process that forks the others, and wait until it can."""
    command = [sys.executable, str(HERE / "parent.py"), folder]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout
    assert parent.stdout.readline() == b"ready\n"
    return parent


def _connect(folder: str) -> socket.socket | None:
    """Return a connection to the process that forks the others; None if it has ended."""
    connection = socket.socket(socket.AF_UNIX)
    with suppress(OSError):
        connection.connect(f"{folder}/socket")
        connection.sendall(bytes(4))
        if connection.recv(4):
            return connection
    connection.close()
    return None
