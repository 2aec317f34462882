"""What people type: the server, a KIE of their own, the demo."""

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from kie_mcp import __version__
from kie_mcp.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

SANDBOX_IS_THERE = """\
A KIE that costs nothing is at {url} until Ctrl-C. Its key is `sandbox`. kie-mcp finds it with

  KIE_API_KEY=sandbox
  KIE_MCP_BASE_URL={url}
  KIE_MCP_UPLOAD_URL={url}
"""

cli = typer.Typer(
    name="kie-mcp",
    help="Make video, images, speech and music with KIE.ai's models, through MCP.\n\n"
    "Without a command it serves MCP on stdio, as clients start it. "
    "Settings come from the environment: KIE_API_KEY, or KIE_MCP_SANDBOX=1 to try it without a key.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Seconds = Annotated[float, typer.Option(min=0, envvar="KIE_MCP_SANDBOX_SECONDS", help="How long a task takes.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kie-mcp {__version__}")
        raise typer.Exit


@cli.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@cli.command()
def serve(
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP instead of stdio.")] = False,
    host: Host = "127.0.0.1",
    port: Port = 8765,
) -> None:
    """Serve MCP: on stdio, or over HTTP."""
    if not http:
        from kie_mcp.__main__ import stdio

        _say("Serving MCP on stdin and stdout.")
        stdio()
        return
    from kie_mcp.server import http as streamable
    from kie_mcp.server.app import App

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="kie-mcp: %(levelname)s: %(message)s")
    app = App(local_files=False)
    token = app.settings.http_token
    served = streamable.asgi(app, host=host, token=token.get_secret_value() if token else "")
    _listen(served, host, port, f"Serving MCP at {{url}}{streamable.PATH} until Ctrl-C.")


@cli.command()
def sandbox(host: Host = "127.0.0.1", port: Port = 8766, seconds: Seconds = 2) -> None:
    """Serve the sandbox, a KIE of your own, to other clients."""
    from kie_mcp.sandbox.app import Sandbox

    _listen(Sandbox(seconds=seconds).app, host, port, SANDBOX_IS_THERE)


@cli.command()
def demo(seconds: Seconds = 2) -> None:
    """Make a picture, an edit, a video, a song and a voice on the sandbox, as an MCP client would."""
    import anyio

    from kie_mcp import demo as account

    raise typer.Exit(0 if anyio.run(account.run, Console(highlight=False), seconds) else 1)


def commands() -> None:
    """Run the command that was typed; a wrong environment ends in words, not in a traceback."""
    try:
        cli()
    except ConfigurationError as error:
        _say(f"kie-mcp: {error}\n{error.next_step}")
        sys.exit(2)


def _say(text: str) -> None:
    """Tell the person; stdout may belong to the protocol."""
    typer.echo(text, err=True)


def _listen(served: "ASGIApp", host: str, port: int, message: str) -> None:
    """Serve until stopped, and say where as soon as that is sure."""
    import uvicorn

    # Streams that clients keep open would hold the server back for ever.
    config = uvicorn.Config(served, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5)
    with config.bind_socket() as bound:
        bound.listen(config.backlog)
        name = f"[{host}]" if ":" in host else host
        _say(message.format(url=f"http://{name}:{bound.getsockname()[1]}"))
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[bound])
