"""Render the saved results of tasks as one picture, from the files that were opened and checked."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from kie_mcp.ledger.task import Result
from kie_mcp.media.preview import MAX_FILES, Preview, SheetFile, render_contact_sheet
from kie_mcp.server.preview_limits import PreviewLimits
from kie_mcp.tasks.storage import Storage


async def render_results(storage: Storage, results: Iterable[tuple[Result, str]], limits: PreviewLimits) -> Preview:
    """Render a contact sheet of results; a result whose file is not there any more gets an empty cell.

    Args:
        storage: Where they are kept.
        results: Each result with its label, which may be empty.
        limits: The largest picture that the client gets.
    """
    async with AsyncExitStack() as stack:
        files = []
        for number, (result, label) in enumerate(results):
            # Only the first MAX_FILES results have room on the sheet.
            file = await stack.enter_async_context(storage.open_if_there(result)) if number < MAX_FILES else None
            files.append(SheetFile(file, Path(result.path), label))
        return await render_contact_sheet(files, **limits._asdict())
