"""Start-up against a bare SDK server: `python -m benchmarks.startup`.

A client waits from the spawn of its server to the answer to tools/list. Both servers are measured alternately, so that
other load on the machine affects both; the last line is the ratio of the medians.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

STARTS = 15
"""How often each server is started."""
LIMIT = 1.0
"""Highest ratio of the medians that passes."""
KIE_MCP = (sys.executable, "-m", "kie_mcp")
BARE = (sys.executable, "-c", "from mcp.server.mcpserver import MCPServer; MCPServer('bare').run()")
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}


def measure_start(command: Sequence[str]) -> float:
    """Start a server, list its tools, and return the seconds that it took."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        if not (server.stdin and server.stdout):
            raise AssertionError(server)
        send(server.stdin, id=1, method="initialize", params=INITIALIZE)
        server.stdout.readline()
        send(server.stdin, method="notifications/initialized")
        send(server.stdin, id=2, method="tools/list")
        answer = json.loads(server.stdout.readline())
        seconds = time.perf_counter() - began
        if "tools" not in answer["result"]:
            raise AssertionError(answer)
        server.stdin.close()
    return seconds


def send(stream: IO[bytes], **message: object) -> None:
    """Write one JSON-RPC message."""
    stream.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    stream.flush()


def main() -> int:
    """Measure, print, and return 1 when kie-mcp starts more slowly than a server without tools."""
    ours, bare = [], []
    for _ in range(STARTS):
        ours.append(measure_start(KIE_MCP))
        bare.append(measure_start(BARE))
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"kie-mcp          {statistics.median(ours):.3f} s")
    print(f"bare SDK server  {statistics.median(bare):.3f} s")
    print(f"{ratio:.2f}")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
