#!/bin/sh
# crewai 1.15.30: a tool's object of any properties reaches the model as an object that may have none.
#
# An MCP tool takes {"type": "object", "additionalProperties": true}: settings that differ from case to case. Called from
# Python, CrewAI passes such an object on whole. But for the model the schema is rewritten for strict function calling:
# every object gets `"additionalProperties": false`, also where the tool says true, and one that lists no properties gets
# `"properties": {}`. With `"strict": true`, a model can then write nothing but {}. The tool is called without its
# settings, and nobody is told. One would expect such a tool to be left as it is, and not strict.
#
# Prints what the model may write and what a call from Python passes on; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check crewai==1.15.30 'crewai-tools[mcp]==1.15.30' mcp==1.30.0
cat >"$folder/server.py" <<'PY'
import json

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import TextContent, Tool

FREE = {"type": "object", "additionalProperties": True}
server = Server("echo")


@server.list_tools()
async def list_tools():
    return [Tool(name="run", inputSchema={"type": "object", "properties": {"settings": FREE}, "required": ["settings"]})]


@server.call_tool()
async def call_tool(name, arguments):
    return [TextContent(type="text", text=json.dumps(arguments))]


async def main():
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


anyio.run(main)
PY
cat >"$folder/client.py" <<'PY'
import json
import os
import sys

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", OTEL_SDK_DISABLED="true")

from crewai.utilities.agent_utils import convert_tools_to_openai_schema
from crewai_tools import MCPServerAdapter
from mcp import StdioServerParameters

with MCPServerAdapter(StdioServerParameters(command=sys.executable, args=[sys.argv[1]])) as (tool,):
    (schema,) = convert_tools_to_openai_schema([tool])[0]
    function = schema["function"]
    settings = function["parameters"]["properties"]["settings"]
    told = {key: settings[key] for key in ("type", "properties", "additionalProperties")}
    print(f"the model, strict {function['strict']}: {json.dumps(told)}")
    print(f"from Python: {tool.run(settings={'size': '16:9'})}")
PY
HOME="$folder" "$folder/venv/bin/python" "$folder/client.py" "$folder/server.py" >"$folder/log" 2>&1 || cat "$folder/log" >&2
grep -E '^(the model|from Python)' "$folder/log" >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
the model, strict True: {"type": "object", "properties": {}, "additionalProperties": false}
from Python: {"settings": {"size": "16:9"}}
TEXT
cmp "$folder/seen" "$folder/expected"
