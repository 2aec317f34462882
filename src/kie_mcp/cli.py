"""The command line: serve, sandbox, demo, library, doctor, tools, spend, catalog check and catalog sync."""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from kie_mcp import __version__
from kie_mcp.library_page.command import library

if TYPE_CHECKING:
    from rich.status import Status

    from kie_mcp.kie.discovery import Discovery
    from kie_mcp.kie.drift import ModelDrift
    from kie_mcp.ledger.spending import By
    from kie_mcp.server.selection import Selection

T = TypeVar("T")

SANDBOX_MESSAGE = """\
A KIE that costs nothing is at {url} until Ctrl-C. Its key is `sandbox`. kie-mcp finds it with

  KIE_API_KEY=sandbox
  KIE_MCP_BASE_URL={url}
  KIE_MCP_UPLOAD_URL={url}

Its tasks and its balance are kept in {folder}; without this folder it starts anew.
"""

NAME_WIDTH = 12
"""Width in characters of the first column (day, model or kind) in the table of `spend`; longer names are wrapped."""

cli = typer.Typer(
    name="kie-mcp",
    help="Make video, images, speech and music with KIE.ai's models, through MCP.\n\n"
    "Without a command it serves MCP on stdio, as clients start it. "
    "Settings come from the environment: KIE_API_KEY, or KIE_MCP_SANDBOX=1 to try it without a key.",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

cli.command()(library)
catalog = typer.Typer(no_args_is_help=True)
cli.add_typer(catalog, name="catalog", help="What this server knows of KIE's models, and what KIE says.")

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


PREFIX_HELP = "A word before the names of all tools: kie makes kie_get_task."
TOOLS_HELP = "standard, compact, all, or a comma list of tools and kinds (video, image, audio, text)."


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kie-mcp {__version__}")
        raise typer.Exit


def _inherit(context: typer.Context, option: typer.CallbackParam, given: str) -> str:
    """Return the value of a command's option; if it is not given, return the value of the same option of `kie-mcp`.

    For example, `kie-mcp --tools all serve` means the same as `kie-mcp serve --tools all`.
    """
    return given or str(context.obj[option.name])


Tools = Annotated[
    str, typer.Option("--tools", callback=_inherit, show_default=False, help=f"Which tools: {TOOLS_HELP}")
]
Prefix = Annotated[str, typer.Option("--prefix", callback=_inherit, show_default=False, help=PREFIX_HELP)]


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
    if not context.invoked_subcommand:
        from kie_mcp.server.stdio import serve_stdio

        serve_stdio(tools, prefix)


@cli.command()
def serve(
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP instead of stdio.")] = False,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    *,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let every user of this machine call and spend credits over HTTP.")
    ] = False,
    tools: Tools = "",
    prefix: Prefix = "",
) -> None:
    """Serve MCP: on stdio, or over HTTP."""
    if not http:
        from kie_mcp.server.stdio import serve_stdio

        _print_to_stderr("Serving MCP on stdin and stdout.")
        serve_stdio(tools, prefix)
        return
    from kie_mcp.server.http import serve_http
    from kie_mcp.server.selection import Selection

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="kie-mcp: %(levelname)s: %(message)s")
    serve_http(Selection(tools, prefix), host, port, _print_to_stderr, with_token=not no_token)


@cli.command()
def sandbox(
    host: Host = "127.0.0.1",
    port: Port = 8766,
    seconds: Seconds = 2,
    start_balance: StartBalance = 1000,
    legacy: Legacy = False,
) -> None:
    """Serve the sandbox, a KIE of your own, to other clients."""
    from kie_mcp import config
    from kie_mcp.ledger.folder import create_folder
    from kie_mcp.sandbox.app import Sandbox
    from kie_mcp.server.listener import listen

    folder = create_folder(config.load().sandbox_dir)
    kie = Sandbox(seconds=seconds, credits=start_balance, legacy=legacy, folder=folder)
    message = SANDBOX_MESSAGE.replace("{folder}", str(kie.folder))
    listen(kie.app, host, port, lambda url: _print_to_stderr(message.replace("{url}", url)))


