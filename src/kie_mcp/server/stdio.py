"""The stdio transport, for clients that start the server themselves."""

import gc
import sys


def serve_stdio(tools: str, prefix: str) -> None:
    """Serve MCP on stdin and stdout.

    Args:
        tools: The tools to show, in the form of KIE_MCP_TOOLS.
        prefix: A word to put before the names of all tools.
    """
    # Imports create hundreds of thousands of objects that are never freed; garbage collection would search them for
    # 0.1 s and free nothing, so it is off until the server has been built.
    gc.disable()
    import logging
    import signal

    import anyio
    from mcp.server.stdio import stdio_server

    from kie_mcp.server.app import App
    from kie_mcp.server.build import build_server
    from kie_mcp.server.half_characters import TolerantStream
    from kie_mcp.server.selection import select_tools

    # Ctrl-C ends the process at once, because the thread that reads stdin cannot be woken for an orderly end. Nothing
    # is lost, because all state is in the ledger.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Logs go to stderr, because stdout carries the protocol.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="kie-mcp: %(levelname)s: %(message)s")

    async def serve() -> None:
        selection = select_tools(tools, prefix)
        if selection.error:
            logging.getLogger(__name__).warning("%s %s", selection.error, selection.error.next_step)
        server = build_server(App(selection=selection))
        gc.freeze()
        gc.enable()
        async with stdio_server() as (incoming, outgoing):
            await server.run(TolerantStream(incoming), outgoing, server.create_initialization_options())

    anyio.run(serve)
