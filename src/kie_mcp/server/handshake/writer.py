"""Generate answers.json from the answers of the SDK's server, or check that the file is up to date."""

import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import anyio
from mcp.server.apps import APP_MIME_TYPE, Apps
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, JSONRPCResponse
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

from kie_mcp import __version__
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.handshake import shapes
from kie_mcp.server.handshake.answers import ANSWERS_PATH, SIZES, WITH_GALLERY
from kie_mcp.server.selection import Selection

COMMAND = "python -m kie_mcp.server.handshake.writer"
CUTS = re.compile(r'(?="annotations":)|(?<=})(?=,{"(?:_meta|annotations)":)')
"""Matches the positions at which answers are split into parts; a part that is in several answers is stored once."""
PACKAGES = ("mcp", "mcp_types")
"""The packages whose versions the answers depend on."""
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
GALLERY = {"extensions": {Apps.identifier: {"mimeTypes": [APP_MIME_TYPE]}}}
"""The capabilities of a client that shows the gallery."""
CLIENT_INFO = {"name": "any", "version": "1"}


async def ask(size: str, requests: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Start a server, send it requests one after the other, and return the results as JSON.

    Args:
        size: The value of KIE_MCP_TOOLS; it determines the tools in tools/list.
        requests: The method and the params of each request.
    """
    server = build_server(App(selection=Selection(size)))
    send, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, receive = anyio.create_memory_object_stream[SessionMessage](0)
    results = []
    async with anyio.create_task_group() as group, send, receive:
        group.start_soon(server.run, incoming, outgoing, server.create_initialization_options())
        for method, params in requests:
            await send.send(SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=0, method=method, params=params)))
            answer = (await receive.receive()).message
            if not isinstance(answer, JSONRPCResponse):
                raise TypeError(answer)
            text = answer.model_dump_json(by_alias=True, exclude_unset=True)
            results.append(text.removeprefix('{"jsonrpc":"2.0","id":0,"result":').removesuffix("}"))
        group.cancel_scope.cancel()
    return results


async def ask_version(size: str, version: str, capabilities: dict[str, Any]) -> dict[str, str]:
    """Return the result of each method, for one protocol version and one kind of client."""
    if version in HANDSHAKE_PROTOCOL_VERSIONS:
        params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": CLIENT_INFO}
        requests = [("initialize", params), *((method, {}) for method in ("ping", *LISTS))]
    else:
        envelope = {shapes.PROTOCOL_VERSION: version, shapes.CAPABILITIES: capabilities}
        requests = [(method, {"_meta": envelope}) for method in ("server/discover", *LISTS)]
    results = await ask(size, requests)
    return {method: result for (method, _), result in zip(requests, results, strict=True)}


async def build_answers() -> dict[str, dict[str, dict[str, str]]]:
    """Return the results of all methods, in dicts nested by value of KIE_MCP_TOOLS, protocol version and method.

    If a client that shows the gallery gets a different result of a method, the innermost dict has this result, too: its
    key is the method's name followed by `WITH_GALLERY`.
    """
    answers: dict[str, dict[str, dict[str, str]]] = {}
    for size in SIZES:
        answers[size] = {}
        for version in (*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS):
            plain = await ask_version(size, version, {})
            gallery = await ask_version(size, version, GALLERY)
            different = {method + WITH_GALLERY: text for method, text in gallery.items() if text != plain[method]}
            answers[size][version] = plain | different
    return answers


def render() -> str:
    """Return the up-to-date content of answers.json, in which equal parts of answers are stored once."""
    parts: dict[str, int] = {}
    answers = {
        size: {
            era: {
                name: [parts.setdefault(part, len(parts)) for part in CUTS.split(text)]
                for name, text in results.items()
            }
            for era, results in eras.items()
        }
        for size, eras in anyio.run(build_answers).items()
    }
    content = {
        "kie_mcp": __version__,
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "latest": LATEST_HANDSHAKE_VERSION,
        "gallery": {"extension": Apps.identifier, "mime_type": APP_MIME_TYPE},
        "answers": answers,
        "parts": list(parts),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace('","', '",\n"') + "\n"


def main(arguments: list[str]) -> int:
    """Write answers.json if the file is stale, and return 0; with --check, only report a stale file and return 1."""
    path = Path(ANSWERS_PATH)
    fresh = render()
    if path.exists() and path.read_text(encoding="utf-8") == fresh:
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"{path.name} is stale: run {COMMAND}\n")
        return 1
    path.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
