"""`kie-mcp`: without arguments an MCP server on stdio, else a command."""

import gc
import sys


def main() -> None:
    """Run the command line."""
    if len(sys.argv) > 1:
        from kie_mcp.cli import commands

        commands()
    else:
        stdio()


def stdio() -> None:
    """Serve MCP on stdin and stdout."""
    # Importing makes hundreds of thousands of objects that live for ever: collecting among them costs 0.1 s.
    gc.disable()
    import logging
    import signal

    import anyio
    from mcp.server.stdio import stdio_server

    from kie_mcp.server.app import App, build

    # Ctrl-C ends the process at once: what matters is in the ledger, and a thread that reads stdin cannot be woken.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # stdout belongs to the protocol.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="kie-mcp: %(levelname)s: %(message)s")

    async def serve() -> None:
        server = build(App())
        gc.freeze()
        gc.enable()
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(serve)


if __name__ == "__main__":
    main()
