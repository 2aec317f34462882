#!/bin/sh
# mcp 2.3.0: over HTTP, a low-level server runs its tools/list handler before each tools/call of a client of 2026.
#
# One would expect a call to run the handler of calls, as it does over stdio and for clients of 2025. But over HTTP, the
# SDK compares the headers `Mcp-Param-*` of such a call with the schema of the tool's arguments, and takes the schema
# from the server's own list: page by page, with all middleware, even if the request has no such header. With a list of
# a hundred tools, that can take as long as the call. `Server(get_tool_input_schema=...)` gives it the schema at once.
#
# Prints how often the list was made for three calls; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp==2.3.0
cat >"$folder/count.py" <<'PY'
import anyio
import uvicorn
from mcp import Client
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool

SCHEMA = {"type": "object", "properties": {"words": {"type": "string"}}}


async def count(mode, **options):
    lists = 0

    async def list_tools(context, params):
        nonlocal lists
        lists += 1
        return ListToolsResult(tools=[Tool(name="say", input_schema=SCHEMA)])

    async def call_tool(context, params):
        return CallToolResult(content=[TextContent(text=params.arguments["words"])])

    server = Server("counter", on_list_tools=list_tools, on_call_tool=call_tool, **options)
    http = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), port=0, log_level="error"))
    async with anyio.create_task_group() as group:
        group.start_soon(http.serve)
        while not http.started:
            await anyio.sleep(0.01)
        port = http.servers[0].sockets[0].getsockname()[1]
        async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode) as client:
            await client.list_tools()
            lists = 0
            for _ in range(3):
                await client.call_tool("say", {"words": "hello"})
        http.should_exit = True
    return lists


async def main():
    print("a client of 2026:", await count("auto"), "lists for 3 calls")
    print("a client of 2025:", await count("legacy"), "lists for 3 calls")
    print("with the schema:", await count("auto", get_tool_input_schema=lambda name: SCHEMA), "lists for 3 calls")


anyio.run(main)
PY
"$folder/venv/bin/python" "$folder/count.py" >"$folder/seen" 2>"$folder/log" || cat "$folder/log" >&2
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
a client of 2026: 3 lists for 3 calls
a client of 2025: 0 lists for 3 calls
with the schema: 0 lists for 3 calls
TEXT
cmp "$folder/seen" "$folder/expected"
