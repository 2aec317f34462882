"""Select the tools that clients see in tools/list (environment variable KIE_MCP_TOOLS, option `--tools`)."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from mcp_types import ListToolsResult

from kie_mcp.errors import ConfigurationError

PREFIX_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}")
"""Matches a valid prefix; hosts accept only these characters in a tool's name, and at most 64 of them."""


class Selection:
    """The tools that clients of a server see in tools/list, and the prefix of the tools' names."""

    error: ConfigurationError | None = None
    """The error in the operator's selection, if this object replaces a wrong selection; otherwise None."""

    def __init__(self, words: str = "", prefix: str = "") -> None:
        """Select the tools that the parameter `words` names.

        Args:
            words: Names of sets (`standard`, `compact`, `all`), kinds (such as `image`) and tools, separated by commas
                or in a JSON list; empty means `standard`. Every name also adds the tools that belong to no family of
                models, such as `get_task`; `compact` adds only these.
            prefix: A word to put before the name of each tool: with `kie`, `get_task` becomes `kie_get_task`. If the
                word is empty, the names do not change.

        Raises:
            ConfigurationError: When a word is not the name of a set, kind or tool, or hosts would refuse the prefix.
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
        self._schemas = {f"{self.prefix}{tool['name']}": tool["inputSchema"] for tool in self.tools}

    def find_input_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the schema of a selected tool's arguments, by the name with the prefix; None if there is none."""
        return self._schemas.get(name)


def _check_prefix(prefix: str) -> str:
    """Return the prefix with one underscore at its end (`"kie" -> "kie_"`); an empty prefix stays empty.

    Raises:
        ConfigurationError: When hosts would refuse tool names with this prefix.
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
    """Return the selection of tools for a server; if `words` or `prefix` is invalid, return a valid replacement.

    The replacement contains the standard tools, has the prefix only if the prefix is valid, and has the error in its
    attribute `error`.
    """
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

    The server reads this file when it starts, because building the list from the catalogue would take 150 ms longer.
    """
    tool_list: dict[str, Any] = json.loads(files("kie_mcp.server.tools").joinpath("tool_list.json").read_bytes())
    return tool_list


def is_read_only(name: str) -> bool:
    """Return whether a tool with this name exists and is read-only, which means that it spends and changes nothing."""
    return any(
        tool["name"] == name and tool["annotations"].get("readOnlyHint") is True for tool in load_tool_list()["tools"]
    )


def suggest_tools(name: str) -> str:
    """Return a sentence that suggests tools with similar names for a wrong name; empty if no name is similar."""
    return _did_you_mean(name, [tool["name"] for tool in load_tool_list()["tools"]])


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = [name for name in known if name.startswith(word)][:3] or get_close_matches(word, known, n=3)
    return f"Did you mean {' or '.join(near)}? " if near else ""
