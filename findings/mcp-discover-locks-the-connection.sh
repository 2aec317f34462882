#!/bin/sh
# mcp (Python SDK) 2.3.0: one answered `server/discover` decides the era of a stdio connection for good.
#
# A client that knows both eras may probe with `server/discover` and, when the answer comes later than it waits (one of
# the common client libraries waits a second), go on with `initialize`. One would expect the probe to leave no trace, as
# it only asks what the server supports. The server answers it, and from then on refuses `initialize` with -32022, each
# time, until the process is started anew. After a `ping`, or after a probe without `_meta` (which is answered with
# -32601), `initialize` works. So a slow first answer turns into a connection that can never be opened.
#
# Prints what `initialize` is answered with after each first message; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp==2.3.0
cat >"$folder/server.py" <<'PY'
import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server


async def main():
    server = Server("empty")
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


anyio.run(main)
PY
cat >"$folder/client.py" <<'PY'
import json
import subprocess
import sys

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "probe", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE = (
    "initialize",
    {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "probe", "version": "1"}},
)


def talk(*requests):
    server = subprocess.Popen(
        [sys.executable, sys.argv[1]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    answers = []
    for number, (method, params) in enumerate(requests):
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        server.stdin.write(json.dumps(message) + "\n")
        server.stdin.flush()
        answers.append(json.loads(server.stdout.readline()))
    server.stdin.close()
    server.wait(10)
    return [answer.get("error", {}).get("code", "a result") for answer in answers]


for name, first in {
    "server/discover": ("server/discover", {"_meta": META}),
    "server/discover without _meta": ("server/discover", {}),
    "ping": ("ping", {}),
}.items():
    print(f"{name}: {talk(first, INITIALIZE, INITIALIZE)}")
PY
"$folder/venv/bin/python" "$folder/client.py" "$folder/server.py" >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
server/discover: ['a result', -32022, -32022]
server/discover without _meta: [-32601, 'a result', 'a result']
ping: ['a result', 'a result', 'a result']
TEXT
cmp "$folder/seen" "$folder/expected"
