"""Run the kie-mcp command in a terminal, as a person does, and answer its questions."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from support.commands import COMMAND, environment


def run_in_terminal(
    settings: Mapping[str, str], *arguments: str, answers: Sequence[tuple[str, str]] = ()
) -> tuple[int, str]:
    """Run a command to its end, and return its exit code and what the terminal showed.

    Args:
        settings: Environment variables.
        arguments: The command's arguments.
        answers: Pairs of the end of a question that the command asks, and the text that the person types.
    """
    # This module is imported here, because Windows does not have it.
    import pty

    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment(COLUMNS="80", **settings),
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
