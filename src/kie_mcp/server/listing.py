"""Writes down what the models say: the tool list that the server answers from, and the README's table."""

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from kie_mcp.catalog import FAMILIES, Family
from kie_mcp.server.utilities import UTILITIES, Utility

TOOLS = Path(str(files("kie_mcp.server").joinpath("tools.json")))
START, END = "<!-- tools: python -m kie_mcp.server.listing README.md -->", "<!-- /tools -->"


def tools() -> list[dict[str, Any]]:
    """Every tool as tools/list gives it."""
    return [_family(family) for family in FAMILIES] + [_utility(utility) for utility in UTILITIES]


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


def _utility(utility: Utility) -> dict[str, Any]:
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
    """The README's table of tools."""
    lines = ["| tool | makes | models | credits |", "|---|---|---|---|"]
    for family in FAMILIES:
        ids = ", ".join(f"`{model.id}`" for model in family.models)
        lines.append(
            f"| `{family.tool}` | {family.kind}{' (legacy)' if family.legacy else ''} | {ids} | {family.cost or '?'} |"
        )
    lines += [f"| `{utility.name}` | - | - | 0 |" for utility in UTILITIES]
    return "\n".join(lines)


def written(path: Path) -> str:
    """The file as it should be."""
    if path == TOOLS:
        return "[\n" + ",\n".join(_compact(tool) for tool in tools()) + "\n]\n"
    before, _, rest = path.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the tool list and the named documents, or with --check only say which are stale."""
    paths = [TOOLS, *(Path(name) for name in arguments if name != "--check")]
    stale = [path for path in paths if not path.exists() or path.read_text(encoding="utf-8") != written(path)]
    if "--check" not in arguments:
        for path in stale:
            path.write_text(written(path), encoding="utf-8")
        return 0
    for path in stale:
        sys.stderr.write(f"{path.name} is stale: run python -m kie_mcp.server.listing README.md\n")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
