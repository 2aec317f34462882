"""The commands, run as processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = (sys.executable, "-m", "kie_mcp")


def environment(**settings: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("KIE_")} | settings


def kie_mcp(*arguments: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=environment(**settings),
        timeout=60,
        check=False,
        cwd=cwd,
    )


@contextmanager
def serving(*arguments: str, **settings: str) -> Iterator[str]:
    """A command that serves; gives the URL that it says it serves at, and ends it with Ctrl-C."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**settings),
    ) as process:
        try:
            assert process.stderr
            said = process.stderr.readline()
            yield next(word for word in said.split() if word.startswith("http://"))
        finally:
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        assert (process.returncode, stdout) == (0, "")
        assert "Traceback" not in stderr
