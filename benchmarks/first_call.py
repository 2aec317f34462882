"""Measure from a tool call to its create request: `python -m benchmarks.first_call [--write DOCUMENT] [PYTHON]`.

A simulated KIE answers at once or 250 ms late, and records when create requests arrive. The first call of each new
server comes directly after tools/list or 3 s later; its second call is measured, too. PYTHON is an interpreter with an
earlier version of kie-mcp, for comparison; a ratio is the median of the ratios of all rounds. The benchmark fails if
a create request 3 s after the start takes more than 30 ms of kie-mcp's own time, or if a create request waits for
another request to KIE. It takes two minutes, and four with another version.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import truediv
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.types import Receive, Scope, Send

from benchmarks.document import format_table, write_block
from benchmarks.stdio import INHERITED, ask, close, initialize
from kie_mcp.kie.advice import SANDBOX_KEY
from kie_mcp.sandbox.app import Sandbox

STARTS = 5
AWAY_SECONDS = 0.25
IDLE_SECONDS = 3.0
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
    server = uvicorn.Server(uvicorn.Config(kie, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def measure_server(python: str, kie: DistantKie, url: str, call: str, idle: float) -> dict[str, float]:
    """Start a server and return milliseconds: from its start, and from each of two calls, to the create requests."""
    tool, arguments = CALLS[call]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = {"KIE_API_KEY": SANDBOX_KEY, "KIE_MCP_BASE_URL": url, "KIE_MCP_UPLOAD_URL": url}
        folders = {"KIE_MCP_DATA_DIR": folder, "KIE_MCP_OUTPUT_DIR": str(Path(folder, "out")), "KIE_MCP_SAVE": "0"}
        started = time.monotonic()
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
            time.sleep(idle)
            taken = {}
            for number, name in enumerate(("1st call", "2nd call")):
                kie.creates.clear()
                began = time.monotonic()
                ask(
                    server,
                    "tools/call",
                    name=tool,
                    arguments={**arguments, "prompt": f"{arguments['prompt']} {number}"},
                )
                taken[name] = (kie.creates[0] - began) * 1000
                if not idle and not number:
                    taken["from the start of the server"] = (kie.creates[0] - started) * 1000
            close(server)
    return taken


def measure(pythons: Sequence[str], away: float) -> dict[str, list[list[float]]]:
    """Return the table's rows for a round trip of `away` seconds: for each interpreter, the ms of all starts."""
    rows: dict[str, list[list[float]]] = {}
    kie = DistantKie(Sandbox(seconds=0, credits=1e6), away)
    with serve(kie) as url:
        for call in CALLS:
            for idle, when in ((0.0, "right after tools/list"), (IDLE_SECONDS, "3 s later")):
                taken: list[list[dict[str, float]]] = [[] for _ in pythons]
                for _ in range(STARTS):
                    for place, python in enumerate(pythons):
                        taken[place].append(measure_server(python, kie, url, call, idle))
                for name in taken[0][0]:
                    row = f"{call}, {name}, {when}, KIE {away * 1000:.0f} ms away"
                    rows[row] = [[figures[name] for figures in each] for each in taken]
    return rows


def main() -> int:
    """Measure, print, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, help="the document to write the table to")
    parser.add_argument("python", nargs="?", help="an interpreter with an earlier version of kie-mcp")
    options = parser.parse_args()
    pythons = [sys.executable, options.python] if options.python else [sys.executable]
    rows = measure(pythons, 0) | measure(pythons, AWAY_SECONDS)
    lines = []
    for name, taken in rows.items():
        ratios = [statistics.median(map(truediv, taken[0], other)) for other in taken[1:]]
        lines.append([name, *(f"{statistics.median(each):.0f}" for each in taken), *(f"{each:.2f}" for each in ratios)])
    table = format_table(["ms", "kie-mcp", *["earlier version", "ratio"][: 2 * len(pythons[1:])]], lines)
    print(table)
    if options.write:
        write_block(options.write, "first_call", "python -m benchmarks.first_call --write docs/performance.md", table)
    warm = {name: statistics.median(taken[0]) for name, taken in rows.items() if "3 s later" in name}
    near = [name for name, ms in warm.items() if "KIE 0 ms" in name and ms > MAX_MILLISECONDS]
    most = AWAY_SECONDS * 1000 * MAX_ROUND_TRIPS + MAX_MILLISECONDS
    far = [name for name, ms in warm.items() if "KIE 0 ms" not in name and ms > most]
    print("\nGoal missed:", "; ".join(near + far) or "nowhere")
    return int(bool(near + far))


if __name__ == "__main__":
    sys.exit(main())
