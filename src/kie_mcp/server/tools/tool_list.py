"""Writes down what the models say: the tools that the server answers from, the README's table, the page of models."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from kie_mcp.catalog import search
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.registry import FAMILIES, STANDARD
from kie_mcp.server import live_models
from kie_mcp.server.tools import compare_models
from kie_mcp.server.tools.registry import TOOLS
from kie_mcp.server.tools.tool import Tool

TOOL_LIST = Path(str(files("kie_mcp.server.tools").joinpath("tool_list.json")))
COMMAND = "python -m kie_mcp.server.tools.tool_list README.md docs/models.md"

COMPACT = (
    "find_models",
    "describe_model",
    "run_model",
    "compare_models",
    "get_task",
    "list_tasks",
    "library",
    "upload_file",
    "get_download_url",
    "view_media",
    "get_credits",
    "spend_report",
    "resolve_task",
)
"""What it takes to run any model."""

BUDGETS = {"standard": 10_500, "compact": 2_500, "all": 28_000}
"""Tokens that a size may take of a client's context."""


def tools() -> list[dict[str, Any]]:
    """Every tool as tools/list gives it."""
    return [_family(family) for family in FAMILIES] + [_utility(utility) for utility in TOOLS]


def sets() -> dict[str, list[str]]:
    """The names of the tools in each size, and of those that make each kind; the tools that make nothing join them."""
    utilities = [utility.name for utility in TOOLS]
    kinds = {kind: [family.tool for family in FAMILIES if family.kind == kind] for kind in get_args(Kind)}
    made = {"standard": [family.tool for family in STANDARD], "all": [family.tool for family in FAMILIES], **kinds}
    compact = {"compact": [name for name in utilities if name in COMPACT]}
    return compact | {name: [*tools, *utilities] for name, tools in made.items()}


def tokens(tool: dict[str, Any]) -> float:
    """The size of a tool: bytes of compact JSON divided by four."""
    return len(_compact(tool).encode()) / 4


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _family(family: Family) -> dict[str, Any]:
    return {
        "name": family.tool,
        "description": family.description,
        "inputSchema": family.input_schema,
        # It spends credits, outside this machine, and a second call spends them again.
        "annotations": {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": True},
    }


def _utility(utility: Tool) -> dict[str, Any]:
    hints: dict[str, bool] = {"readOnlyHint": utility.read_only, "openWorldHint": utility.open_world}
    if not utility.read_only:
        hints["destructiveHint"] = False
    return {
        "name": utility.name,
        "description": utility.description,
        "inputSchema": utility.input_schema,
        "annotations": hints,
    }


def table() -> str:
    """The README's tables: the tools of the standard size, and the names of the others."""
    lines = ["| tool | makes | models | credits |", "|---|---|---|---|"]
    for family in STANDARD:
        ids = ", ".join(f"`{model.id}`" for model in family.models)
        lines.append(f"| `{family.tool}` | {_makes(family)} | {ids} | {family.cost or '?'} |")
    free = [utility.name for utility in TOOLS if utility.name not in (live_models.TOOL, compare_models.TOOL)]
    lines += [f"| `{name}` | - | - | 0 |" for name in free]
    lines.append(f"| `{live_models.TOOL}` | anything | any that KIE offers | the model's |")
    lines.append(f"| `{compare_models.TOOL}` | the same several times | 2 to 6 that KIE offers | the models' |")
    lines += ["", "`KIE_MCP_TOOLS=all` shows these as well:", "", "| makes | tools |", "|---|---|"]
    for kind in get_args(Kind):
        others = [f"`{family.tool}`" for family in FAMILIES if family.kind == kind and family not in STANDARD]
        lines.append(f"| {kind} | {', '.join(others)} |")
    return "\n".join(lines)


def models() -> str:
    """Every model with its arguments, limits and price, by tool."""
    return "\n".join(line for family in FAMILIES for line in _chapter(family))


def _chapter(family: Family) -> Iterator[str]:
    yield f"## {family.tool}: {_makes(family)}\n"
    yield f"{_plain(family.description)}\n"
    for model in family.models:
        head, time, price, *arguments = search.text(search.describe(model, family.tool)).splitlines()
        _, _, about = head.partition("): ")
        yield f"### `{model.id}`\n"
        yield f"{_plain(about)} {time} {_plain(price)}\n"
        if model.aliases:
            yield f"Also called {', '.join(f'`{alias}`' for alias in model.aliases)}.\n"
        for argument in arguments:
            name, _, admits = argument.partition(": ")
            yield f"- `{name.removesuffix('*')}`{' (required)' if name.endswith('*') else ''}: {_plain(admits)}"
        yield ""


def _makes(family: Family) -> str:
    return f"{family.kind} (legacy)" if family.legacy else family.kind


def _plain(text: str) -> str:
    """The text, with what Markdown would take for its own marked as text."""
    return re.sub(r"([\\`*<\[])", r"\\\1", text)


BLOCKS: dict[str, Callable[[], str]] = {"tools": table, "models": models}
"""What stands between `<!-- name: … -->` and `<!-- /name -->` in a document."""


def written(path: Path) -> str:
    """The file as it should be."""
    if path == TOOL_LIST:
        fields = {"utilities": [utility.name for utility in TOOLS], "sets": sets()}
        lines = [f"{_compact(name)}:{_compact(value)}" for name, value in fields.items()]
        return "{" + ",\n".join([*lines, '"tools":[\n' + ",\n".join(map(_compact, tools())) + "\n]"]) + "}\n"
    text = path.read_text(encoding="utf-8")
    for name, block in BLOCKS.items():
        before, start, rest = text.partition(f"<!-- {name}: {COMMAND} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        text = before + start + (block() + "\n" if start else "") + end + after
    return text


def main(arguments: list[str]) -> int:
    """Write the tools and the named documents, or with --check only say which are stale."""
    paths = [TOOL_LIST, *(Path(name) for name in arguments if name != "--check")]
    stale = [path for path in paths if not path.exists() or path.read_text(encoding="utf-8") != written(path)]
    if "--check" not in arguments:
        for path in stale:
            path.write_text(written(path), encoding="utf-8")
        return 0
    for path in stale:
        sys.stderr.write(f"{path.name} is stale: run {COMMAND}\n")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
