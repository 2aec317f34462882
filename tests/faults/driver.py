"""Drives servers in other processes, which may be killed between any two steps."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import killable_server
from support.effort import Effort
from support.kie_server import KieServer
from support.ledgers import find_url

Call = tuple[str, Mapping[str, Any]]

DAY = 24 * 3600


def choose_moments(passed: Sequence[str]) -> list[int]:
    """Return the numbers, from 1 on, of the moments at which a server is to be killed, of those that another passed.

    These are the first and the last one of each kind, or with `--thorough` all of them.
    """
    if Effort.is_thorough:
        return [*range(1, len(passed) + 1)]
    first = {moment: number for number, moment in reversed([*enumerate(passed, 1)])}
    last = {moment: number for number, moment in enumerate(passed, 1)}
    return sorted({*first.values(), *last.values()})


class Driver:
    """Starts servers that may be killed."""

    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self._running = running

    def start(self, folder: Path, served: KieServer, *calls: Call, **how: Any) -> None:
        """Have a process make the calls, with its ledger and output in a folder."""
        environment = served.environment | {
            "KIE_MCP_DATA_DIR": str(folder / "data"),
            "KIE_MCP_OUTPUT_DIR": str(folder / "out"),
            "KIE_MCP_READ_DIRS": str(folder),
            "KIE_MCP_REPEAT_WINDOW": str(DAY),
        }
        if url := find_url(folder / "data"):
            environment["KIE_MCP_DATABASE_URL"] = url
        assert self._running.stdin
        self._running.stdin.write(json.dumps({"environment": environment, "calls": calls, **how}) + "\n")
        self._running.stdin.flush()

    def told(self) -> dict[str, Any]:
        """What the process told, once it is gone: at which moment it was killed, or else what came of the calls."""
        assert self._running.stdout
        told = dict(json.loads(self._running.stdout.readline()))
        assert int(self._running.stdout.readline()) == (-signal.SIGKILL if "moment" in told else 0)
        return told


@contextmanager
def driving() -> Iterator[Driver]:
    command = [sys.executable, killable_server.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Driver(process)
