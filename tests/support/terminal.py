"""Run the kie-mcp command in a terminal, as a person does, and answer its questions."""

import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence

from support.commands import environment
from support.preloaded import preloaded_command

OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes stdin the terminal of the process, as a terminal emulator does, and runs the command in the arguments."""


def run_in_terminal(
    settings: Mapping[str, str],
    *arguments: str,
    answers: Sequence[tuple[str, str]] = (),
    size_px: tuple[int, int] = (0, 0),
) -> tuple[int, str]:
    """Run kie-mcp with some arguments, as `run_program_in_terminal()` says; it takes the terminal by itself."""
    return _run([*preloaded_command(), *arguments], settings, answers, size_px)


def run_program_in_terminal(
    settings: Mapping[str, str],
    *command: str,
    answers: Sequence[tuple[str, str]] = (),
    size_px: tuple[int, int] = (0, 0),
) -> tuple[int, str]:
    """Run a command to its end, and return its exit code and what the terminal showed.

    Args:
        settings: Environment variables.
        command: The program and its arguments.
        answers: Pairs of the end of a question that the command asks, and the text that the person types.
        size_px: Width and height of the terminal, which has 40 rows of 80 columns; 0 if the terminal does not tell it.
    """
    return _run([sys.executable, "-c", OWN_TERMINAL, *command], settings, answers, size_px)


def _run(
    command: Sequence[str], settings: Mapping[str, str], answers: Sequence[tuple[str, str]], size_px: tuple[int, int]
) -> tuple[int, str]:
    # These modules are imported here, because Windows does not have them.
    import fcntl
    import pty
    import termios

    without_ci = {name: value for name, value in environment().items() if name != "CI"}
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, *size_px))
    with subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**without_ci, "COLUMNS": "80", **settings},
        start_new_session=True,
    ) as process:
        os.close(terminal)
        shown = asked = ""
        for question, answer in answers:
            while question not in asked and (text := _read(controller)):
                shown, asked = shown + text, asked + text
            asked = asked.partition(question)[2]
            os.write(controller, f"{answer}\n".encode())
        while text := _read(controller):
            shown += text
    os.close(controller)
    return process.returncode, shown


def _read(controller: int) -> str:
    """Return the next output of the terminal; an empty text if the program has ended."""
    try:
        return os.read(controller, 4096).decode(errors="replace")
    except OSError:
        return ""
