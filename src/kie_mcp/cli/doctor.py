"""`kie-mcp doctor`: check whether kie-mcp works on this machine."""

import logging
import sys
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from kie_mcp.cli.options import write_commands


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    update: Annotated[bool, typer.Option("--update/--no-update", help="Ask for the newest published version.")] = True,
) -> None:
    """Check whether kie-mcp works here, and say how to repair what does not; the exit status is 1 if something fails.

    This costs no credits. It asks KIE only for the balance, and your package index for the newest version.
    """
    import anyio

    from kie_mcp.doctor.examination import examine
    from kie_mcp.doctor.report import print_json, print_table, works

    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    found = anyio.run(partial(examine, asks_for_update=update))
    findings = [replace(each, next_step=write_commands(each.next_step)) for each in found]
    (print_json if as_json else print_table)(findings, Console(highlight=False))
    raise typer.Exit(0 if works(findings) else 1)
