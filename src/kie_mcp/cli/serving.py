"""The commands that start a server: `serve`, `sandbox` and `demo`."""

import logging
import os
import sys
from typing import Annotated, Literal

import typer
from rich.console import Console

from kie_mcp.cli.install import tell_how_to_install
from kie_mcp.cli.options import Host, Legacy, Port, Prefix, Seconds, StartBalance, Tools, print_to_stderr, refuse

SANDBOX_MESSAGE = """\
A KIE that costs nothing is at {url} until Ctrl-C. Its key is `sandbox`. kie-mcp finds it with

  KIE_API_KEY=sandbox
  KIE_MCP_BASE_URL={url}
  KIE_MCP_UPLOAD_URL={url}
  KIE_MCP_DATA_DIR={client_folder}

so that the tasks count in no report and no cap of yours. The tasks and the balance of the sandbox are kept in
{folder}; without this folder it starts anew.
"""


def serve(
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP instead of stdio.")] = False,
    host: Host | None = None,
    port: Port | None = None,
    *,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let every user of this machine call and spend credits over HTTP.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="In how many processes, instead of KIE_MCP_WORKERS.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port for Prometheus, instead of KIE_MCP_METRICS_PORT.")
    ] = None,
    log_format: Annotated[
        Literal["text", "json"] | None, typer.Option(help="How to log, instead of KIE_MCP_LOG_FORMAT.")
    ] = None,
    tools: Tools = "",
    prefix: Prefix = "",
) -> None:
    """Serve MCP on stdio, or with --http over HTTP; the default address is 127.0.0.1, port 8765."""
    settings = {"WORKERS": workers, "METRICS_PORT": metrics_port, "LOG_FORMAT": log_format}
    if not http and (no_token or any(each is not None for each in (host, port, *settings.values()))):
        options = "--host, --port, --no-token, --workers, --metrics-port and --log-format"
        raise refuse(f"{options} are for HTTP, so on stdio they say nothing.", "Add --http.")
    if not http:
        from kie_mcp.server.stdio import serve_stdio

        print_to_stderr("Serving MCP on stdin and stdout.")
        serve_stdio(tools, prefix)
        return
    from kie_mcp.server.http import serve_http
    from kie_mcp.server.selection import Selection

    # Worker processes read their settings from the environment, so the options are written into environment variables.
    os.environ |= {f"KIE_MCP_{name}": str(value) for name, value in settings.items() if value is not None}
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="kie-mcp: %(levelname)s: %(message)s")
    serve_http(
        Selection(tools, prefix),
        host or "127.0.0.1",
        8765 if port is None else port,
        print_to_stderr,
        with_token=not no_token,
    )


def sandbox(
    host: Host = "127.0.0.1",
    port: Port = 8766,
    seconds: Seconds = 2,
    start_balance: StartBalance = 1000,
    legacy: Legacy = False,
) -> None:
    """Serve the sandbox, a fake KIE that costs nothing, over HTTP."""
    from kie_mcp import config
    from kie_mcp.ledger.folder import create_folder
    from kie_mcp.media.ffmpeg import find_ffmpeg
    from kie_mcp.sandbox.app import Sandbox
    from kie_mcp.server.listener import listen

    folder = create_folder(config.load().sandbox_dir)
    program = find_ffmpeg() or ""
    kie = Sandbox(seconds=seconds, credits=start_balance, legacy=legacy, folder=folder, ffmpeg=program)
    message = SANDBOX_MESSAGE.replace("{folder}", str(kie.folder)).replace("{client_folder}", str(folder / "client"))
    listen(kie.app, host, port, lambda url: print_to_stderr(message.replace("{url}", url)))


def demo(seconds: Seconds = 2, tools: Tools = "", film: bool = False) -> None:
    """Make two pictures, a video, a song and a voice with the sandbox; with --film, join such parts into a film."""
    import anyio

    from kie_mcp.demo import film as films
    from kie_mcp.demo import session

    console = Console(highlight=False)
    if not anyio.run(films.run_film if film else session.run_demo, console, seconds, tools):
        raise typer.Exit(1)
    tell_how_to_install(console)


def rotate_keys() -> None:
    """Encrypt all stored KIE keys again, with the first key in KIE_MCP_ENCRYPTION_KEYS.

    Put a new encryption key first, run this, and then remove the old one. The exit status is 1 if a stored key cannot
    be decrypted.
    """
    import anyio

    from kie_mcp import config
    from kie_mcp.clock import Clock
    from kie_mcp.server.accounts.common_ledger import CommonLedger
    from kie_mcp.server.accounts.stored_keys import StoredKeys

    async def rotate() -> tuple[int, int]:
        settings = config.load()
        common = CommonLedger(settings)
        try:
            return await StoredKeys(settings, Clock(), common.open).rotate()
        finally:
            await common.close()

    done, unreadable = anyio.run(rotate)
    typer.echo(f"{done} keys are encrypted with the first key now; {unreadable} could not be read.")
    if unreadable:
        raise typer.Exit(1)
