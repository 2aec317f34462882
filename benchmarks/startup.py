"""Measure from a server's start to its first answers: `python -m benchmarks.startup [--write docs/performance.md]`.

Each round starts three servers in turn, so that other load on the machine affects all of them: kie-mcp; kie-mcp with a
list of tools for which no answers are prepared, so that the SDK makes all answers; and a server of the same SDK with
one tool. A ratio is the median of the ratios of all rounds; the last line is the ratio for which there is a goal.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from benchmarks.document import format_table, write_block
from benchmarks.stdio import INHERITED
from kie_mcp.sandbox.app import Sandbox

LIMIT = 0.10
"""Highest allowed ratio of the time to the answer of tools/list."""
IDLE_SECONDS = 3.0
BARE = """\
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")
@server.tool()
def echo(text: str) -> str:
    return text
server.run()
"""
KIE_MCP = (sys.executable, "-m", "kie_mcp")
SERVERS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "kie-mcp": (KIE_MCP, {}),
    "SDK only": (KIE_MCP, {"KIE_MCP_TOOLS": "standard,get_task"}),
    "bare server": ((sys.executable, "-c", BARE), {}),
}
"""For each server, its command and its additional environment variables."""
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "get_credits": ("get_credits", {}),
    "list_tasks": ("list_tasks", {}),
    "paid call": ("nano_banana_image", {"prompt": "a fox"}),
}
ECHO = ("echo", {"text": "a fox"})
Figures = dict[tuple[int, str], float]
"""Figures by the number of the round and what was called in it."""
ROWS = (
    "spawn to initialize, ms",
    "spawn to tools/list, ms",
    "RSS after tools/list, MB",
    "spawn to the answer of get_credits, ms",
    "spawn to the answer of list_tasks, ms",
    "CPU until the answer of list_tasks, ms",
    "spawn to the create at KIE, ms",
    f"create at KIE after {IDLE_SECONDS:g} s, ms from the call",
    f"CPU for that create after {IDLE_SECONDS:g} s, ms",
)
"""The rows of the table."""


class Kie:
    """A fake KIE (the sandbox) that records when the first create request arrives."""

    def __init__(self) -> None:
        self._app = Sandbox(seconds=0.2).app
        self.created = threading.Event()
        self.created_at = 0.0
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["path"].endswith("/createTask") and not self.created.is_set():
            self.created_at = time.perf_counter()
            self.created.set()
        await self._app(scope, receive, send)


@contextmanager
def serve_kie() -> Iterator[Kie]:
    """Serve the sandbox on a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kie = Kie()
        kie.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(kie, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        try:
            yield kie
        finally:
            server.should_exit = True
            thread.join()


class Connection:
    """A client of one server that was just spawned."""

    def __init__(self, name: str, kie: Kie, folder: str) -> None:
        command, more = SERVERS[name]
        settings = {
            "KIE_API_KEY": "sandbox",
            "KIE_MCP_BASE_URL": kie.url,
            "KIE_MCP_UPLOAD_URL": kie.url,
            "KIE_MCP_DATA_DIR": folder,
            "KIE_MCP_SAVE": "0",
        }
        pipe = subprocess.PIPE
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=INHERITED | settings | more
        )

    def ask(self, id_: int, method: str, params: Mapping[str, Any]) -> None:
        """Send a request, and wait for its answer."""
        self.send(id=id_, method=method, params=params)
        if not self.process.stdout:
            raise AssertionError
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == id_:
                if "result" not in answer:
                    raise AssertionError(answer)
                return
        raise AssertionError(method)

    def send(self, **message: object) -> None:
        """Write one JSON-RPC message."""
        if not self.process.stdin:
            raise AssertionError
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def elapsed(self) -> float:
        """Return the milliseconds since the spawn."""
        return 1000 * (time.perf_counter() - self.began)

    def cpu(self) -> float:
        """Return the milliseconds of CPU that the process has used."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e6

    def memory(self) -> float:
        """Return the resident memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def shake_hands(self) -> dict[str, float]:
        """Initialize the session and list the tools, and return the times and the memory by row of the table."""
        self.ask(1, "initialize", INITIALIZE)
        initialized = self.elapsed()
        self.send(method="notifications/initialized")
        self.ask(2, "tools/list", {})
        return {
            "spawn to initialize, ms": initialized,
            "spawn to tools/list, ms": self.elapsed(),
            "RSS after tools/list, MB": self.memory(),
        }


def measure(name: str, what: str, kie: Kie) -> dict[str, float]:
    """Start a server, make one call, and return the figures by row of the table.

    Args:
        name: One of `SERVERS`.
        what: One of `CALLS`, or `idle`, which is a paid call after some seconds without calls.
        kie: The fake KIE that the server uses.
    """
    tool, arguments = ECHO if name == "bare server" else CALLS.get(what, CALLS["paid call"])
    kie.created.clear()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        connection = Connection(name, kie, folder)
        with connection.process as process:
            figures = connection.shake_hands()
            time.sleep(IDLE_SECONDS if what == "idle" else 0)
            called, cpu = connection.elapsed(), connection.cpu()
            connection.ask(3, "tools/call", {"name": tool, "arguments": arguments})
            if what in ("get_credits", "list_tasks"):
                figures[f"spawn to the answer of {what}, ms"] = connection.elapsed()
                figures[f"CPU until the answer of {what}, ms"] = connection.cpu()
            else:
                created = 1000 * (kie.created_at - connection.began)
                figures |= (
                    {
                        f"create at KIE after {IDLE_SECONDS:g} s, ms from the call": created - called,
                        f"CPU for that create after {IDLE_SECONDS:g} s, ms": connection.cpu() - cpu,
                    }
                    if what == "idle"
                    else {"spawn to the create at KIE, ms": created}
                )
            process.kill()
    return figures


def measure_rounds(rounds: int) -> dict[str, dict[str, Figures]]:
    """Return the figures of all rounds, by row and server."""
    figures: dict[str, dict[str, Figures]] = {row: {name: {} for name in SERVERS} for row in ROWS}
    with serve_kie() as kie:
        for number in range(rounds):
            names = [*SERVERS][number % len(SERVERS) :] + [*SERVERS][: number % len(SERVERS)]
            for what in (*CALLS, "idle"):
                for name in names:
                    if name == "bare server" and what in ("paid call", "idle"):
                        continue
                    for row, figure in measure(name, what, kie).items():
                        if row in figures:
                            figures[row][name][number, what] = figure
    return figures


def ratio(figures: Mapping[str, Figures], name: str) -> float | None:
    """Return the median of the ratios of kie-mcp to another server in one round; None if the other has no figures."""
    ours, others = figures["kie-mcp"], figures[name]
    return statistics.median(ours[run] / other for run, other in others.items()) if others else None


def main() -> int:
    """Measure, print, and return 1 if tools/list comes too late."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--write", type=Path, help="the document to write the table to")
    options = parser.parse_args()
    figures = measure_rounds(options.rounds)
    lines = []
    for row, by_name in figures.items():
        cells = [f"{statistics.median(each.values()):,.0f}" if each else "" for each in by_name.values()]
        ratios = [ratio(by_name, name) for name in ("SDK only", "bare server")]
        lines.append([row, *cells, *("" if each is None else f"{each:.2f}" for each in ratios)])
    table = format_table(["", *SERVERS, "to SDK only", "to bare"], lines)
    print(table)
    if options.write:
        write_block(options.write, "startup", "python -m benchmarks.startup --write docs/performance.md", table)
    reached = ratio(figures["spawn to tools/list, ms"], "bare server") or 0
    print(f"{reached:.2f}")
    return int(reached > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
