"""`kie-mcp tools`: list the tools that a client gets, with the number of tokens of each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from kie_mcp.cli.options import Prefix, Tools

if TYPE_CHECKING:
    from kie_mcp.server.selection import Selection


def list_tools(
    tools: Tools = "",
    prefix: Prefix = "",
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show what each size takes of a client's context, and what it may take.")
    ] = False,
) -> None:
    """List the tools that a client sees, and how many tokens of its context they use."""
    from kie_mcp.server.selection import Selection

    if tokens:
        table = _sizes_table(
            {size: Selection(size, prefix) for size in ((tools,) if tools else ("standard", "compact", "all"))}
        )
    else:
        table = _tools_table(Selection(tools, prefix))
    Console(highlight=False).print(table)


def _tools_table(selection: "Selection") -> Table:
    from kie_mcp.server.tools.tool_list import count_tokens

    table = Table("tool", "what it does", Column("tokens", justify="right"), box=box.SIMPLE_HEAD)
    for tool in selection.tools:
        table.add_row(selection.prefix + tool["name"], Text(tool["description"]), f"{count_tokens(tool):,.0f}")
    table.add_section()
    table.add_row(str(len(selection.tools)), "", f"{sum(map(count_tokens, selection.tools)):,.0f}")
    return table


def _sizes_table(sizes: "Mapping[str, Selection]") -> Table:
    from kie_mcp.server.tools.tool_list import BUDGETS, count_tokens

    table = Table("tokens", *(Column(size, justify="right") for size in sizes), box=box.SIMPLE_HEAD)
    shown = {
        tool["name"]: (selection.prefix, count_tokens(tool)) for selection in sizes.values() for tool in selection.tools
    }
    for name, (prefix, taken) in shown.items():
        table.add_row(prefix + name, *(f"{taken:,.0f}" if name in each.names else "" for each in sizes.values()))
    table.add_section()
    table.add_row("total", *(f"{sum(map(count_tokens, each.tools)):,.0f}" for each in sizes.values()))
    table.add_row("at most", *(f"{BUDGETS[size]:,}" if size in BUDGETS else "" for size in sizes))
    return table
