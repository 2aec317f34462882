"""From a wheel to a picture in a client, with an empty home; `scripts/first-minute` calls this."""

import argparse
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from PIL import Image

ROOT = Path(__file__).parents[2]
MAX_SECONDS = 60
PATH = "/usr/local/bin:/usr/bin:/bin"
USER = "nobody"
"""The user who runs it all if root calls this, so that nothing of root's home helps."""


@dataclass
class Minute:
    """A new user's first minute."""

    home: Path
    user: pwd.struct_passwd | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step, and print its seconds."""
        begin = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begin
        sys.stdout.write(f"{self.seconds[name]:6.1f} s  {name}\n")
        sys.stdout.flush()

    @property
    def environment(self) -> dict[str, str]:
        """What the user's shell has; only where packages come from is as for whoever calls this."""
        return {**read_pip_settings(), "HOME": str(self.home), "PATH": PATH, "PIP_NO_CACHE_DIR": "1", "LANG": "C.UTF-8"}

    def run(self, *command: str | Path) -> str:
        """Run a command as the user, and return what it prints."""
        ran = subprocess.run(
            list(map(str, command)),
            cwd=self.home,
            env=self.environment,
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout


def read_pip_settings() -> dict[str, str]:
    """Return pip's settings of whoever calls this, as environment variables."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pairs = (line.partition("=") for line in listed.splitlines())
    return {f"PIP_{name.partition('.')[2].upper().replace('-', '_')}": value.strip("'") for name, _, value in pairs}


def find_python(user: pwd.struct_passwd) -> str | None:
    """Return a Python that another user can run as well, and that can make environments."""
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        program = shutil.which(name, path=PATH)
        check = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
        if program and not subprocess.run([program, "-c", check], user=user.pw_uid, cwd="/", check=False).returncode:
            return program
    return None


async def draw(entry: Mapping[str, Any], minute: Minute) -> Path:
    """Start the server of a client's entry, as the client does, and have a picture made; return its file."""
    environment = {**minute.environment, **entry.get("env", {})}
    command = [entry["command"], *entry["args"]]
    if minute.user:
        # The SDK's client cannot start a program as another user.
        command = [
            "setpriv",
            f"--reuid={minute.user.pw_uid}",
            f"--regid={minute.user.pw_gid}",
            "--clear-groups",
            *command,
        ]
    server = StdioServerParameters(command=command[0], args=command[1:], env=environment, cwd=minute.home)
    with minute.step("the client connects"):
        client = Client(server)
        await client.__aenter__()
    with minute.step("a picture is made and saved"):
        made = await client.call_tool("nano_banana_image", {"prompt": "a red fox in the snow"})
        answer: Mapping[str, Any] = made.structured_content or {}
        while answer.get("status") in {"prepared", "submitting", "running"}:
            again = {"task_ids": [answer["task_id"]], "wait_seconds": 20}
            answer = (await client.call_tool("get_task", again)).structured_content or {}
        file = Path(answer["media"][0]["path"])
        Image.open(file).verify()
    await client.__aexit__(None, None, None)
    return file


def main(wheel: Path | None) -> int:
    """Do all steps, and return 1 if they took too long."""
    user = pwd.getpwnam(USER) if os.getuid() == 0 and shutil.which("setpriv") else None
    python = (user and find_python(user)) or sys.executable
    user = user if python != sys.executable else None
    with tempfile.TemporaryDirectory(prefix="first-minute-") as folder:
        home = Path(folder)
        if user:
            os.chown(home, user.pw_uid, user.pw_gid)
        if not wheel:
            # A user downloads it, so building it is not measured.
            pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(home), str(ROOT)]
            subprocess.run(pip, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
            (wheel,) = home.glob("*.whl")
        shutil.copy(ROOT / "constraints.txt", home)
        minute = Minute(home, user)
        environment = home / "venv"
        with minute.step("the wheel and what it needs are installed"):
            minute.run(python, "-m", "venv", environment)
            minute.run(environment / "bin" / "pip", "install", "-q", "-c", home / "constraints.txt", wheel)
        with minute.step("kie-mcp install puts it into Cursor"):
            minute.run(environment / "bin" / "kie-mcp", "install", "cursor", "--sandbox")
        entry = json.loads((home / ".cursor" / "mcp.json").read_text(encoding="utf-8"))["mcpServers"]["kie"]
        file = anyio.run(draw, entry, minute)
        if home not in file.parents:
            raise SystemExit(f"{file} is not in the user's home.")
        took = sum(minute.seconds.values())
    sys.stdout.write(f"{took:6.1f} s  from the wheel to the picture {file.name}\n")
    return 0 if took < MAX_SECONDS else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="A wheel that is built already.")
    sys.exit(main(parser.parse_args().wheel))
