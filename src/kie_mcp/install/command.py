"""Find the command by which a client can start kie-mcp on this machine."""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

PACKAGE = "kie-mcp"
EXTRAS = {"ffmpeg": "imageio_ffmpeg", "keyring": "keyring"}
"""The extras of kie-mcp; each maps to a module that can be imported only if the extra is installed."""
PLAIN_WORD = re.compile(r"[\w\\/:.=-]+")
"""Matches a word that PowerShell takes without quotes."""
CACHES = frozenset({".cache", "Caches", "Cache"})
"""Names of the folders for caches on Linux, macOS and Windows."""


def find_command(prefix: str = sys.prefix, env: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the command that starts kie-mcp: the absolute path of a program, and its arguments.

    Desktop clients do not have the PATH of a shell, so they need an absolute path. uv and pipx delete their caches from
    time to time, so if kie-mcp runs from such a cache, the command calls uvx or pipx.

    Args:
        prefix: The folder of this process's Python environment.
        env: The environment variables.
    """
    parts = Path(prefix).parts
    # `uvx` keeps its environments in uv's cache, in folders such as archive-v0 or environments-v2. `pipx run` keeps its
    # environments in the folder pipx of the system's cache. Tools that uv or pipx installed are in other folders.
    if any(part.startswith(("archive-v", "environments-v")) for part in parts) and (uvx := _find_beside_uv("uvx", env)):
        return (uvx, *_name_package("--from"))
    if "pipx" in parts and CACHES.intersection(parts) and (pipx := shutil.which("pipx", path=env.get("PATH"))):
        return (os.path.abspath(pipx), "run", *_name_package("--spec"))  # noqa: PTH100
    script = Path(prefix, "Scripts" if sys.platform == "win32" else "bin", PACKAGE)
    script = script.with_suffix(".exe") if sys.platform == "win32" else script
    return (str(script),) if script.exists() else (sys.executable, "-m", "kie_mcp")


def name_command(command: Sequence[str], *arguments: str, **settings: str) -> str:
    """Return a command from `find_command()` as a person types it, such as `uvx kie-mcp install`.

    A program that a shell does not find by its name keeps its folder.

    Args:
        command: The program and its first arguments.
        arguments: Further arguments.
        settings: Environment variables to set for the command.
    """
    program = command[0]
    found = shutil.which(Path(program).name)
    is_found = found and os.path.abspath(found) == os.path.abspath(program)  # noqa: PTH100
    name = Path(program).name.removesuffix(".exe") if is_found else program
    return write_command((name, *command[1:], *arguments), settings)


def write_command(words: Sequence[str], settings: Mapping[str, str], system: str = sys.platform) -> str:
    """Return a command line with settings in front of it, for PowerShell on Windows and else for a POSIX shell."""
    if system != "win32":
        return " ".join([*(f"{name}={quote(value)}" for name, value in settings.items()), *map(quote, words)])
    quoted = [each if PLAIN_WORD.fullmatch(each) else f'"{each}"' for each in words]
    # Without `&`, PowerShell would print a quoted name instead of starting the program.
    start = ["&"] if quoted[0] != words[0] else []
    return " ".join([*(f"$env:{name}='{value}';" for name, value in settings.items()), *start, *quoted])


def _name_package(option: str) -> tuple[str, ...]:
    """Return the arguments of uvx or pipx that name the package with the extras that are installed here."""
    extras = ",".join(extra for extra, module in EXTRAS.items() if find_spec(module))
    return (option, f"{PACKAGE}[{extras}]", PACKAGE) if extras else (PACKAGE,)


def _find_beside_uv(name: str, env: Mapping[str, str]) -> str | None:
    """Return the path of a program in uv's folder or on PATH; None if the program is in neither.

    uv sets the environment variable UV of its child processes to its own path.
    """
    folders = [str(Path(env["UV"]).parent)] if env.get("UV") else []
    found = shutil.which(name, path=os.pathsep.join([*folders, env.get("PATH", "")]))
    return found and os.path.abspath(found)  # noqa: PTH100
