"""Put a prefix before the names of all tools (setting KIE_MCP_PREFIX): `get_task -> kie_get_task`.

If a host shows the tools of all MCP servers in one list, the prefix tells the user which tools belong to kie-mcp.
"""

import json
import re
from dataclasses import replace
from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError

from kie_mcp.server.app import Context
from kie_mcp.server.path_filter import OWN_PATH
from kie_mcp.server.selection import load_tool_list
from kie_mcp.text import write_json

FOREIGN_KEYS = frozenset({"path", "url", "uri", "prompt", "texts", "arguments", "label", "blob"})
"""JSON keys whose values come from users or from KIE; these values are sent unchanged, without prefixes."""


class ToolPrefix:
    """Middleware that puts a prefix before each tool's name in all answers that the server sends.

    Clients may call a tool by its name with the prefix or without it.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        names = [tool["name"] for tool in load_tool_list()["tools"]]
        self._names = frozenset(names)
        # In a sentence, only names with an underscore get the prefix, because `library` is also an English word. A name
        # next to a slash, a dot or a hyphen gets no prefix, because it is a part of a path, a URL or a model id. Lines
        # that begin with `> ` get no prefix, because they are texts from KIE, nor does the path of a caller's file.
        joined = "|".join(name for name in names if "_" in name)
        pattern = rf"^> .*|{OWN_PATH}|(?<![\w/\\.:-])(?P<name>{joined})(?![\w/\\-]|\.\w)"
        self._in_sentences = re.compile(pattern, re.MULTILINE)

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Remove the prefix from the name of the called tool, and put it before each tool's name in the answer."""
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
        """Return a copy of a JSON value from an answer, in which each tool's name has the prefix."""
        match value:
            case str():
                return self._prefix + value if value in self._names else self._rename_in_text(value)
            case list():
                return [self._rename(each) for each in value]
            case {"mimeType": "application/json", "text": str(text)}:
                return {**value, "text": write_json(self._rename(json.loads(text)))}
            case dict():
                return {key: each if key in FOREIGN_KEYS else self._rename(each) for key, each in value.items()}
        return value

    def _rename_in_text(self, text: str) -> str:
        return self._in_sentences.sub(lambda match: self._prefix * bool(match["name"]) + match[0], text)
