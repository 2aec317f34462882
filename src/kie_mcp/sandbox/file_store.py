"""The sandbox's store of uploaded files and rendered results."""

import base64
import binascii
import contextlib
import hashlib
import math
import mimetypes
import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from uuid import uuid4

from kie_mcp.sandbox.fake_media import RENDERERS, MediaContent, render_file
from kie_mcp.sandbox.fake_task import FakeTask, to_iso

MEDIA_PATH = "/sandbox/media/"
"""Start of the path of every media file's URL."""
UPLOADS_PATH = f"{MEDIA_PATH}uploads/"
UPLOAD_KEPT_SECONDS = 24 * 60 * 60
"""Seconds for which the sandbox keeps an upload, as long as KIE does."""
DATA_URL_PATTERN = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[^,]*)?,(?P<content>.*)", re.DOTALL)
UPLOAD_FOLDER_PATTERN = re.compile(r"[^/].*[^/]|[^/]")


class FileStore:
    """The uploads and the rendered results.

    Results are in a temporary folder, because they can be rendered again. This folder is deleted when this object is
    garbage-collected.

    Args:
        uploads: A folder that keeps the uploads; without it, they are in the temporary folder too.
        now: The time in seconds since 1970; uploads that are too old by then are deleted.
    """

    def __init__(self, uploads: Path | None, now: float) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kie-sandbox-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._uploads = uploads or self._folder / "uploads"
        if uploads:
            self._delete_uploads(before=now - UPLOAD_KEPT_SECONDS)

    def save_upload(self, source: BinaryIO, path: str, now: float) -> int:
        """Save an upload, and return its size in bytes.

        Args:
            source: The content, which is copied in pieces.
            path: The upload's path at KIE; an earlier upload with this path is overwritten.
            now: The time of the upload, in seconds since 1970.
        """
        place = self._place_upload(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{uuid4().hex}.part")
        with partial.open("wb") as target:
            shutil.copyfileobj(source, target)
            size = target.tell()
        os.utime(partial, (now, now))
        partial.replace(place)
        return size

    def find_upload(self, path: str) -> Path | None:
        """Return the local file of the upload that has this path at KIE, or None if there is no such upload."""
        place = self._place_upload(path)
        return place if place.exists() else None

    def drop_uploads(self) -> None:
        """Delete all uploads, so that their URLs no longer work."""
        self._delete_uploads(before=math.inf)

    def render_result(self, task: FakeTask, name: str) -> Path:
        """Return a result file of a task; the file is rendered on the first call."""
        place = self._folder / f"{task.id}-{name}"
        if not place.exists():
            place.write_bytes(render_file(name, task.describe_content(name)))
        return place

    def _place_upload(self, path: str) -> Path:
        """Return the local file for an upload; its name is a hash, because KIE's path is the client's free choice."""
        return self._uploads / hashlib.sha256(path.encode()).hexdigest()

    def _delete_uploads(self, before: float) -> None:
        for place in self._uploads.glob("*"):
            # The deletion fails when another process has deleted the file already, or is just sending it to a client.
            with contextlib.suppress(OSError):
                if place.stat().st_mtime < before:
                    place.unlink()


def render_stand_in(url: str) -> bytes:
    """Render a file that shows a URL; after an upload by URL, it replaces the real file, which is not downloaded."""
    name = urlsplit(url).path
    return render_file(name if name.rpartition(".")[2] in RENDERERS else "1.png", MediaContent(url, url))


def decode_base64(text: str) -> tuple[bytes, str]:
    """Decode base64 text or a data URL.

    Returns:
        The content, and the file extension (with a dot) for the data URL's MIME type, empty if there is none.

    Raises:
        ValueError: The text is not base64.
    """
    found = DATA_URL_PATTERN.fullmatch(text)
    ending = mimetypes.guess_extension(found["type"] or "") if found else None
    try:
        return base64.b64decode(found["content"] if found else text, validate=True), ending or ""
    except binascii.Error:
        raise ValueError("base64Data is not base64") from None


def build_receipt(path: str, url: str, size: int, now: float) -> dict[str, Any]:
    """Build KIE's description of an uploaded file.

    Args:
        path: The path of the upload.
        url: The URL at which the file can be downloaded.
        size: The file's size in bytes.
        now: The time of the upload, in seconds since 1970.
    """
    name = path.rpartition("/")[2]
    return {
        "fileName": name,
        "filePath": path,
        "downloadUrl": url,
        "fileSize": size,
        "mimeType": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "uploadedAt": to_iso(now),
    }
