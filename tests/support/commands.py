"""Run the kie-mcp command in its own process, which is forked from a process that has imported all modules."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.preloaded import preloaded_command

COMMAND = (sys.executable, "-m", "kie_mcp")
"""The command without a fork, for tests about the start; importing all modules takes two seconds of CPU."""


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of this process, in which only these settings of kie-mcp are set."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KIE_")} | settings


def run_command(*arguments: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a folder and with settings as environment variables."""
    return subprocess.run(
        [*preloaded_command(), *arguments],
        capture_output=True,
        text=True,
        env=environment(**settings),
        timeout=60,
        check=False,
        cwd=cwd,
    )


@contextmanager
def serve_command(*arguments: str, **settings: str) -> Iterator[str]:
    """Run a command that serves, and yield the URL that it prints; the end of the block stops it with Ctrl-C."""
    with serve_and_record([], *arguments, **settings) as url:
        yield url


@contextmanager
def serve_and_record(told: list[str], /, *arguments: str, **settings: str) -> Iterator[str]:
    """Do the same as `serve_command`, and append to `told` the first line of stderr, and at the end the other lines."""
    with serve_and_record_command(told, [*preloaded_command(), *arguments], settings) as url:
        yield url


@contextmanager
def serve_and_record_command(told: list[str], command: Sequence[str], settings: Mapping[str, str]) -> Iterator[str]:
    """Do the same with any command, because a server that starts worker processes cannot be forked."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**settings),
    ) as process:
        assert process.stderr
        assert process.stdout
        try:
            told.append(process.stderr.readline())
            yield next(word for word in told[-1].split() if word.startswith("http://"))
        finally:
            process.send_signal(signal.SIGINT)
            # communicate() is not used: it would lose the text that readline() has already put into its buffer.
            told.append(process.stderr.read())
            stdout = process.stdout.read()
            process.wait(timeout=60)
        assert (process.returncode, stdout) == (0, "")
        assert "Traceback" not in told[-1]
