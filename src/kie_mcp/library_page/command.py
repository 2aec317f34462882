"""The command `kie-mcp library`."""

from typing import Annotated

import typer


def library(
    *,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
) -> None:
    """Show everything that was made on a page of this machine; it spends nothing, and needs no key."""
    from kie_mcp.library_page.serving import serve_and_open

    serve_and_open(lambda message: typer.echo(message, err=True), port=port, opens=opens)
