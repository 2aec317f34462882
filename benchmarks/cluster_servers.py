"""The processes of the cluster benchmark: a KIE for many keys, replicas of kie-mcp, and a bare server of the SDK."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from benchmarks.stdio import INHERITED
from kie_mcp.server.http import PATH

TOKEN = "a long random text"  # noqa: S105 - of servers on this machine that live for minutes
START_SECONDS = 60
KIE = """
import sys
import uvicorn
from starlette.responses import JSONResponse
from kie_mcp.sandbox.app import Sandbox

class Kies:
    # One sandbox, with a rate limit and a balance of its own, for each key.
    def __init__(self, seconds):
        self.seconds, self.by_key = seconds, {}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        if scope["path"] == "/benchmark/accepted":
            told = [[key, task.id, str(task.body["input"]["prompt"])]
                    for key, kie in self.by_key.items() for task in kie.accepted]
            await JSONResponse(told)(scope, receive, send)
            return
        key = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        if key not in self.by_key:
            self.by_key[key] = Sandbox(key=key, credits=1e9, seconds=self.seconds)
        await self.by_key[key].app(scope, receive, send)

uvicorn.run(Kies(float(sys.argv[2])), port=int(sys.argv[1]), log_level="error", lifespan="off")
"""
BARE = """
import sys
import uvicorn
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")
@server.tool()
def echo(text: str) -> str:
    return text
uvicorn.run(server.streamable_http_app(stateless_http=True), port=int(sys.argv[1]), log_level="error")
"""


class Process:
    """A program that serves on a port, and may be killed and started again there."""

    def __init__(self, command: list[str], settings: Mapping[str, str], port: int, log: Path) -> None:
        """Start the program.

        Args:
            command: The program and its arguments.
            settings: Its environment variables.
            port: The port at which it serves.
            log: The file for what it prints.
        """
        self._command, self._settings, self._log = command, settings, log
        self.port = port
        self.start()

    @property
    def url(self) -> str:
        """The address of MCP."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    def start(self) -> None:
        """Start the program."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env={**INHERITED, **self._settings}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End the program at once, as a power failure does."""
        self.process.kill()
        self.process.wait()

    def measure_kilobytes(self) -> float:
        """Return the memory that the program has."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def wait_until_open(self) -> None:
        """Wait until the port takes connections.

        Raises:
            TimeoutError: When the program does not start.
        """
        _wait_for(lambda: _is_open(self.port), self._log)

    def wait_until_ready(self) -> None:
        """Wait until a replica says that it can work.

        Raises:
            TimeoutError: When it does not start.
        """
        _wait_for(lambda: _is_ready(self.port), self._log)


@contextmanager
def run_process(command: list[str], settings: Mapping[str, str], port: int, log: Path) -> Iterator[Process]:
    """Run a program until the block ends."""
    process = Process(command, settings, port, log)
    try:
        yield process
    finally:
        process.process.send_signal(signal.SIGTERM)
        try:
            process.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def find_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def run_kie(folder: Path, seconds: float) -> Iterator[Process]:
    """Run a KIE that takes every key; a task takes some seconds."""
    port = find_port()
    with run_process([sys.executable, "-c", KIE, str(port), str(seconds)], {}, port, folder / "kie.log") as kie:
        kie.wait_until_open()
        yield kie


@contextmanager
def run_bare(folder: Path) -> Iterator[Process]:
    """Run a server of the SDK with one tool."""
    port = find_port()
    with run_process([sys.executable, "-c", BARE, str(port)], {}, port, folder / "bare.log") as bare:
        bare.wait_until_open()
        yield bare


@contextmanager
def run_replica(folder: Path, kie: Process, database: str, *, with_keys: bool) -> Iterator[Process]:
    """Run a replica.

    Args:
        folder: The folder for its files.
        kie: Its KIE.
        database: URL of its database.
        with_keys: Whether each caller has a key of its own.
    """
    port = find_port()
    settings = {
        "KIE_API_KEY": "sandbox-of-the-benchmark",
        "KIE_MCP_BASE_URL": f"http://127.0.0.1:{kie.port}",
        "KIE_MCP_UPLOAD_URL": f"http://127.0.0.1:{kie.port}",
        "KIE_MCP_DATABASE_URL": database,
        "KIE_MCP_DATA_DIR": str(folder / "data"),
        "KIE_MCP_HTTP_TOKEN": TOKEN,
        # Files are what benchmarks.files measures.
        "KIE_MCP_SAVE": "0",
        "KIE_MCP_WAIT_SECONDS": "0",
        "KIE_MCP_REPEAT_WINDOW": "86400",
        "KIE_MCP_CONFIRM_HOURLY": "0",
        **({"KIE_MCP_CALLER_KEYS": "1"} if with_keys else {}),
    }
    command = [sys.executable, "-m", "kie_mcp", "serve", "--http", "--port", str(port)]
    with run_process(command, settings, port, folder / f"replica-{port}.log") as replica:
        replica.wait_until_ready()
        yield replica


def _is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def _wait_for(happened: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not happened():
        if time.monotonic() > until:
            raise TimeoutError(log.read_text(encoding="utf-8", errors="replace")[-2000:])
        time.sleep(0.1)


assert os.name == "posix", "The benchmark kills processes."  # noqa: S101 - for whoever starts it elsewhere
