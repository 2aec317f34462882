"""Which tools a server shows."""

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from mcp_types import ListToolsResult

from kie_mcp.errors import ConfigurationError


class Selection:
    """The tools that one server shows, for as long as it runs."""

    def __init__(self, words: str = "") -> None:
        """Choose them.

        Args:
            words: A size (`standard`, `compact`, `all`), or a comma list of tools and kinds, which the tools that make
                nothing always join. Empty means `standard`.

        Raises:
            ConfigurationError: When a word names nothing.
        """
        sets, utilities = tool_list()["sets"], tool_list()["utilities"]
        tools = {tool["name"]: tool for tool in tool_list()["tools"]}
        self.names: set[str] = set()
        for word in words.replace(",", " ").casefold().split() or ("standard",):
            if word not in sets and word not in tools:
                raise ConfigurationError(f"There is no set of tools, and no tool, {word!r}.", _near(word, sets, tools))
            self.names.update(sets.get(word, (word, *utilities)))
        self.tools = [tool for name, tool in tools.items() if name in self.names]
        self.listed = ListToolsResult.model_validate({"tools": self.tools})
        self.only_utilities = self.names.issubset(utilities)

    def is_read_only(self, name: str) -> bool:
        """Whether a tool of these is one that spends and changes nothing."""
        return any(tool["name"] == name and tool["annotations"]["readOnlyHint"] for tool in self.tools)


@cache
def tool_list() -> dict[str, Any]:
    """What `python -m kie_mcp.server.tools.tool_list` wrote: making it from the catalogue takes 150 ms."""
    written: dict[str, Any] = json.loads(files("kie_mcp.server.tools").joinpath("tool_list.json").read_bytes())
    return written


def _near(word: str, sets: Iterable[str], tools: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, [*sets, *tools], n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}KIE_MCP_TOOLS and --tools take {', '.join(sets)} and names of tools, separated by commas."
