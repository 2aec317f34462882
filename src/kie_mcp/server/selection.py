"""Select the tools that a server shows (KIE_MCP_TOOLS, --tools)."""

import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from mcp_types import ListToolsResult

from kie_mcp.errors import ConfigurationError


class Selection:
    """Holds the tools that one server shows."""

    error: ConfigurationError | None = None
    """What was wrong with the wanted selection, in whose place this one is shown; None when nothing was."""

    def __init__(self, words: str = "") -> None:
        """Select the tools that a text names.

        Args:
            words: Names of sizes (`standard`, `compact`, `all`), kinds and tools, separated by commas, or as a JSON
                list; empty means `standard`. Every name except `compact` also adds all utilities.

        Raises:
            ConfigurationError: When a word is not the name of a size, kind or tool.
        """
        sets, utilities = load_tool_list()["sets"], load_tool_list()["utilities"]
        tools = {tool["name"]: tool for tool in load_tool_list()["tools"]}
        self.names: set[str] = set()
        for word in re.sub(r"[][,'\"]", " ", words).casefold().split() or ("standard",):
            if word not in sets and word not in tools:
                raise ConfigurationError(
                    f"There is no set of tools, and no tool, {word!r}.", _did_you_mean(word, sets, tools)
                )
            self.names.update(sets.get(word, (word, *utilities)))
        self.tools = [tool for name, tool in tools.items() if name in self.names]
        self.list_result = ListToolsResult.model_validate({"tools": self.tools})
        self.only_utilities = self.names.issubset(utilities)

    def is_read_only(self, name: str) -> bool:
        """Return whether the tool is selected, spends nothing and changes nothing."""
        return any(tool["name"] == name and tool["annotations"]["readOnlyHint"] for tool in self.tools)


def select_tools(words: str) -> Selection:
    """Return the selection for a server; wrong words select the standard tools, and the selection has the error."""
    try:
        return Selection(words)
    except ConfigurationError as error:
        standard = Selection()
        standard.error = error
        return standard


@cache
def load_tool_list() -> dict[str, Any]:
    """Read tool_list.json, which `python -m kie_mcp.server.tools.tool_list` generates from the catalogue.

    Reading the file saves 150 ms at each start, compared with building the list from the catalogue.
    """
    tool_list: dict[str, Any] = json.loads(files("kie_mcp.server.tools").joinpath("tool_list.json").read_bytes())
    return tool_list


def _did_you_mean(word: str, sets: Iterable[str], tools: Iterable[str]) -> str:
    from difflib import get_close_matches

    known = [*sets, *tools]
    near = [name for name in known if name.startswith(word)][:3] or get_close_matches(word, known, n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}KIE_MCP_TOOLS and --tools take {', '.join(sets)} and names of tools, separated by commas."
