"""Options that several commands have, and functions that print messages to stderr."""

import re
import sys
from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Seconds = Annotated[float, typer.Option(min=0, envvar="KIE_MCP_SANDBOX_SECONDS", help="How long a task takes.")]
StartBalance = Annotated[
    float, typer.Option("--credits", min=0, envvar="KIE_MCP_SANDBOX_CREDITS", help="The balance at the start.")
]
Legacy = Annotated[
    bool,
    typer.Option("--legacy", envvar="KIE_MCP_SANDBOX_LEGACY", help="Offer the models that KIE no longer documents."),
]
COMMAND_IN_TEXT = re.compile(
    r"\bkie-mcp(?= (install|doctor|demo|credits|models|run|tasks?|settle|library|open|spend|tools|serve|sandbox"
    r"|rotate-keys|catalog)\b)"
)
"""Matches the program's name in a command that a text names, and not in a sentence such as `kie-mcp is here`."""
PREFIX_HELP = "A word before the names of all tools: kie makes kie_get_task."
TOOLS_HELP = "standard, compact, all, or a comma list of tools and kinds (video, image, audio, text)."


def _inherit(context: typer.Context, option: typer.CallbackParam, given: str) -> str:
    """Return the value of an option after the command's name, or else of the same option before the command's name.

    For example, `kie-mcp --tools all serve` means the same as `kie-mcp serve --tools all`.
    """
    return given or str(context.obj[option.name])


Tools = Annotated[
    str, typer.Option("--tools", callback=_inherit, show_default=False, help=f"Which tools: {TOOLS_HELP}")
]
Prefix = Annotated[str, typer.Option("--prefix", callback=_inherit, show_default=False, help=PREFIX_HELP)]


def is_terminal() -> bool:
    """Return whether stdin is a terminal, which means that a person runs the command; an MCP client uses a pipe."""
    return sys.stdin is not None and sys.stdin.isatty()


def print_to_stderr(text: str) -> None:
    """Print a message for the user to stderr, because stdout may be used for MCP messages."""
    typer.echo(text.removesuffix("\n"), err=True)


def write_commands(text: str) -> str:
    """Return a text with commands such as `kie-mcp doctor` as a person types them, such as `uvx kie-mcp doctor`."""
    from kie_mcp.install.command import find_command, name_command

    program = name_command(find_command())
    return COMMAND_IN_TEXT.sub(lambda _: program, text)


def refuse(what: str, next_step: str) -> typer.Exit:
    """Print why a command cannot run and what to do, and return the exception that exits with status 2."""
    print_to_stderr(f"kie-mcp: {what}\n{next_step}")
    return typer.Exit(2)
