"""The text that `kie-mcp` prints when a person, and not an MCP client, starts it in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kie_mcp import __version__

WHAT = "lets the agent in your MCP client make videos, images, speech and music with KIE.ai's models."
NEXT = {
    "install": "puts it into the clients of this machine; --sandbox tries it without a key",
    "doctor": "tells whether everything works, and what to do if not",
    "--help": "lists all commands",
}


def welcome() -> None:
    """Print what kie-mcp is, and three commands to run next."""
    from kie_mcp.install.command import find_command, name_command

    program = name_command(find_command())
    console = Console(highlight=False)
    console.width = min(console.width, 80)
    console.print(Text.assemble((f"kie-mcp {__version__}", "bold"), f" {WHAT} Clients start it themselves."))
    table = Table.grid(padding=(0, 2))
    for command, what in NEXT.items():
        table.add_row(Text(f"  {program} {command}", "bold"), what)
    console.print(table)
