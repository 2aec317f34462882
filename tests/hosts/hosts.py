"""The hosts of hosts.toml, and how each is installed into `.hosts`, which Git ignores."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
INSTALLED = ROOT / ".hosts"
UV = Path(sys.executable).with_name("uv")
"""Installs the packages of Python hosts: with pip, that takes longer than playing all wishes."""


@dataclass(frozen=True)
class Host:
    """A host as hosts.toml describes it."""

    name: str
    title: str
    kind: str
    """What runs its driver: `python` or `node` with the host's packages, or this Python, which starts a `program`."""
    packages: tuple[str, ...]
    """What has to be installed, with versions; the host itself comes first."""
    notes: str
    """What to know for using it with kie-mcp."""

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return INSTALLED / self.name

    @property
    def outcome(self) -> Path:
        """Where what came of it is kept."""
        return self.folder / "outcome.json"

    @property
    def package(self) -> tuple[str, str]:
        """The name of the host's own package and its version."""
        name, _, version = self.packages[0].replace("==", "@").rpartition("@")
        return name.partition("[")[0], version

    @property
    def driver(self) -> Path:
        """The driver's file. One of the host's own name would hide the host's package in Python."""
        name = f"{self.name}.mjs" if self.kind == "node" else f"{self.name.replace('-', '_')}_host.py"
        return HERE / ("node" if self.kind == "node" else "python") / name

    @property
    def installed(self) -> bool:
        """Whether these packages are installed."""
        return self._stamp.is_file() and self._stamp.read_text(encoding="utf-8") == "\n".join(self.packages)

    @property
    def _stamp(self) -> Path:
        return self.folder / "packages.txt"

    def install(self, environment: Mapping[str, str] = os.environ) -> str:
        """Install the packages if they are not yet; return why that cannot be done, empty when it is done."""
        if self.installed:
            return ""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.outcome.unlink(missing_ok=True)
        for command in self._installation():
            try:
                ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            except FileNotFoundError:
                return f"{self.title} cannot be installed: there is no {command[0]}."
            if ran.returncode:
                return f"{self.title} cannot be installed: {ran.stderr.strip()[-500:]}"
        self._stamp.write_text("\n".join(self.packages), encoding="utf-8")
        return ""

    def _installation(self) -> list[list[str]]:
        if self.kind != "python":
            npm = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
            return [[*npm, "--prefix", str(self.folder), *self.packages]]
        environment = self.folder / ".venv"
        make, fill = [str(UV), "venv", "-q", "--clear", "--python", sys.executable], [str(UV), "pip", "install", "-q"]
        return [[*make, str(environment)], [*fill, "--python", str(environment), *self.packages]]

    def command(self) -> list[str]:
        """Return the driver's command. Node finds packages only in folders above a module, so there it is copied."""
        if self.kind != "node":
            python = self.folder / ".venv" / "bin" / "python" if self.kind == "python" else sys.executable
            return [str(python), str(self.driver)]
        for file in (self.driver, self.driver.with_name("host.mjs")):
            (self.folder / file.name).write_bytes(file.read_bytes())
        return ["node", str(self.folder / self.driver.name)]


def read_hosts(names: Sequence[str] = ()) -> list[Host]:
    """Return the hosts of hosts.toml, or those with the given names."""
    rows = tomllib.loads((HERE / "hosts.toml").read_text(encoding="utf-8"))
    if unknown := set(names) - set(rows):
        raise SystemExit(f"hosts.toml has no {', '.join(sorted(unknown))}; it has {', '.join(rows)}.")
    return [
        Host(name, row["title"], row["kind"], tuple(row["packages"]), row.get("notes", "").strip())
        for name, row in rows.items()
        if not names or name in names
    ]
