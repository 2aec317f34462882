"""`kie-mcp spend`: show how many credits were spent."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from kie_mcp.cli.ledger import read_ledger

if TYPE_CHECKING:
    from kie_mcp.config import Settings
    from kie_mcp.ledger.ledger import Ledger
    from kie_mcp.ledger.spending import By

NAME_WIDTH = 12
"""Width in characters of the first column (day, model or kind) in the table of `spend`; longer names are wrapped."""


def spend(
    by: Annotated[Literal["day", "model", "kind"], typer.Option(help="What each line is about.")] = "day",
    days: Annotated[int, typer.Option(min=1, help="How far to look back.")] = 30,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Show how many credits were spent; expired, failed, refunded, refused and unknown tasks are listed separately."""
    lines = read_ledger(partial(_build_report, by, days))
    if csv:
        from csv import DictWriter

        writer = DictWriter(sys.stdout, lines[0], lineterminator="\n")
        writer.writeheader()
        # The last line, which has the totals, is left out, because programs that read the values can add them up.
        writer.writerows(lines[:-1])
        return
    if len(lines) == 1:
        typer.echo(f"No tasks in the last {days} days.")
        return
    # Columns whose total is 0 are left out, except for the three that are named here. Numbers are never cut off; long
    # names are wrapped.
    figures = [name for name in list(lines[0])[1:] if lines[-1][name] or name in ("tasks", "succeeded", "charged")]
    titles = (Column(name.replace("_", "\n"), justify="right", no_wrap=True) for name in figures)
    table = Table(Column(by, overflow="fold", min_width=NAME_WIDTH), *titles, box=box.SIMPLE_HEAD, padding=0)
    console = Console(highlight=False)
    figures_width = console.measure(table, options=console.options.update(width=1000)).minimum
    console.width = max(console.width, 80, NAME_WIDTH + figures_width)
    for line in lines:
        if line is lines[-1]:
            table.add_section()
        table.add_row(Text(str(line["of"])), *(f"{line[name]:,.10g}" for name in figures))
    console.print(table)


async def _build_report(by: "By", days: int, _: "Settings", ledger: "Ledger") -> list[dict[str, Any]]:
    import time

    from kie_mcp.tasks.spend_report import DAY, report

    return [line.rounded() for line in report(await ledger.statistics.spending(by, time.time() - days * DAY), by)]
