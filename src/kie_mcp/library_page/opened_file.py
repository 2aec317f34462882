"""Send a file that was opened and checked, or a range of its bytes, so that media players can seek.

Starlette's `FileResponse` is not used, because it opens the path again, and by then another file may be at this path.
"""

import os
import re
from collections.abc import AsyncIterator
from typing import IO

import anyio.to_thread
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

CHUNK_BYTES = 256 * 1024
ONE_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


class OpenedFile(StreamingResponse):
    """A response that sends an open file, closes it at the end, and answers requests for one range of bytes."""

    def __init__(self, file: IO[bytes], media_type: str, headers: dict[str, str], wanted: str = "") -> None:
        """Prepare the response.

        Args:
            file: The open file; the response closes it.
            media_type: The MIME type to send.
            headers: Further headers.
            wanted: The `Range` header of the request; empty for the whole file.
        """
        self._file = file
        size = os.fstat(file.fileno()).st_size
        part = find_range(wanted, size)
        first, end = part or (0, size)
        self._first, self._left = first, end - first
        ranged = {"content-range": f"bytes {first}-{end - 1}/{size}"} if part else {}
        super().__init__(
            self._read(),
            206 if part else 200,
            {**headers, **ranged, "accept-ranges": "bytes", "content-length": str(self._left)},
            media_type,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or only the headers if the method is HEAD, and then close the file."""
        with self._file:
            if scope["method"] == "HEAD":
                await Response(None, self.status_code, dict(self.headers))(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)

    async def _read(self) -> AsyncIterator[bytes]:
        await anyio.to_thread.run_sync(self._file.seek, self._first)
        while self._left > 0:
            chunk = await anyio.to_thread.run_sync(self._file.read, min(CHUNK_BYTES, self._left))
            if not chunk:
                return
            self._left -= len(chunk)
            yield chunk


def find_range(wanted: str, size: int) -> tuple[int, int] | None:
    """Return the start and the end (exclusive) of the bytes that a `Range` header requests; None for the whole file.

    HTTP allows a server to ignore `Range`. This function ignores headers with several ranges, and ranges outside the
    file.
    """
    found = ONE_RANGE.fullmatch(wanted.strip())
    if not found or not any(found.groups()):
        return None
    if not found[1]:
        first, end = max(size - int(found[2]), 0), size
    else:
        first, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    return (first, end) if first < end else None
