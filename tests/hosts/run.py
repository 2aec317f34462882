"""Play the ten wishes in real hosts on the sandbox, and write what came of it to docs/hosts.md.

`scripts/hosts` calls this; arguments are names of hosts in hosts.toml, all when left out.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from dialects import Result, Turn
from model import serve_model
from wishes import BY_NAME, WISHES, Scene, Wish, draw_photo, reply, shorten

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
INSTALLED = ROOT / ".hosts"
SECONDS = 6
"""How long a task takes: longer than the shortest time limit of a host, which is 5 s."""
PATIENCE = 900
"""Seconds after which a host is ended."""


@dataclass(frozen=True)
class Host:
    """A host as hosts.toml describes it."""

    name: str
    title: str
    kind: str
    """What runs its driver: `python` or `node` with the host's packages, or this Python, which starts a `program`."""
    packages: tuple[str, ...]
    """What has to be installed, with versions; the host itself comes first."""
    configuration: str
    """What is to be known for using it with kie-mcp."""

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return INSTALLED / self.name

    def install(self) -> str:
        """Install the packages unless they are there; return why that cannot be done."""
        stamp = self.folder / "packages"
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == "\n".join(self.packages):
            return ""
        self.folder.mkdir(parents=True, exist_ok=True)
        for command in self._installation():
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                return f"{self.name} cannot be installed: {ran.stderr.strip()[-500:]}"
        stamp.write_text("\n".join(self.packages), encoding="utf-8")
        return ""

    def _installation(self) -> list[list[str]]:
        if self.kind != "python":
            npm = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
            return [[*npm, "--prefix", str(self.folder), *self.packages]]
        environment = self.folder / ".venv"
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        return [[sys.executable, "-m", "venv", str(environment)], [*pip, *self.packages]]

    def command(self) -> list[str]:
        """Return the command of the driver. A module of Node finds its packages only in a folder above itself."""
        name = self.name.replace("-", "_")
        if self.kind != "node":
            python = self.folder / ".venv" / "bin" / "python" if self.kind == "python" else sys.executable
            # A file of the host's own name would hide the host's package.
            return [str(python), str(HERE / "python" / f"{name}_host.py")]
        for file in (HERE / "node").iterdir():
            (self.folder / file.name).write_bytes(file.read_bytes())
        return ["node", str(self.folder / f"{self.name}.mjs")]


@dataclass
class Played:
    """What came of one wish in one host."""

    wish: Wish
    turns: list[Turn] = field(default_factory=list)
    credits: float = 0
    error: str | None = None
    """What the host ended with; empty when it ended well, None when it did not get so far."""
    wrong: str = ""
    """Why the wish counts as failed; empty when it does not."""

    @property
    def results(self) -> list[Result]:
        """What the model got of each call."""
        return self.turns[-1].results if self.turns else []

    def judge(self, scene: Scene) -> None:
        """Decide whether the user got what he wished for, at the right cost."""
        reasons = []
        if self.error or not self.turns:
            reasons.append(f"the agent ends: {shorten(self.error or 'it asked its model nothing')}")
        elif not self.results:
            reasons.append("the agent calls no tool")
        else:
            reasons.append(self.wish.judge(scene, self.results))
        if abs(self.credits - self.wish.credits) > 0.001:
            reasons.append(f"it costs {self.credits:g} credits and should cost {self.wish.credits:g}")
        self.wrong = "; ".join(filter(None, reasons))


def environment(host: Host, model: str, scene: Scene, data: Path, seconds: float) -> dict[str, str]:
    """Return the driver's environment: the server's configuration and the model's address."""
    settings = {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": str(seconds),
        "KIE_MCP_DATA_DIR": str(data),
        "KIE_MCP_OUTPUT_DIR": str(scene.output),
        "KIE_MCP_READ_DIRS": str(scene.photo.parent),
    }
    server = {"command": str(Path(sys.executable).parent / "kie-mcp"), "args": [], "env": settings}
    programs = [host.folder / "node_modules" / ".bin", ROOT / ".node" / "node_modules" / ".bin"]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("KIE_")},
        "HOSTS_SERVER": json.dumps(server),
        "HOSTS_MODEL": model,
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "NO_PROXY": "127.0.0.1",
    }


def play(host: Host, wishes: Sequence[str] = tuple(BY_NAME), seconds: float = SECONDS) -> list[Played]:
    """Play wishes in a host; return what came of each. What the host prints is kept beside its packages."""
    played = {name: Played(BY_NAME[name]) for name in wishes}
    begun: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="hosts-") as folder:
        scene = Scene(Path(folder, "photos", "fox.jpg"), Path(folder, "results"))
        scene.photo.parent.mkdir()
        scene.photo.write_bytes(draw_photo(1200, 900))

        def answer(turn: Turn) -> str | object:
            if turn.wish in played:
                begun.setdefault(turn.wish, time.time())
                played[turn.wish].turns.append(turn)
            return reply(scene, turn)

        with serve_model(answer) as model:
            variables = environment(host, model.url, scene, Path(folder, "data"), seconds)
            told = run_driver([*host.command(), *wishes], variables, Path(folder), host.folder / "log.txt")
        for name, error in told.items():
            played[name].error = error
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


def read_hosts(names: Sequence[str] = ()) -> list[Host]:
    """Return the hosts of hosts.toml, or those with the given names."""
    rows = tomllib.loads((HERE / "hosts.toml").read_text(encoding="utf-8"))
    if unknown := set(names) - set(rows):
        raise SystemExit(f"hosts.toml has no {', '.join(sorted(unknown))}; it has {', '.join(rows)}")
    return [
        Host(name, row["title"], row["kind"], tuple(row["packages"]), row["configuration"].strip())
        for name, row in rows.items()
        if not names or name in names
    ]


def main(*names: str) -> int:
    """Install and play the hosts, two at a time, and write the document; fail when a host could not be installed."""
    hosts = read_hosts(names)
    missing = [reason for host in hosts if (reason := host.install())]
    with ThreadPoolExecutor(2) as at_once:
        for host, played in zip(hosts, at_once.map(play, hosts), strict=True):
            for each in played:
                print(f"{host.name:16} {each.wish.name:10} {each.credits:6g} {each.wrong or 'ok'}", flush=True)
    print("\n".join(missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
