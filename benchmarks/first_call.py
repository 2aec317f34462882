"""Measure from a tool call to its create request: `python -m benchmarks.first_call [--write DOCUMENT] [PYTHON]`.

A simulated KIE answers at once or 250 ms late, and records when create requests arrive. The first call of each new
server comes directly after tools/list or 3 s later; its second call is measured, too. The benchmark fails if a create
request 3 s after the start takes more than 30 ms of kie-mcp's own time, or if a create request waits for another
request to KIE. It takes two minutes.

PYTHON is an interpreter with an earlier version of kie-mcp. If it is given, servers of both versions are started in
turn, and only the time to the first create request right after tools/list is compared; the ratio is the median of the
ratios of all pairs. That takes half a minute.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import truediv
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.types import Receive, Scope, Send

from benchmarks.document import format_table, write_block
from benchmarks.stdio import INHERITED, ask, close, initialize, send
from kie_mcp.kie.advice import SANDBOX_KEY
from kie_mcp.sandbox.app import Sandbox

STARTS = 5
PAIRS = 8
"""Number of servers of each version in a comparison."""
AWAY_SECONDS = 0.25
IDLE_SECONDS = 3.0
LONGEST_SECONDS = 60
"""Maximum seconds from a server's start to its create request, in a comparison."""
MAX_MILLISECONDS = 30
"""Most milliseconds of kie-mcp's own time from the call to the create request, 3 s after the start."""
MAX_ROUND_TRIPS = 1.1
"""Latest arrival of a create request at a distant KIE, in round trips; the request itself takes one."""
CALLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "picture": ("nano_banana_image", {"prompt": "a heron at dawn"}),
    "song": ("suno_music", {"prompt": "rain on a tin roof"}),
}


@dataclass
class DistantKie:
    """A simulated KIE that adds the time of one round trip to each answer."""

    sandbox: Sandbox
    seconds: float
    creates: list[float] = field(default_factory=list)
    """Times, by the monotonic clock, at which create requests arrived."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await anyio.sleep(self.seconds)
            if scope["method"] == "POST":
                self.creates.append(time.monotonic())
        await self.sandbox.app(scope, receive, send)


@contextmanager
def serve(kie: DistantKie) -> Iterator[str]:
    """Serve the simulated KIE on a free port, and yield its URL."""
    server = uvicorn.Server(uvicorn.Config(kie, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@contextmanager
def start_server(python: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server with an empty ledger, initialize its session, and list its tools."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = {"KIE_API_KEY": SANDBOX_KEY, "KIE_MCP_BASE_URL": url, "KIE_MCP_UPLOAD_URL": url}
        folders = {"KIE_MCP_DATA_DIR": folder, "KIE_MCP_OUTPUT_DIR": str(Path(folder, "out")), "KIE_MCP_SAVE": "0"}
        server = subprocess.Popen(
            [python, "-m", "kie_mcp"],
            env={**INHERITED, **settings, **folders, "KIE_MCP_TOOLS": "all"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with server:
            initialize(server)
            ask(server, "tools/list")
            yield server


def measure_server(kie: DistantKie, url: str, call: str, idle: float) -> dict[str, float]:
    """Start a server and return milliseconds: from its start, and from each of two calls, to the create requests."""
    tool, arguments = CALLS[call]
    started = time.monotonic()
    with start_server(sys.executable, url) as server:
        time.sleep(idle)
        taken = {}
        for number, name in enumerate(("1st call", "2nd call")):
            kie.creates.clear()
            began = time.monotonic()
            ask(server, "tools/call", name=tool, arguments={**arguments, "prompt": f"{arguments['prompt']} {number}"})
            taken[name] = (kie.creates[0] - began) * 1000
            if not idle and not number:
                taken["from the start of the server"] = (kie.creates[0] - started) * 1000
        close(server)
    return taken


def measure(away: float) -> dict[str, float]:
    """Return the table's rows for a round trip of `away` seconds, each with the median of the milliseconds."""
    rows: dict[str, float] = {}
    kie = DistantKie(Sandbox(seconds=0, credits=1e6), away)
    with serve(kie) as url:
        for call in CALLS:
            for idle, when in ((0.0, "right after tools/list"), (IDLE_SECONDS, "3 s later")):
                taken = [measure_server(kie, url, call, idle) for _ in range(STARTS)]
                for name in taken[0]:
                    row = f"{call}, {name}, {when}, KIE {away * 1000:.0f} ms away"
                    rows[row] = statistics.median(figures[name] for figures in taken)
    return rows


def measure_create(python: str, call: str) -> float:
    """Return the milliseconds from a server's start to the create request of a call right after tools/list.

    KIE is new for each server, because an earlier version waits if KIE was asked for a success rate a moment ago. The
    server ends then, because an earlier version takes half a minute to answer.
    """
    tool, arguments = CALLS[call]
    kie = DistantKie(Sandbox(seconds=0), 0)
    with serve(kie) as url:
        started = time.monotonic()
        with start_server(python, url) as server:
            send(server, "tools/call", name=tool, arguments=arguments)
            deadline = started + LONGEST_SECONDS
            while not kie.creates and server.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            server.kill()
    if not kie.creates:
        raise SystemExit(f"{python} sent no create request for the call {call}.")
    return (kie.creates[0] - started) * 1000


def compare(python: str) -> str:
    """Return a table of the times to the first create request of this and an earlier version, with their ratio."""
    lines = []
    for call in CALLS:
        measure_create(python, call)
        ours, others = [], []
        for _ in range(PAIRS):
            ours.append(measure_create(sys.executable, call))
            others.append(measure_create(python, call))
        ratio = statistics.median(map(truediv, ours, others))
        lines.append([call, f"{statistics.median(ours):.0f}", f"{statistics.median(others):.0f}", f"{ratio:.2f}"])
    return format_table(["ms from the start to the create", "kie-mcp", "earlier version", "ratio"], lines)


def main() -> int:
    """Measure, print, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, help="the document to write the table to")
    parser.add_argument("python", nargs="?", help="an interpreter with an earlier version of kie-mcp")
    options = parser.parse_args()
    if options.python:
        print(compare(options.python))
        return 0
    rows = measure(0) | measure(AWAY_SECONDS)
    table = format_table(["ms", "kie-mcp"], [[name, f"{ms:.0f}"] for name, ms in rows.items()])
    print(table)
    if options.write:
        write_block(options.write, "first_call", "python -m benchmarks.first_call --write docs/performance.md", table)
    warm = {name: ms for name, ms in rows.items() if "3 s later" in name}
    near = [name for name, ms in warm.items() if "KIE 0 ms" in name and ms > MAX_MILLISECONDS]
    most = AWAY_SECONDS * 1000 * MAX_ROUND_TRIPS + MAX_MILLISECONDS
    far = [name for name, ms in warm.items() if "KIE 0 ms" not in name and ms > most]
    print("\nGoal missed:", "; ".join(near + far) or "nowhere")
    return int(bool(near + far))


if __name__ == "__main__":
    sys.exit(main())
