#!/bin/sh
# google-adk 2.13.0: the timeout "for establishing the connection" of an MCP server over stdio also ends every call.
#
# `StdioConnectionParams.timeout` is documented as "Timeout in seconds for establishing the connection to the MCP stdio
# server", and is 5 s. One would expect it to be over once the server is connected. It is also the time limit of each
# tool call: a tool that takes longer is answered with an error by the ADK, although the server is connected, works, and
# reports progress; the server goes on with the call. Who makes the timeout longer because of a slow tool also waits so
# much longer for a server that does not start.
#
# Prints what calls of 1 s and of 12 s get with a timeout of 10 s; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check google-adk==2.13.0 mcp==2.3.0
cat >"$folder/server.py" <<'PY'
import anyio
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("slow")


@server.tool()
async def work(seconds: int, context: Context) -> str:
    """Work for some seconds and report progress."""
    for second in range(seconds):
        await context.report_progress(second, seconds)
        await anyio.sleep(1)
    return "done"


server.run()
PY
cat >"$folder/client.py" <<'PY'
import asyncio
import sys

from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
from mcp import StdioServerParameters


async def main():
    server = StdioServerParameters(command=sys.executable, args=[sys.argv[1]])
    toolset = McpToolset(connection_params=StdioConnectionParams(server_params=server, timeout=10))
    (tool,) = await toolset.get_tools()
    for seconds in (1, 12):
        answer = await tool.run_async(args={"seconds": seconds}, tool_context=None)
        print(f"{seconds} s: {answer.get('error') or answer['content'][0]['text']}")
    await toolset.close()


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/client.py" "$folder/server.py" >"$folder/seen" 2>"$folder/log" || cat "$folder/log" >&2
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
1 s: done
12 s: MCP tool execution failed: Request 'tools/call' timed out
TEXT
cmp "$folder/seen" "$folder/expected"
