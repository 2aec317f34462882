"""Generate files from the catalogue, or check that they are up to date.

The files are tool_list.json, model_tools.json (the tool of each model), the table of costs in the README, and the pages
of tools, models and prices.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from kie_mcp.catalog import cost_table, price_list, search
from kie_mcp.catalog.arguments import OPTIONS
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.names import list_names, name_model
from kie_mcp.catalog.registry import FAMILIES, STANDARD
from kie_mcp.catalog.vendors import nano_banana
from kie_mcp.server import live_models
from kie_mcp.server.tools.registry import TOOLS, UNLISTED
from kie_mcp.server.tools.tool import Tool

TOOL_LIST_PATH = Path(str(files("kie_mcp.server.tools").joinpath("tool_list.json")))
MODEL_TOOLS_PATH = Path(str(files("kie_mcp.catalog").joinpath("model_tools.json")))
COMMAND = "python -m kie_mcp.server.tools.tool_list README.md docs/tools.md docs/models.md docs/prices.md"

BUDGETS = {"standard": 9_500, "compact": 2_400, "all": 19_500}
"""For each set of tools, the maximum number of tokens that the list of tools may take in a client's context."""
MAX_TOOL_TOKENS = 600
"""Maximum tokens of the definition of one tool."""
BYTES_PER_TOKEN = 3.8
"""Average number of bytes per token of the tool list with o200k_base, the tokenizer of OpenAI's models."""

NUMBERS = ("integer", "number")
"""Argument types without an empty value: an agent that has to give such an argument has to invent a value."""

LONGEST_CHOICE = 16
"""Maximum number of choices that a tool's schema lists; a longer list is replaced by a sentence with some choices."""


ALWAYS_LOADED = frozenset({nano_banana.IMAGE.tool, "get_task", "find_models", live_models.RUN_MODEL_TOOL})
"""Names of the tools that Claude Code shows to its model from the start.

Claude Code hides all other tools until its model searches for them.
"""
SPELLINGS = {
    "elevenlabs": "ElevenLabs",
    "flux2": "Flux 2",
    "gpt": "GPT",
    "gpt4o": "GPT-4o",
    "happyhorse": "HappyHorse",
    "midi": "MIDI",
    "minimax": "MiniMax",
    "pixverse": "PixVerse",
    "wan3": "Wan 3",
    "wav": "WAV",
}
"""Words in tools' names, with their spelling in titles if a capital first letter is not enough."""


def build_tools() -> list[dict[str, Any]]:
    """Return the definition of every tool, as tools/list shows it."""
    tools = [_family_tool(family) for family in FAMILIES] + [_utility_tool(utility) for utility in (*TOOLS, *UNLISTED)]
    return [_add_meta(tool) for tool in tools]


def build_sets() -> dict[str, list[str]]:
    """Return the names of the tools in each set, by the set's name.

    A set's name is a value of KIE_MCP_TOOLS: `compact`, `standard`, `all`, or a kind of result, such as `video`.

    Every set includes the utilities in `TOOLS`. `compact` has no other tools, because `run_model` runs every model.
    """
    utilities = [utility.name for utility in TOOLS]
    kinds = {kind: [family.tool for family in FAMILIES if family.kind == kind] for kind in get_args(Kind)}
    families = {
        "compact": [],
        "standard": [family.tool for family in STANDARD],
        "all": [*(family.tool for family in FAMILIES), *(utility.name for utility in UNLISTED)],
        **kinds,
    }
    return {name: [*tools, *utilities] for name, tools in families.items()}


def count_tokens(tool: dict[str, Any]) -> float:
    """Estimate the tokens of a tool's definition from its bytes; `benchmarks.tokens` measures them with a tokenizer."""
    return len(_compact_json(tool).encode()) / BYTES_PER_TOKEN


