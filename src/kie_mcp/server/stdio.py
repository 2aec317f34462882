"""The stdio transport: a client starts the server process and talks to it through stdin and stdout."""

import gc
import signal
import sys
from contextlib import suppress

from kie_mcp.server.handshake.answers import load_handshake
from kie_mcp.server.handshake.wire import Wire

HEAD_START_SECONDS = 0.05
"""Maximum seconds that the server waits for its first answers to be sent before it imports the SDK.

The import would delay these answers.
"""


def serve_stdio(tools: str, prefix: str) -> None:
    """Serve MCP on stdin and stdout until the client closes stdin.

    The answers to the first requests come from answers.json, and are sent before or during the import of the SDK.

    Args:
        tools: The tools to list, written as in the environment variable KIE_MCP_TOOLS, for example `image,get_task`.
        prefix: A word to put before the names of all tools; empty for none.
    """
    # Imports create hundreds of thousands of objects that are never freed. Garbage collection would take 0.1 s to
    # search these objects and would free nothing, so it is off until `warm_up.warm_up()` turns it on.
    gc.disable()
    # Ctrl-C ends the process at once, because a normal end would wait for the thread that reads stdin. Nothing is lost,
    # because all state is in the ledger.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    wire = Wire(load_handshake(tools, prefix))
    wire.settled.wait(HEAD_START_SECONDS)
    try:
        _defer_wire_models()
        from kie_mcp.server.connection import serve
    except Exception as error:
        import logging

        logging.getLogger(__name__).exception("kie-mcp cannot start")
        wire.refuse(f"kie-mcp cannot start: {error!r}. Nothing was sent to KIE. Install kie-mcp again.")
        sys.exit(1)
    serve(wire, tools, prefix)


def _defer_wire_models() -> None:
    """Let pydantic build each of the SDK's message models at its first use, because a connection uses few of them.

    Otherwise, the import of the SDK would take a quarter longer. The models' base class is not a public name of the
    SDK. If a later version has no such class, all models are built at once, as they are in other servers.
    """
    with suppress(ImportError):
        from mcp_types._wire_base import WireModel

        WireModel.model_config["defer_build"] = True
