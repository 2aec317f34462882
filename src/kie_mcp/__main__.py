"""`kie-mcp`: without arguments an MCP server on stdio, else a command."""

import gc
import os
import sys

from kie_mcp.errors import ConfigurationError


def main() -> None:
    """Run the command line; a wrong environment ends in words, not in a traceback."""
    try:
        if len(sys.argv) > 1:
            from kie_mcp.cli import cli

            cli()
        else:
            stdio(os.environ.get("KIE_MCP_TOOLS", ""))
    except ConfigurationError as error:
        sys.stderr.write(f"kie-mcp: {error}\n{error.next_step}\n")
        sys.exit(2)


def stdio(tools: str) -> None:
    """Serve MCP on stdin and stdout.

    Args:
        tools: Which to show, in the words of KIE_MCP_TOOLS.

    Raises:
        ConfigurationError: When there are none of that name.
    """
    # Importing makes hundreds of thousands of objects that live for ever: collecting among them costs 0.1 s.
    gc.disable()
    import logging
    import signal

    import anyio
    from mcp.server.stdio import stdio_server

    from kie_mcp.server.app import App, build
    from kie_mcp.server.tools import Selection

    # Ctrl-C ends the process at once: what matters is in the ledger, and a thread that reads stdin cannot be woken.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # stdout belongs to the protocol.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="kie-mcp: %(levelname)s: %(message)s")

    async def serve() -> None:
        server = build(App(selection=Selection(tools)))
        gc.freeze()
        gc.enable()
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(serve)


if __name__ == "__main__":
    main()