def shorten_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in the form that takes the fewest tokens, without keywords that tell the agent nothing new.

    The function leaves out defaults, maximum lengths, patterns, an empty list of required arguments, the minimums 0 and
    1, and each limit that is stated in the description. It sorts the keys into the order for which tokenizers need the
    fewest tokens.
    """
    if len(schema.get("enum", ())) > LONGEST_CHOICE:
        schema = _describe_choice(schema)
    words = schema.get("description", "")
    order = {key: schema[key] for key in ("description", "type", "enum") if key in schema}
    short = order | {key: value for key, value in schema.items() if not _is_needless(key, value, words)}
    if "properties" in short:
        short["properties"] = {name: shorten_schema(each) for name, each in short["properties"].items()}
    if "items" in short:
        short["items"] = shorten_schema(short["items"])
    return short


def _leave_out(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return a schema without the named arguments; `clips.zoom` names the field `zoom` of the items of `clips`."""
    properties = {key: value for key, value in schema["properties"].items() if key not in names}
    for key, value in properties.items():
        inner = [name.removeprefix(f"{key}.") for name in names if name.startswith(f"{key}.")]
        if inner:
            properties[key] = value | {"items": _leave_out(value["items"], *inner)}
    return schema | {"properties": properties}


def _describe_choice(schema: dict[str, Any]) -> dict[str, Any]:
    """Replace a long list of choices with a sentence that names some of them."""
    choices = schema["enum"]
    some = ", ".join(choices[:: len(choices) // 4])
    sentence = f"Such as {some}; describe_model lists all."
    return {key: value for key, value in schema.items() if key != "enum"} | {"description": sentence}


def _is_needless(key: str, value: Any, words: str) -> bool:
    match key:
        case "default" | "maxLength" | "pattern" | "contentMediaType":
            return True
        case "required":
            return not value
        case "minimum" if value in (0, 1):
            return True
        case "minimum" | "maximum" | "minItems" | "maxItems":
            return bool(re.search(rf"(?<![\d.]){re.escape(f'{value:g}')}(?![\d]|\.\d)", words))
    return False


def format_title(name: str) -> str:
    """Return the title of a tool, which clients show to people: its name in words, such as `ElevenLabs Speech`."""
    return " ".join(SPELLINGS.get(word, word.capitalize()) for word in name.split("_"))


def _add_meta(tool: dict[str, Any]) -> dict[str, Any]:
    return tool | ({"_meta": {"anthropic/alwaysLoad": True}} if tool["name"] in ALWAYS_LOADED else {})


def _compact_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _family_tool(family: Family) -> dict[str, Any]:
    return {
        "name": family.tool,
        "title": format_title(family.tool),
        "description": family.description,
        "inputSchema": _leave_open(shorten_schema(_leave_out(family.input_schema, "anyway", *family.rare))),
        # A call after the repeat window spends credits again, so the tool is not declared idempotent.
        "annotations": _format_hints(read_only=False, open_world=True),
    }


def _utility_tool(utility: Tool) -> dict[str, Any]:
    return {
        "name": utility.name,
        "title": format_title(utility.name),
        "description": utility.description,
        "inputSchema": _leave_open(shorten_schema(_leave_out(utility.input_schema, *utility.unlisted))),
        "annotations": _format_hints(read_only=utility.read_only, open_world=utility.open_world),
    }


def _format_hints(*, read_only: bool, open_world: bool) -> dict[str, bool]:
    """Return only the hints that differ from MCP's defaults, which are: not read-only, destructive, open-world."""
    hints = {"readOnlyHint": True} if read_only else {"destructiveHint": False}
    return hints if open_world else hints | {"openWorldHint": False}


def _leave_open(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a tool's schema; add `additionalProperties: true` if a strict host would force the agent to invent values.

    A strict host makes all arguments required. The agent then has to give a value for each choice and each number, even
    if the KIE model that it wants does not have this argument. The OpenAI Agents SDK does not make a schema with this
    keyword strict. The keyword does not change which calls the schema allows.
    """
    required = schema.get("required", ())
    optional = (field for name, field in schema["properties"].items() if name not in {*required, *OPTIONS})
    forced = any("default" not in field and ("enum" in field or field["type"] in NUMBERS) for field in optional)
    return schema | ({"additionalProperties": True} if forced else {})


def format_tool_tables() -> str:
    """Format three tables: the standard tools, the tools without a model, and the tools that only the set `all` has."""
    lines: list[str] = []
    for heading, families in _group(STANDARD):
        lines += [f"### {heading}", "", "| tool | models | credits |", "|---|---|--:|"]
        lines += [f"| `{each.tool}` | {list_names(each.models)} | {each.cost or '?'} |" for each in families]
        lines.append("")
    lines += ["### Tools without a model of their own", "", "| tool | what it does |", "|---|---|"]
    lines += [f"| `{utility.name}` | {_escape_markdown(utility.description)} |" for utility in TOOLS]
    lines += ["", "### Further tools in the list of size `all`", "", "`KIE_MCP_TOOLS=all` lists these as well.", ""]
    lines += ["| makes | tools |", "|---|---|"]
    for heading, families in _group(each for each in FAMILIES if each not in STANDARD):
        lines.append(f"| {heading.lower()} | {', '.join(f'`{each.tool}`' for each in families)} |")
    lines.append(f"| - | {', '.join(f'`{utility.name}`' for utility in UNLISTED)} |")
    return "\n".join(lines)


def _group(families: Iterable[Family]) -> Iterator[tuple[str, list[Family]]]:
    """Yield for each kind a heading for the documents, and the families of this kind; legacy families come last."""
    each = list(families)
    for kind in get_args(Kind):
        yield kind.capitalize(), [family for family in each if family.kind == kind and not family.legacy]
    yield "Legacy", [family for family in each if family.legacy]


def format_models() -> str:
    """Format the page of models, which lists the arguments, limits and price of every model under the model's tool."""
    chapters = (_family_chapter(family) for _, families in _group(FAMILIES) for family in families)
    return "\n".join(line for chapter in chapters for line in chapter)


def _family_chapter(family: Family) -> Iterator[str]:
    yield f"## {format_title(family.tool)} (`{family.tool}`)\n"
    yield f"{_escape_markdown(family.description)}\n"
    for model in family.models:
        head, time, price, *arguments = search.format_description(
            search.describe_model(model, family.tool)
        ).splitlines()
        _, _, about = head.partition("): ")
        yield f"### {name_model(model)} (`{model.id}`)\n"
        yield f"{_escape_markdown(about)} {time} {_escape_markdown(price)}\n"
        if model.aliases:
            yield f"Also called {', '.join(f'`{alias}`' for alias in model.aliases)}.\n"
        voices = arguments.pop() if model.voice_list else ""
        for argument in arguments:
            name, _, admits = argument.partition(": ")
            required = " (required)" if name.endswith("*") else ""
            yield f"- `{name.removesuffix('*')}`{required}: {_escape_markdown(admits)}"
        yield f"\n{voices}\n" if voices else ""


def _escape_markdown(text: str) -> str:
    """Put a backslash before characters that have a special meaning in Markdown."""
    return re.sub(r"([\\`*<\[])", r"\\\1", text)


BLOCKS: dict[str, Callable[[], str]] = {
    "costs": cost_table.format_costs,
    "tools": format_tool_tables,
    "models": format_models,
    "prices": price_list.format_prices,
}
"""Functions that generate the content of blocks in documents, by the name of the block.

A block begins after `<!-- name: … -->` and ends before `<!-- /name -->`.
"""


def render(path: Path) -> str:
    """Return the up-to-date content of tool_list.json, model_tools.json, or a document that has generated blocks."""
    if path == MODEL_TOOLS_PATH:
        tools: dict[str, str] = {}
        for family in FAMILIES:
            for model in family.models:
                # If two families have a model with the same id, the id means the model of the first family.
                tools.setdefault(model.id, family.tool)
        return json.dumps(tools, indent=0) + "\n"
    if path == TOOL_LIST_PATH:
        fields = {"utilities": [utility.name for utility in TOOLS], "sets": build_sets()}
        lines = [f"{_compact_json(name)}:{_compact_json(value)}" for name, value in fields.items()]
        return "{" + ",\n".join([*lines, '"tools":[\n' + ",\n".join(map(_compact_json, build_tools())) + "\n]"]) + "}\n"
    text = path.read_text(encoding="utf-8")
    for name, block in BLOCKS.items():
        before, start, rest = text.partition(f"<!-- {name}: {COMMAND} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        text = before + start + (block() + "\n" if start else "") + end + after
    return text


def main(arguments: list[str]) -> int:
    """Write tool_list.json, model_tools.json and the named documents where they are stale, and return the exit status.

    With --check, write nothing; report the first stale file and return 1 if there is any.
    """
    paths = [MODEL_TOOLS_PATH, TOOL_LIST_PATH, *(Path(name) for name in arguments if name != "--check")]
    # model_tools.json comes first, because the other files are made with it.
    for path in paths:
        content = render(path)
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        if "--check" in arguments:
            sys.stderr.write(f"{path.name} is stale: run {COMMAND}\n")
            return 1
        path.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
