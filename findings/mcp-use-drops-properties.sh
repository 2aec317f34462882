#!/bin/sh
# mcp-use 1.7.1: properties of an object are dropped on the way from the model to the tool, without a word.
#
# In JSON Schema an object without `additionalProperties` is open: {"type": "object", "properties": {"prompt": …}} allows
# any further property. Tools use that for free-form settings of which one is known. mcp-use builds a pydantic model from
# the schema, and that ignores what it does not know: the tool is called with `prompt` alone, and neither the model nor
# the user is told. One would expect the other properties to arrive, or an error. Where the schema says
# `"additionalProperties": true`, which means the same to JSON Schema, without naming a property, all of them arrive.
#
# Prints what arrives of {"prompt": "a fox", "size": "16:9"} for either schema; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp-use==1.7.1 mcp==1.30.0 langchain==1.5.2
cat >"$folder/server.py" <<'PY'
import json

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import TextContent, Tool

OBJECTS = {
    "known": {"type": "object", "properties": {"prompt": {"type": "string"}}},
    "free": {"type": "object", "additionalProperties": True},
}
server = Server("echo")


@server.list_tools()
async def list_tools():
    return [
        Tool(name=name, inputSchema={"type": "object", "properties": {"input": each}, "required": ["input"]})
        for name, each in OBJECTS.items()
    ]


@server.call_tool()
async def call_tool(name, arguments):
    return [TextContent(type="text", text=json.dumps(arguments))]


async def main():
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


anyio.run(main)
PY
cat >"$folder/client.py" <<'PY'
import asyncio
import sys

from mcp_use import MCPClient
from mcp_use.agents.adapters.langchain_adapter import LangChainAdapter


async def main():
    client = MCPClient.from_dict({"mcpServers": {"echo": {"command": sys.executable, "args": [sys.argv[1]]}}})
    for tool in await LangChainAdapter().create_tools(client):
        answer = await tool.ainvoke({"input": {"prompt": "a fox", "size": "16:9"}})
        print(f"{tool.name}: {answer[0]['text'] if isinstance(answer, list) else answer}")
    await client.close_all_sessions()


asyncio.run(main())
PY
MCP_USE_ANONYMIZED_TELEMETRY=false "$folder/venv/bin/python" "$folder/client.py" "$folder/server.py" >"$folder/log" 2>&1 || cat "$folder/log" >&2
grep '{"input"' "$folder/log" >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
known: {"input": {"prompt": "a fox"}}
free: {"input": {"prompt": "a fox", "size": "16:9"}}
TEXT
cmp "$folder/seen" "$folder/expected"
