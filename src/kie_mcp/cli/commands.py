"""All commands of `kie-mcp`, by their names."""

from collections.abc import Callable
from typing import Annotated

import typer

from kie_mcp import __version__
from kie_mcp.cli.catalog import check, sync
from kie_mcp.cli.doctor import doctor
from kie_mcp.cli.install import install
from kie_mcp.cli.options import PREFIX_HELP, TOOLS_HELP, is_terminal
from kie_mcp.cli.serving import demo, rotate_keys, sandbox, serve
from kie_mcp.cli.spending import spend
from kie_mcp.cli.tasks import (
    find_models,
    list_tasks,
    open_result,
    run,
    search_library,
    settle_task,
    show_credits,
    show_task,
)
from kie_mcp.cli.tools import list_tools
from kie_mcp.cli.welcome import welcome

COMMANDS: dict[str, Callable[..., None]] = {
    "install": install,
    "doctor": doctor,
    "demo": demo,
    "credits": show_credits,
    "models": find_models,
    "run": run,
    "tasks": list_tasks,
    "task": show_task,
    "settle": settle_task,
    "library": search_library,
    "open": open_result,
    "spend": spend,
    "tools": list_tools,
    "serve": serve,
    "sandbox": sandbox,
    "rotate-keys": rotate_keys,
}
"""The commands, in the order in which the help lists them. To add a command, write its function and one line here."""
CATALOG_COMMANDS: dict[str, Callable[..., None]] = {"check": check, "sync": sync}

cli = typer.Typer(
    name="kie-mcp",
    help="Make video, images, speech and music with KIE.ai's models, through MCP.\n\n"
    "Without a command, and outside a terminal, it serves MCP on stdio, as clients start it. "
    "Settings come from the environment: KIE_API_KEY, or KIE_MCP_SANDBOX=1 to try it without a key.",
    add_completion=True,
    # In the mode "rich", the help would keep the line breaks inside the paragraphs of a docstring.
    rich_markup_mode="markdown",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

catalog = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
cli.add_typer(catalog, name="catalog", help="What this server knows of KIE's models, and what KIE says.")
for _group, _commands in ((cli, COMMANDS), (catalog, CATALOG_COMMANDS)):
    for _name, _command in _commands.items():
        _group.command(_name)(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kie-mcp {__version__}")
        raise typer.Exit


@cli.callback()
def _root(
    context: typer.Context,
    tools: Annotated[
        str,
        typer.Option("--tools", envvar="KIE_MCP_TOOLS", show_default=False, help=f"Which tools to show: {TOOLS_HELP}"),
    ] = "",
    prefix: Annotated[
        str, typer.Option("--prefix", envvar="KIE_MCP_PREFIX", show_default=False, help=PREFIX_HELP)
    ] = "",
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = {"tools": tools, "prefix": prefix}
    if context.invoked_subcommand:
        return
    if is_terminal():
        welcome()
    else:
        from kie_mcp.server.stdio import serve_stdio

        serve_stdio(tools, prefix)
