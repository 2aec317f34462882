"""`kie-mcp doctor`: check whether kie-mcp works on this machine."""

import logging
import sys
from functools import partial
from typing import Annotated

import typer
from rich.console import Console


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    update: Annotated[bool, typer.Option("--update/--no-update", help="Ask for the newest published version.")] = True,
) -> None:
    """Tell whether everything works here, and what to do about what does not; ends with 1 if something does not.

    Nothing is made or paid. KIE is asked only for the balance, and your package index for the newest version.
    """
    import anyio

    from kie_mcp.doctor.examination import examine
    from kie_mcp.doctor.report import print_json, print_table, works

    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    findings = anyio.run(partial(examine, asks_for_update=update))
    (print_json if as_json else print_table)(findings, Console(highlight=False))
    raise typer.Exit(0 if works(findings) else 1)
