"""Render the saved results of tasks as one picture (a contact sheet)."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO

from kie_mcp.catalog.fields import MediaRef
from kie_mcp.errors import KieMcpError
from kie_mcp.ledger.task import Result
from kie_mcp.media.preview import MAX_FILES, Preview, SheetFile, render_contact_sheet
from kie_mcp.server.preview_limits import PreviewLimits
from kie_mcp.tasks.references import References
from kie_mcp.tasks.storage import Storage


async def render_results(
    storage: Storage,
    results: Iterable[tuple[Result | MediaRef, str]],
    limits: PreviewLimits,
    references: References | None = None,
) -> Preview:
    """Render a contact sheet of results; a result without a saved file gets an empty cell.

    Args:
        storage: The storage that holds the files of the results.
        results: Results and references to files, each with a label, which may be empty.
        limits: The maximum size of the contact sheet.
        references: Opens the files of the references; None if `results` contains no references.
    """

    async def open_source(stack: AsyncExitStack, ref: MediaRef) -> IO[bytes] | None:
        try:
            return (await stack.enter_async_context(references.open(ref))).file if references else None
        except KieMcpError:
            # The file no longer exists, or the server is no longer allowed to read it.
            return None

    async with AsyncExitStack() as stack:
        files = []
        for number, (result, label) in enumerate(results):
            # Only the first MAX_FILES results have room on the sheet.
            if number >= MAX_FILES:
                file, path = None, Path()
            elif isinstance(result, MediaRef):
                file, path = await open_source(stack, result), Path(result)
            else:
                file, path = await stack.enter_async_context(storage.open_if_there(result)), Path(result.path)
            files.append(SheetFile(file, path, label))
        return await render_contact_sheet(files, **limits._asdict())
