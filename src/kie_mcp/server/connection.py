"""Serve a client on stdio with the MCP SDK; its first requests may have been answered already, from answers.json."""

import gc
import logging
import sys
from typing import Any, cast

import anyio
from mcp.os.win32.utilities import rebind_std_handle_to_fd
from mcp.server.stdio import stdio_server

from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.client_stream import ClientStream
from kie_mcp.server.handshake.wire import Wire
from kie_mcp.server.selection import select_tools
from kie_mcp.server.unanswered import AnswerStream, Unanswered

logger = logging.getLogger(__name__)


def serve(wire: Wire, tools: str, prefix: str) -> None:
    """Serve MCP until the client closes stdin.

    Args:
        wire: Stdin and stdout; the client's first requests may have been answered already.
        tools: The tools to list; see `serve_stdio`.
        prefix: A word to put before the names of all tools; empty for none.
    """
    # Logs go to stderr, because stdout is for MCP messages.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="kie-mcp: %(levelname)s: %(message)s")
    # `Wire` has redirected the descriptors 0 and 1. On Windows, child processes inherit the new targets of these
    # descriptors only after this call.
    for descriptor in (0, 1):
        rebind_std_handle_to_fd(descriptor)

    async def run() -> None:
        selection = select_tools(tools, prefix)
        if selection.error:
            logger.warning("%s %s", selection.error, selection.error.next_step)
        app = App(selection=selection)
        server = build_server(app, rehearses=True)
        # From now on, garbage collection skips all objects that exist now. So the process ends sooner if the client
        # leaves at once.
        gc.freeze()
        wire.hand_over()
        file = cast("anyio.AsyncFile[str]", anyio.wrap_file(cast("Any", wire)))
        async with stdio_server(file, file) as (incoming, outgoing):
            unanswered = Unanswered()
            answers = AnswerStream(outgoing, unanswered)
            stream = ClientStream(incoming, answers, server, app, unanswered)
            await server.run(stream, answers, server.create_initialization_options())

    anyio.run(run)
