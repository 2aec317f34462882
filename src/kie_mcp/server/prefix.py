"""A prefix before the names of all tools (KIE_MCP_PREFIX), for hosts that show the tools of all servers together."""

import json
import re
from dataclasses import replace
from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError

from kie_mcp.server.app import Context
from kie_mcp.server.selection import load_tool_list

FOREIGN_KEYS = frozenset({"path", "url", "uri", "prompt", "texts", "arguments", "label", "blob"})
"""Keys of answers under which stands what users or KIE wrote, so that a tool's name there stays as it is."""


class ToolPrefix:
    """Middleware that puts a prefix before the name of each tool, wherever a client reads one.

    Calls are understood with and without the prefix.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        names = [tool["name"] for tool in load_tool_list()["tools"]]
        self._names = frozenset(names)
        # In sentences only names with an underscore count: `library` is a word as well. A name beside a slash, a dot or
        # a hyphen is a part of a path, an address or a model's id. Lines that begin with `> ` are KIE's texts.
        joined = "|".join(name for name in names if "_" in name)
        pattern = rf"^> .*|(?<![\w/\\.:-])(?P<name>{joined})(?![\w/\\-]|\.\w)"
        self._in_sentences = re.compile(pattern, re.MULTILINE)

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Take the prefix off the name of a called tool, and put it before all names of tools in the answer."""
        try:
            answer: HandlerResult = self._rename(await call_next(self._without_prefix(ctx)))
        except MCPError as error:
            error.error.message = self._rename_in_text(error.error.message)
            raise
        return answer

    def _without_prefix(self, context: Context) -> Context:
        params = context.params or {}
        name = params.get("name")
        if context.method != "tools/call" or not isinstance(name, str) or name in self._names:
            return context
        return replace(context, params={**params, "name": name.removeprefix(self._prefix)})

    def _rename(self, value: Any) -> Any:
        """Return a part of an answer with prefixed names of tools."""
        match value:
            case str():
                return self._prefix + value if value in self._names else self._rename_in_text(value)
            case list():
                return [self._rename(each) for each in value]
            case {"mimeType": "application/json", "text": str(text)}:
                return {**value, "text": json.dumps(self._rename(json.loads(text)), ensure_ascii=False)}
            case dict():
                return {key: each if key in FOREIGN_KEYS else self._rename(each) for key, each in value.items()}
        return value

    def _rename_in_text(self, text: str) -> str:
        return self._in_sentences.sub(lambda match: self._prefix * bool(match["name"]) + match[0], text)
