"""The text that `kie-mcp` prints when a person, and not an MCP client, starts it in a terminal."""

from rich.console import Console
from rich.padding import Padding
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
    for command, what in NEXT.items():
        # A line break within a command would be copied with it.
        console.print(Text(f"  {program} {command}", "bold"), soft_wrap=True)
        console.print(Padding(what, (0, 0, 0, 6)))
