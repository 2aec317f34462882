"""Thumbnails: small pictures of saved results, cached in a folder. Each file is checked before it is read."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

import anyio
import anyio.to_thread

from kie_mcp import disk
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Result
from kie_mcp.media.preview import render_preview
from kie_mcp.tasks.storage import Storage

FOLDER = "thumbnails"
"""Name of the folder of thumbnails, in the folder of the ledger."""
SIDE_PX = 480
"""Largest length in pixels of a thumbnail's longer side."""
MAX_BYTES = 40_000
"""Largest size of a thumbnail in bytes."""
MAX_KEPT = 12_000
"""Maximum number of cached thumbnails; each process checks this once, and deletes the oldest ones if there are more."""
AT_ONCE = 2
"""Maximum number of thumbnails that are made at the same time; each needs the memory of one decoded picture."""


class Thumbnails:
    """Makes thumbnails, and keeps them in a folder that only the user can read."""

    def __init__(self, folder: Path, storage: Storage) -> None:
        self._storage = storage
        self._folder = folder
        self._limiter = anyio.Semaphore(AT_ONCE)
        self._is_ready = False

    async def find(self, result: Result) -> bytes:
        """Return the thumbnail of a saved result as JPEG; empty if the file is gone or has no preview."""
        name = self._storage.find_constant_name(result)
        if name and (content := await anyio.to_thread.run_sync(_read, self._find_place(name))):
            return content
        async with self._storage.open_if_there(result) as file:
            if not file:
                return b""
            kept = self._find_place(name or _describe_version(file, result))
            async with self._limiter:
                if content := await anyio.to_thread.run_sync(_read, kept):
                    return content
                try:
                    preview = await render_preview(file, Path(result.path), max_bytes=MAX_BYTES, max_side_px=SIDE_PX)
                except InvalidCall:
                    return b""
                if preview.content:
                    await anyio.to_thread.run_sync(self._keep, kept, preview.content)
                return preview.content

    def _find_place(self, version: str) -> Path:
        """Return the path of the thumbnail for one version of a file."""
        name = hashlib.sha256(f"{SIDE_PX} {version}".encode(errors="surrogatepass")).hexdigest()
        return self._folder / f"{name}.jpg"

    def _keep(self, place: Path, content: bytes) -> None:
        """Store a thumbnail; ignore errors, such as a full disk, because the thumbnail can be made again."""
        with suppress(OSError):
            if not self._is_ready:
                disk.create_folder(self._folder)
                _remove_oldest(self._folder)
                self._is_ready = True
            disk.replace_file(place, content)


def _describe_version(file: IO[bytes], result: Result) -> str:
    """Return a text that identifies the content of an open file; if a file changes, it gets a new thumbnail."""
    status = os.fstat(file.fileno())
    return f"{result.path} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _read(place: Path) -> bytes:
    try:
        with disk.open_file(place) as file:
            return file.read(MAX_BYTES)
    except OSError:
        return b""


def _remove_oldest(folder: Path) -> None:
    ages = sorted(((each.lstat().st_mtime, each) for each in folder.glob("*.jpg")), reverse=True)
    for _, each in ages[MAX_KEPT:]:
        each.unlink(missing_ok=True)
