"""MCP on stdin and stdout, for clients that start the server themselves."""

import gc
import sys


def serve_stdio(tools: str) -> None:
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

    from kie_mcp.server.app import App
    from kie_mcp.server.build import build
    from kie_mcp.server.selection import Selection

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
