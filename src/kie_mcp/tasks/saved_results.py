"""Saved results: open the file in which a result was saved, if it is still that file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

import anyio.to_thread

from kie_mcp import disk
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Result
from kie_mcp.media import formats, result_types

_USE_LINK = "Use the link that get_task tells."
_USE_OTHER = "Use the link that get_task tells, or the path of the file if it is in a folder that may be read."


@asynccontextmanager
async def open_result(result: Result) -> AsyncIterator[IO[bytes] | None]:
    """Open the saved file of a result; yield None if the result is not saved, or its file is not there any more."""
    file = None
    with suppress(InvalidCall):
        file = await anyio.to_thread.run_sync(open_saved_file, result)
    with file or nullcontext():
        yield file


async def is_there(result: Result) -> bool:
    """Return whether the saved file of a result is still there."""
    async with open_result(result) as file:
        return file is not None


def open_saved_file(result: Result) -> IO[bytes]:
    """Open the saved file of a result.

    Somebody may have put a link to another file in its place, or a file of another kind; neither is opened. A picture
    that the user has edited is still the result.

    Raises:
        InvalidCall: When there is no such file, it cannot be read, or it is another file.
    """
    path = Path(result.path)
    if not result.path:
        raise InvalidCall("This result is not saved.", "get_task tries again to save it.")
    try:
        file = disk.open_file(path)
    except OSError as error:
        is_file = path.is_file() and not path.is_symlink()
        fault = f"cannot be read: {error.strerror}" if is_file else "is no file, or not any more"
        raise InvalidCall(f"{path} {fault}.", _USE_LINK) from None
    try:
        if not _is_of_kind(file, result):
            raise InvalidCall(f"{path} is not what was saved.", _USE_OTHER)
    except BaseException:
        file.close()
        raise
    return file


def _is_of_kind(file: IO[bytes], result: Result) -> bool:
    """Return whether a file is a picture, a clip or a sound if the saved result was one."""
    if not (result.is_media and result.mime_type):
        return True
    # If the content did not show the type when the file was saved, the host's answer did.
    declared = "" if result.mime_type in formats.EXTENSIONS else result.mime_type
    found = result_types.identify(file, declared=declared, url=result.link, takes_text=False)
    file.seek(0)
    return found.partition("/")[0] == result.mime_type.partition("/")[0]
