"""Prepare for the first tool call in the background: import modules, open the app, and rehearse a paid call."""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio.to_thread

from kie_mcp.errors import KieMcpError
from kie_mcp.server.app import App

logger = logging.getLogger(__name__)

OPEN_DELAY_SECONDS = 0.2
"""Seconds from the server's start until the server opens its parts and takes over unfinished tasks.

Opening imports SQLAlchemy, which takes 0.1 s. Because of the delay, the SDK can answer a client's handshake first.
"""
PAUSE_SECONDS = 0.1
"""Seconds between two checks whether calls are still running."""
MAX_PAUSES = 10
"""Maximum number of pauses before a step of the warm-up; after them, the step begins even while calls run."""
GARBAGE_THRESHOLD = 10_000
"""Number of new objects after which garbage is collected; with Python's 700, it takes a twentieth of the CPU time."""


async def open_early(app: App, *, rehearses: bool) -> None:
    """Open the parts of an app soon after its start, and prepare what the first tool call needs.

    Args:
        app: The app.
        rehearses: Whether to rehearse a paid call, too. This helps on stdio, where the first call comes soon and there
            are only a few calls.
    """
    await app.clock.sleep(OPEN_DELAY_SECONDS)
    with _log_errors():
        if await app.open_early() and rehearses:
            await _pause_for_calls(app)
            await _rehearse_call(app)
    await warm_up(app)


async def warm_up(app: App) -> None:
    """Import the tools and all models, and build the schemas of the standard tools."""
    with _log_errors():
        await _pause_for_calls(app)
        await anyio.to_thread.run_sync(_import_tools)
        from kie_mcp.catalog.registry import STANDARD

        for tool in STANDARD.places:
            await _pause_for_calls(app)
            await anyio.to_thread.run_sync(_prepare_family, tool)
        await _pause_for_calls(app)
        await anyio.to_thread.run_sync(_import_families)
    if not gc.isenabled():
        # The start of the process has turned garbage collection off. It is turned on here, but it never searches the
        # objects that exist now, because imported objects stay until the end of the process.
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        gc.enable()


@contextmanager
def _log_errors() -> Iterator[None]:
    """Log an error of the `with` block, and go on, because an error in a background task would end the process."""
    try:
        yield
    except Exception:
        logger.exception("The first tool call could not be prepared.")


async def _pause_for_calls(app: App) -> None:
    """Wait until no tool call runs (for at most `MAX_PAUSES` pauses), because the warm-up would slow the calls down."""
    for _ in range(MAX_PAUSES):
        if not app.running_calls:
            return
        await app.clock.idle(PAUSE_SECONDS)


async def _rehearse_call(app: App) -> None:
    """Do what a paid call does before its create request; nothing is sent to KIE, and nothing is recorded."""
    from kie_mcp.catalog.vendors import nano_banana
    from kie_mcp.ledger.ledger import LedgerError
    from kie_mcp.ledger.rehearsal import rehearse_task
    from kie_mcp.ledger.task import Task
    from kie_mcp.server import live_fields
    from kie_mcp.server.orders import build_family_order

    with suppress(KieMcpError, LedgerError):
        order, _ = await build_family_order(app, nano_banana.IMAGE, {"prompt": "rehearsal"})
        await live_fields.add_dropped_note(app, order)
        runner, now = await app.runner(), app.clock.time()
        await runner.find_repeated(order)
        await runner.quote(order)
        call, arguments = order.call, order.ledger_arguments({})
        await rehearse_task(runner.ledger, Task(order.id, order.tool, call.id, call.kind, "", arguments, now))


def _import_tools() -> None:
    """Import what later calls need: the tools, and the modules for files, films and price texts."""
    from kie_mcp.catalog import price_text
    from kie_mcp.media import facts, fit, integrity
    from kie_mcp.server import answers, generate
    from kie_mcp.server.tools import registry
    from kie_mcp.tasks import edits

    del answers, edits, facts, fit, generate, integrity, price_text, registry


def _prepare_family(tool: str) -> None:
    from kie_mcp.catalog.registry import STANDARD

    if family := STANDARD.find(tool):
        _ = family.input_schema


def _import_families() -> None:
    from kie_mcp.catalog.registry import FAMILIES

    _ = FAMILIES[:]
