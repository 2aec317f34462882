"""Ask pip or uv on this machine whether a newer version of kie-mcp is published."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec

from kie_mcp import __version__
from kie_mcp.child_process import run_program
from kie_mcp.doctor.finding import Finding

PACKAGE = "kie-mcp"
SECONDS = 10
"""Timeout in seconds of the command that asks the package index."""
MAX_OUTPUT_BYTES = 100_000
VERSION = re.compile(rb"kie-mcp(?: \(|==)(\d+(?:\.\d+)*)")
"""Matches the newest version in what pip or uv prints, such as `kie-mcp (1.2.0)` or `kie-mcp==1.2.0`."""


async def check_for_update() -> list[Finding]:
    """Report whether a newer version is published; return an empty list if neither pip nor uv finds a version.

    pip and uv know the package index that the user has configured, so kie-mcp needs no address of an index.
    """
    # In programs that uv runs, the variable UV contains the path of uv.
    uv = os.environ.get("UV") or shutil.which("uv")
    command = build_pip_command() if find_spec("pip") else uv and build_uv_command(uv)
    newest = await find_newest(command) if command else None
    if not newest:
        return []
    if _read_version(newest) <= _read_version(__version__):
        return [Finding("update", "ok", f"No version newer than {__version__} is published.")]
    update = "pip install -U kie-mcp, pipx upgrade kie-mcp, or uv cache clean kie-mcp"
    text = f"Version {newest} is published; this is {__version__}."
    return [Finding("update", "note", text, f"Run {update}. Then restart the client.")]


async def find_newest(command: Sequence[str]) -> str | None:
    """Run a command of pip or uv, and return the newest version from its output; None if no version is found."""
    # The standard input of the command contains the name of the package, which uv reads and pip ignores.
    with tempfile.TemporaryFile() as wanted:
        wanted.write(PACKAGE.encode())
        wanted.seek(0)
        try:
            ran = await run_program(command, seconds=SECONDS, max_output_bytes=MAX_OUTPUT_BYTES, file=wanted)
        except (OSError, TimeoutError):
            return None
    newest = VERSION.search(ran.output)
    return newest[1].decode() if newest else None


def build_pip_command() -> list[str]:
    """Return the pip command that prints the published versions of this package."""
    options = ["--disable-pip-version-check", "--no-input", "--retries", "0", "--timeout", "3"]
    return [sys.executable, "-m", "pip", "index", "versions", PACKAGE, *options]


def build_uv_command(uv: str) -> list[str]:
    """Return the uv command that reads a package name from standard input and prints the newest version."""
    options = ["--quiet", "--no-deps", "--no-header", "--no-annotate", "--no-cache"]
    return [uv, "pip", "compile", *options, "-"]


def _read_version(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", text)[:3])