@cli.command()
def demo(seconds: Seconds = 2, tools: Tools = "") -> None:
    """Make a picture, an edit, a video, a song and a voice on the sandbox, as an MCP client would."""
    import anyio

    from kie_mcp.demo.session import run_demo

    raise typer.Exit(0 if anyio.run(run_demo, Console(highlight=False), seconds, tools) else 1)


@cli.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """Tell whether everything works here, and what to do about what does not; ends with 1 if something does not.

    Nothing is made or paid. KIE is asked only for the balance.
    """
    import anyio

    from kie_mcp.doctor.examination import examine
    from kie_mcp.doctor.report import print_json, print_table, works

    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    findings = anyio.run(examine)
    (print_json if as_json else print_table)(findings, Console(highlight=False))
    raise typer.Exit(0 if works(findings) else 1)


@cli.command("tools")
def list_tools(
    tools: Tools = "",
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show what each size takes of a client's context, and what it may take.")
    ] = False,
) -> None:
    """List the tools that a client is shown, and what they take of its context."""
    from kie_mcp.server.selection import Selection

    if tokens:
        table = _sizes_table(
            {size: Selection(size) for size in ((tools,) if tools else ("standard", "compact", "all"))}
        )
    else:
        table = _tools_table(Selection(tools))
    Console(highlight=False).print(table)


