"""Render the saved results of tasks as one picture (a contact sheet)."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from kie_mcp.ledger.task import Result
from kie_mcp.media.preview import MAX_FILES, Preview, SheetFile, render_contact_sheet
from kie_mcp.server.preview_limits import PreviewLimits
from kie_mcp.tasks.storage import Storage


async def render_results(storage: Storage, results: Iterable[tuple[Result, str]], limits: PreviewLimits) -> Preview:
    """Render a contact sheet of results; a result without a saved file gets an empty cell.

    Args:
        storage: The storage that holds the files of the results.
        results: Each result with its label, which may be empty.
        limits: The maximum size of the contact sheet.
    """
    async with AsyncExitStack() as stack:
        files = []
        for number, (result, label) in enumerate(results):
            # Only the first MAX_FILES results have room on the sheet, so later files are not opened.
            file = await stack.enter_async_context(storage.open_if_there(result)) if number < MAX_FILES else None
            files.append(SheetFile(file, Path(result.path), label))
        return await render_contact_sheet(files, **limits._asdict())
