"""Select the tools that a server shows (KIE_MCP_TOOLS, --tools)."""

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from mcp_types import ListToolsResult

from kie_mcp.errors import ConfigurationError

PREFIX_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}")
"""Pattern of a prefix: hosts take these signs, and at most 64 of them in a name."""


class Selection:
    """Holds the tools that one server shows."""

    error: ConfigurationError | None = None
    """What was wrong with the wanted selection, in whose place this one is shown; None when nothing was."""

    def __init__(self, words: str = "", prefix: str = "") -> None:
        """Select the tools that a text names.

        Args:
            words: Names of sizes (`standard`, `compact`, `all`), kinds and tools, separated by commas, or as a JSON
                list; empty means `standard`. Every name except `compact` also adds all utilities.
            prefix: A word to put before the name of each tool, such as `kie` for `kie_get_task`; empty for none.

        Raises:
            ConfigurationError: When a word is not the name of a size, kind or tool, or the prefix is no such word.
        """
        self.prefix = _check_prefix(prefix)
        sets, utilities = load_tool_list()["sets"], load_tool_list()["utilities"]
        tools = {tool["name"]: tool for tool in load_tool_list()["tools"]}
        self.names: set[str] = set()
        for word in re.sub(r"[][,'\"]", " ", words).casefold().split() or ("standard",):
            if word not in sets and word not in tools:
                raise ConfigurationError(
                    f"There is no set of tools, and no tool, {word!r}.",
                    f"{_did_you_mean(word, [*sets, *tools])}KIE_MCP_TOOLS and --tools take {', '.join(sets)} and names "
                    "of tools, separated by commas.",
                )
            self.names.update(sets.get(word, (word, *utilities)))
        self.tools = [tool for name, tool in tools.items() if name in self.names]
        self.list_result = ListToolsResult.model_validate({"tools": self.tools})
        self.only_utilities = self.names.issubset(utilities)


def _check_prefix(prefix: str) -> str:
    """Return the prefix with one underscore at its end, or an empty text.

    Raises:
        ConfigurationError: When hosts would refuse names with this prefix.
    """
    if not prefix:
        return ""
    word = prefix.strip().rstrip("_")
    if not PREFIX_PATTERN.fullmatch(word):
        raise ConfigurationError(
            f"KIE_MCP_PREFIX is {prefix!r}.", "It takes up to 20 letters, digits and underscores, such as kie."
        )
    return f"{word}_"


def select_tools(words: str, prefix: str = "") -> Selection:
    """Return the selection for a server; what is wrong is left out, and the selection has the error."""
    try:
        return Selection(words, prefix)
    except ConfigurationError as error:
        try:
            standard = Selection(prefix=prefix)
        except ConfigurationError:
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


def is_read_only(name: str) -> bool:
    """Return whether there is such a tool, and it spends nothing and changes nothing."""
    return any(tool["name"] == name and tool["annotations"]["readOnlyHint"] for tool in load_tool_list()["tools"])


def suggest_tools(name: str) -> str:
    """Return a sentence that names the tools whose names are like a wrong name; empty when there are none."""
    return _did_you_mean(name, [tool["name"] for tool in load_tool_list()["tools"]])


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = [name for name in known if name.startswith(word)][:3] or get_close_matches(word, known, n=3)
    return f"Did you mean {' or '.join(near)}? " if near else ""
