"""Print findings: as a table for people, or as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from kie_mcp.doctor.finding import Finding, Status

WIDTH = 80
"""Maximum width of the table, in characters."""
STYLES: dict[Status, str] = {"ok": "green", "note": "yellow", "mend": "bold red"}


def works(findings: Sequence[Finding]) -> bool:
    """Return True if no finding has the status `mend`."""
    return all(each.status != "mend" for each in findings)


def print_json(findings: Sequence[Finding], console: Console) -> None:
    """Print the findings as JSON, without wrapping long lines."""
    report = {"works": works(findings), "findings": list(map(asdict, findings))}
    console.print(Text(json.dumps(report, indent=2)), soft_wrap=True)


def print_table(findings: Sequence[Finding], console: Console) -> None:
    """Print the findings as a table, with a summary in the last line."""
    console.width = min(console.width, WIDTH)
    columns = (Column("what", no_wrap=True), Column("is", no_wrap=True), Column("how it is, and what to do"))
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for each in findings:
        lines = (each.text, *(f"- {detail}" for detail in each.details), each.next_step and f"> {each.next_step}")
        table.add_row(each.name, Text(each.status, STYLES[each.status]), Text("\n".join(filter(None, lines))))
    console.print(table)
    console.print(Text(_sum_up(findings)))


def _sum_up(findings: Sequence[Finding]) -> str:
    faulty, noted = (", ".join(each.name for each in findings if each.status == status) for status in ("mend", "note"))
    if faulty:
        return f"To be mended: {faulty}."
    return f"Everything works. Could be better: {noted}." if noted else "Everything works."
