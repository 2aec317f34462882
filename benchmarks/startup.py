"""Start-up against a bare SDK server: `python -m benchmarks.startup`.

A client waits from the spawn of its server to the answer of tools/list. Both servers are measured in turn, so that
whatever else the machine does hits both; the last line is the ratio of the medians.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

STARTS = 15
LIMIT = 1.0
KIE_MCP = (sys.executable, "-m", "kie_mcp")
BARE = (sys.executable, "-c", "from mcp.server.mcpserver import MCPServer; MCPServer('bare').run()")
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}


def seconds_to_tools(command: Sequence[str]) -> float:
    """Start a server, list its tools, and return how long that took."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        if not (server.stdin and server.stdout):
            raise AssertionError(server)
        send(server.stdin, id=1, method="initialize", params=INITIALIZE)
        server.stdout.readline()
        send(server.stdin, method="notifications/initialized")
        send(server.stdin, id=2, method="tools/list")
        answer = json.loads(server.stdout.readline())
        taken = time.perf_counter() - began
        if "tools" not in answer["result"]:
            raise AssertionError(answer)
        server.stdin.close()
    return taken


def send(stream: IO[bytes], **message: object) -> None:
    """Write one JSON-RPC message."""
    stream.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    stream.flush()


def main() -> int:
    """Measure, print, and return 1 when kie-mcp starts more slowly than a server without tools."""
    ours, bare = [], []
    for _ in range(STARTS):
        ours.append(seconds_to_tools(KIE_MCP))
        bare.append(seconds_to_tools(BARE))
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"kie-mcp          {statistics.median(ours):.3f} s")
    print(f"bare SDK server  {statistics.median(bare):.3f} s")
    print(f"{ratio:.2f}")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
