"""Drives servers in other processes, which may be killed between any two steps."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import killable_server
from support.effort import Effort
from support.kie_server import KieServer
from support.ledgers import find_url
from support.preloaded import preloaded_command

Call = tuple[str, Mapping[str, Any]]

DAY = 24 * 3600


def choose_moments(passed: Sequence[str], twice: str = "") -> list[int]:
    """Return the numbers, from 1 on, of the moments at which a server is to be killed, of those that another passed.

    These are the last one of each kind, and the first one of the kinds that match `twice`. What comes after a step is
    left out if the next step, which nothing lasting precedes, is among them. With `--thorough`, these are all moments.
    """
    if Effort.is_thorough:
        return [*range(1, len(passed) + 1)]
    last = {moment: number for number, moment in enumerate(passed, 1)}
    first = {moment: passed.index(moment) + 1 for moment in last if re.search(twice, moment)}
    chosen = {*first.values(), *last.values()}
    same = {number - 1 for number in chosen if passed[number - 1].startswith("before ")}
    return sorted(number for number in chosen if number not in same or not passed[number - 1].startswith("after "))


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
    command = preloaded_command(killable_server.__file__)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Driver(process)
