"""Play wishes in a host: a scripted model on one side of it, the server with the sandbox on the other."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from dialects import Reply, Result, Turn
from hosts import ROOT, Host
from model import serve_model
from wishes import BY_NAME, Scene, Wish, draw_photo, reply, shorten

SECONDS = 6
"""How long a task takes: longer than the shortest time limit of a host, which is 5 s."""
PATIENCE = 900
"""Seconds after which a host is ended."""


@dataclass
class Played:
    """What came of one wish in one host."""

    wish: Wish
    turns: list[Turn] = field(default_factory=list)
    credits: float = 0
    error: str = ""
    """What the agent ended with; empty when it ended well."""
    wrong: str = ""
    """Why the wish counts as failed; empty when it does not."""

    @property
    def results(self) -> list[Result]:
        """What the model got of each call."""
        return self.turns[-1].results if self.turns else []

    def judge(self, scene: Scene) -> None:
        """Decide whether the user got what he wished for, at the right cost."""
        if self.error:
            self.wrong = f"the agent ends: {shorten(self.error)}"
        elif not self.results:
            self.wrong = "the agent calls no tool"
        else:
            self.wrong = self.wish.judge(scene, self.results)
        if abs(self.credits - self.wish.credits) > 0.001:
            cost = f"{self.credits:g} credits in place of {self.wish.credits:g}"
            self.wrong = f"{cost}, {self.wrong}" if self.wrong else cost


def environment(
    host: Host, model: str, scene: Scene, data: Path, seconds: float, command: Sequence[str]
) -> dict[str, str]:
    """Return the driver's environment: the server's configuration, the model's address, and nothing of the user's."""
    settings = {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": str(seconds),
        "KIE_MCP_DATA_DIR": str(data),
        "KIE_MCP_OUTPUT_DIR": str(scene.output),
        "KIE_MCP_READ_DIRS": str(scene.photo.parent),
    }
    server = {"command": command[0], "args": command[1:], "env": settings}
    programs = [host.folder / "node_modules" / ".bin", ROOT / ".node" / "node_modules" / ".bin"]
    return {
        "HOME": str(data.parent),
        "HOSTS_SERVER": json.dumps(server),
        "HOSTS_MODEL": model,
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "NO_PROXY": "127.0.0.1",
    }


def play(
    host: Host,
    wishes: Sequence[str] = tuple(BY_NAME),
    seconds: float = SECONDS,
    command: Sequence[str] = (str(Path(sys.executable).parent / "kie-mcp"),),
) -> list[Played]:
    """Play wishes in a host that starts the server by a command; return what came of each.

    What the host prints is kept beside its packages.
    """
    played = {name: Played(BY_NAME[name]) for name in wishes}
    begun: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="hosts-") as folder:
        scene = Scene(Path(folder, "photos", "fox.jpg"), Path(folder, "results"))
        scene.photo.parent.mkdir()
        scene.photo.write_bytes(draw_photo(1200, 900))

        def answer(turn: Turn) -> Reply:
            if turn.wish in played:
                begun.setdefault(turn.wish, time.time())
                played[turn.wish].turns.append(turn)
            return reply(scene, turn)

        with serve_model(answer) as model:
            variables = environment(host, model.url, scene, Path(folder, "data"), seconds, command)
            told = run_driver([*host.command(), *wishes], variables, Path(folder), host.folder / "log.txt")
        for name, each in played.items():
            each.error = told.get(name, "its driver does not get so far")
        for name, cost in read_costs(Path(folder, "data"), begun).items():
            played[name].credits = cost
        for each in played.values():
            each.judge(scene)
    return list(played.values())


def run_driver(command: list[str], variables: dict[str, str], folder: Path, log: Path) -> dict[str, str]:
    """Run a driver; return the error of each wish that it told of. Leaves no process behind."""
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            command, env=variables, cwd=folder, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
        ) as process,
    ):
        try:
            stdout, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, _ = process.communicate()
    with log.open("a", encoding="utf-8") as rest:
        rest.write(stdout)
    lines = [json.loads(line) for line in stdout.splitlines() if line.startswith('{"wish":')]
    return {line["wish"]: line.get("error", "") for line in lines}


def read_costs(data: Path, begun: dict[str, float]) -> dict[str, float]:
    """Return what the tasks cost that were started during each wish, in credits."""
    costs = dict.fromkeys(begun, 0.0)
    for file in data.rglob("ledger.sqlite3"):
        with closing(sqlite3.connect(file)) as ledger:
            rows = ledger.execute("SELECT created, credits, estimate FROM tasks WHERE state != 'failed'").fetchall()
        for created, charged, estimate in rows:
            name = max((name for name in begun if begun[name] <= created), key=begun.__getitem__)
            costs[name] += charged if charged is not None else json.loads(estimate or "[0]")[0]
    return costs