@cli.command()
def spend(
    by: Annotated[Literal["day", "model", "kind"], typer.Option(help="What each line is about.")] = "day",
    days: Annotated[int, typer.Option(min=1, help="How far to look back.")] = 30,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Tell what was spent, in credits: expired, failed, refunded, refused and unknown tasks apart."""
    import anyio

    lines = anyio.run(_read_report, by, days)
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
    # Columns in which all numbers are 0 are left out. Numbers are never cut off, but long names are wrapped.
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


async def _read_report(by: "By", days: int) -> list[dict[str, Any]]:
    import time

    from kie_mcp import config
    from kie_mcp.catalog.credits import set_worth
    from kie_mcp.ledger.ledger import Ledger
    from kie_mcp.tasks.spend_report import DAY, report

    settings = config.load()
    set_worth(settings.usd_per_credit)
    ledger = await Ledger.open(settings.state_dir)
    try:
        return [line.rounded() for line in report(await ledger.statistics.spending(by, time.time() - days * DAY), by)]
    finally:
        await ledger.close()


@catalog.command()
def check(
    model: Annotated[list[str] | None, typer.Option(help="KIE's id of a model to compare; all when left out.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Compare with the snapshot, without asking KIE.")] = False,
) -> None:
    """Tell how the built-in models differ from what KIE publishes today; about a second a model.

    When KIE does not answer, the snapshot of its list is compared. Ends with 1 when any model differs, with 2 when KIE
    refuses to answer.
    """
    compared = _run_catalog_command(_compare_with_kie, model or (), offline)
    differing = [each for each in compared if each.changes]
    for each in differing:
        for change in each.changes:
            typer.echo(f"{each.id}: {change}")
    typer.echo(f"Models compared: {len(compared)}; different: {len(differing)}.")
    raise typer.Exit(1 if differing else 0)


@catalog.command()
def sync(
    to: Annotated[
        Path | None, typer.Option(help="File to write; when left out, the server's own in the data folder.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="KIE's id of a model to read; all when left out.")] = None,
) -> None:
    """Take a snapshot of KIE's list, schemas and prices, for the times when KIE does not answer; a second a model.

    Ends with 1 when a schema cannot be read, with 2 when KIE cannot be asked.
    """
    file, models, unread = _run_catalog_command(_take_snapshot, to, model or ())
    typer.echo(f"{file}: {models} models.")
    for id_ in unread:
        typer.echo(f"{id_}: its schema cannot be read")
    raise typer.Exit(1 if unread else 0)


def _run_catalog_command(work: "Callable[..., Coroutine[Any, Any, T]]", *arguments: Any) -> "T":
    """Run a function that sends requests to KIE; if KIE refuses or does not answer, exit with status 2."""
    import anyio

    from kie_mcp.errors import ApiError

    # Warnings are not shown, because each failed attempt that is retried logs a warning that the user need not see.
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    try:
        return anyio.run(work, *arguments)
    except ApiError as error:
        _print_to_stderr(f"kie-mcp: {error}\n{error.next_step}")
        raise typer.Exit(2) from None


async def _compare_with_kie(only: "Sequence[str]", offline: bool) -> "list[ModelDrift]":
    from kie_mcp import config
    from kie_mcp.errors import ApiError
    from kie_mcp.kie.drift import compare_models
    from kie_mcp.kie.snapshot import load_snapshot

    snapshot = load_snapshot(config.load().state_dir)
    found: list[ModelDrift] = []
    if not offline:
        try:
            async with _open_discovery() as (discovery, status):
                async for each in compare_models(discovery, only):
                    found.append(each)
                    status.update(f"Models compared: {len(found)}")
        except ApiError as error:
            if not error.retryable:
                raise
            _print_to_stderr(f"kie-mcp: {error}\nIts list of {snapshot.as_of} is compared instead.")
        else:
            return found
    return [each async for each in compare_models(snapshot, only)]


async def _take_snapshot(to: Path | None, only: "Sequence[str]") -> tuple[Path, int, list[str]]:
    from kie_mcp import config
    from kie_mcp.kie.discovery import take_snapshot
    from kie_mcp.kie.snapshot import SYNCED, load_snapshot

    folder = config.load().state_dir
    async with _open_discovery(fresh=True) as (discovery, _):
        today = datetime.now(UTC).date().isoformat()
        snapshot, unread = await take_snapshot(discovery, load_snapshot(folder), today, only)
    file = to or folder / SYNCED
    snapshot.write(file)
    return file, len(snapshot.models), unread


@asynccontextmanager
async def _open_discovery(*, fresh: bool = False) -> "AsyncIterator[tuple[Discovery, Status]]":
    """Open KIE's discovery API, and show a status line in the terminal, which the caller updates.

    Args:
        fresh: Whether cached answers are ignored.
    """
    from kie_mcp import config
    from kie_mcp.kie.client import KieClient
    from kie_mcp.kie.discovery import CACHE_SECONDS, Discovery

    settings, seconds = config.load(), 0 if fresh else CACHE_SECONDS
    transport = None
    if settings.sandbox:
        import httpx2

        from kie_mcp.sandbox.app import Sandbox

        transport = httpx2.ASGITransport(app=Sandbox(legacy=settings.sandbox_legacy).app)
    # The library Rich shows the status line only when stderr is a terminal.
    with Console(stderr=True).status("Asking KIE") as status:
        async with KieClient(settings.key, base_url=settings.base_url, transport=transport) as client:
            yield Discovery(client, settings.live_dir, cache_seconds=seconds), status


def _tools_table(selection: "Selection") -> Table:
    from kie_mcp.server.tools.tool_list import count_tokens

    table = Table("tool", "what it does", Column("tokens", justify="right"), box=box.SIMPLE_HEAD)
    for tool in selection.tools:
        table.add_row(tool["name"], Text(tool["description"]), f"{count_tokens(tool):,.0f}")
    table.add_section()
    table.add_row(str(len(selection.tools)), "", f"{sum(map(count_tokens, selection.tools)):,.0f}")
    return table


def _sizes_table(sizes: "Mapping[str, Selection]") -> Table:
    from kie_mcp.server.tools.tool_list import BUDGETS, count_tokens

    table = Table("tokens", *(Column(size, justify="right") for size in sizes), box=box.SIMPLE_HEAD)
    shown = {tool["name"]: count_tokens(tool) for selection in sizes.values() for tool in selection.tools}
    for name, taken in shown.items():
        table.add_row(name, *(f"{taken:,.0f}" if name in each.names else "" for each in sizes.values()))
    table.add_section()
    table.add_row("total", *(f"{sum(map(count_tokens, each.tools)):,.0f}" for each in sizes.values()))
    table.add_row("at most", *(f"{BUDGETS[size]:,}" if size in BUDGETS else "" for size in sizes))
    return table


def _print_to_stderr(text: str) -> None:
    """Print a message for the user to stderr, because stdout may be used for MCP messages."""
    typer.echo(text.removesuffix("\n"), err=True)
