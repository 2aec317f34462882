"""Run the kie-mcp command as a process of its own, forked from one that has imported everything."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.preloaded import preloaded_command

COMMAND = (sys.executable, "-m", "kie_mcp")
"""The command for tests about its start: importing everything takes two seconds of CPU."""


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment, without any setting of kie-mcp but these."""
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
    """Run a command that serves and give the URL that it prints. Leaving ends it with Ctrl-C."""
    with serve_and_record([], *arguments, **settings) as url:
        yield url


@contextmanager
def serve_and_record(told: list[str], /, *arguments: str, **settings: str) -> Iterator[str]:
    """Do the same, and add to a list what the command tells: its first line, and at the end all other lines."""
    with serve_and_record_command(told, [*preloaded_command(), *arguments], settings) as url:
        yield url


@contextmanager
def serve_and_record_command(told: list[str], command: Sequence[str], settings: Mapping[str, str]) -> Iterator[str]:
    """Do the same with a whole command: one that starts processes of its own cannot be forked."""
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
            # communicate() would lose what readline() has read ahead.
            told.append(process.stderr.read())
            stdout = process.stdout.read()
            process.wait(timeout=60)
        assert (process.returncode, stdout) == (0, "")
        assert "Traceback" not in told[-1]
