"""The kie-mcp command as a process that starts at once, because it is forked from one that has imported everything.

A start that imports takes two seconds of CPU. Tests about the start itself use `commands.COMMAND`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mcp import StdioServerParameters

HERE = Path(__file__).parent


def preloaded_command() -> tuple[str, ...]:
    """Return a command that does what `commands.COMMAND` does, until `end_parent` is called."""
    _, folder = _start_parent()
    # Without the standard folders and `site`, Python starts in a hundredth of a second.
    return sys.executable, "-I", "-S", str(HERE / "relay.py"), folder


def preloaded_parameters(
    settings: Mapping[str, str], *arguments: str, cwd: Path | None = None
) -> StdioServerParameters:
    """Return what an MCP client needs to start this command."""
    command, *first = preloaded_command()
    return StdioServerParameters(command=command, args=[*first, *arguments], env=dict(settings), cwd=cwd)


def end_parent() -> None:
    """End the process that forks the others, if it was started."""
    if _start_parent.cache_info().currsize:
        parent, _ = _start_parent()
        _start_parent.cache_clear()
        parent.communicate()


@cache
def _start_parent() -> "tuple[subprocess.Popen[bytes], str]":
    """Start the process that forks the others, and return it with its folder; it ends with its stdin."""
    folder = tempfile.mkdtemp(prefix="kie-mcp-")
    command = [sys.executable, str(HERE / "parent.py"), folder]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout
    assert parent.stdout.readline() == b"ready\n"
    return parent, folder
