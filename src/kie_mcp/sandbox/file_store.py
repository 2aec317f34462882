"""Store uploaded files and rendered result files of the sandbox on disk."""

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
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from kie_mcp import disk
from kie_mcp.sandbox.fake_clip import draw_clip
from kie_mcp.sandbox.fake_media import RENDERERS, MediaContent, mark_clip, render_file
from kie_mcp.sandbox.fake_task import FakeTask, to_iso

MEDIA_PATH = "/sandbox/media/"
"""Start of the path in the URL of each uploaded file and each result file."""
UPLOADS_PATH = f"{MEDIA_PATH}uploads/"
UPLOAD_KEPT_SECONDS = 24 * 60 * 60
"""Seconds for which the sandbox keeps an uploaded file; KIE keeps uploaded files for the same time."""
LINK_SECONDS = 20 * 60
"""Seconds for which a download link works; KIE's links work for the same time."""
DATA_URL_PATTERN = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[^,]*)?,(?P<content>.*)", re.DOTALL)
UPLOAD_FOLDER_PATTERN = re.compile(r"[^/].*[^/]|[^/]")


class FileStore:
    """Stores uploaded files and rendered result files.

    Result files are in a temporary folder, because they can be rendered again. The temporary folder is deleted when
    this object is garbage-collected.

    Args:
        uploads: The folder for uploaded files; if None, uploaded files are in the temporary folder too.
        clock: A function that returns the time in seconds since 1970; nobody gets uploaded files that are older than
            `UPLOAD_KEPT_SECONDS`, and the next start deletes them.
        ffmpeg: The path of ffmpeg, with which clips are drawn; if empty, all clips show the same test picture.
    """

    def __init__(self, uploads: Path | None, clock: Callable[[], float], ffmpeg: str = "") -> None:
        self._clock = clock
        self._ffmpeg = ffmpeg
        self._folder = Path(tempfile.mkdtemp(prefix="kie-sandbox-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._uploads = uploads or self._folder / "uploads"
        if uploads:
            self._delete_uploads(before=self._find_oldest())

    def save_upload(self, source: BinaryIO, path: str, now: float) -> int:
        """Save an uploaded file, and return its size in bytes.

        Args:
            source: A stream with the file's content.
            path: The path that the client chose for the upload; an earlier upload with this path is overwritten.
            now: The time of the upload, in seconds since 1970.
        """
        place = self._place_upload(path)
        disk.create_folder(place.parent)
        partial = place.with_name(f"{uuid4().hex}.part")
        with disk.create_file(partial) as target:
            shutil.copyfileobj(source, target)
            size = target.tell()
        os.utime(partial, (now, now))
        partial.replace(place)
        return size

    def find_upload(self, path: str) -> Path | None:
        """Return the local file for a path that a client chose for an upload; None if there is no such upload now."""
        place = self._place_upload(path)
        with contextlib.suppress(OSError):
            return place if place.stat().st_mtime >= self._find_oldest() else None
        return None

    def drop_uploads(self) -> None:
        """Delete all uploaded files, so that their URLs no longer work."""
        self._delete_uploads(before=math.inf)

    def render_result(self, task: FakeTask, name: str) -> Path:
        """Return the path of a task's result file; the first call renders the file."""
        place = self._folder / f"{task.id}-{name}"
        if not place.exists():
            content = task.describe_content(name)
            drawn = draw_clip(self._ffmpeg, content) if self._ffmpeg and name.endswith(".mp4") else None
            place.write_bytes(mark_clip(drawn, content) if drawn else render_file(name, content))
        return place

    def _place_upload(self, path: str) -> Path:
        """Return the local path for an upload; the file name is a hash, because a client's path may be dangerous."""
        return self._uploads / hashlib.sha256(path.encode()).hexdigest()

    def _find_oldest(self) -> float:
        """Return the time since which an upload is kept, in seconds since 1970."""
        return self._clock() - UPLOAD_KEPT_SECONDS

    def _delete_uploads(self, before: float) -> None:
        for place in self._uploads.glob("*"):
            # The deletion fails if another process has deleted the file already, or (on Windows) has the file open.
            with contextlib.suppress(OSError):
                if place.stat().st_mtime < before:
                    place.unlink()


def render_stand_in(url: str) -> bytes:
    """Render a file that shows a URL; for an upload by URL, the sandbox stores this file and downloads nothing."""
    name = urlsplit(url).path
    return render_file(name if name.rpartition(".")[2] in RENDERERS else "1.png", MediaContent(url, url))


def decode_base64(text: str) -> tuple[bytes, str]:
    """Decode base64 text or a data URL: `"data:text/plain;base64,aGk=" -> (b"hi", ".txt")`.

    Returns:
        The content, and the file extension for the data URL's MIME type. The extension is empty for plain base64 text.

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
    """Build the JSON object with which KIE answers an upload; it describes the uploaded file.

    Args:
        path: The path that the client chose for the upload.
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


def build_link(url: str, now: float) -> str:
    """Return a download link for the URL of a file; like KIE's, it works for `LINK_SECONDS`."""
    return str(URL(url).include_query_params(expires=int(now + LINK_SECONDS)))


def answer_file(request: Request, place: Path | None, name: str, now: float) -> Response:
    """Answer a request for a file; `place` is None if there is no such file.

    Raises:
        HTTPException: When there is no such file, or the request is for a download link that has expired.
    """
    expires = request.query_params.get("expires", "")
    if place is None or (expires.isdecimal() and int(expires) < now):
        raise HTTPException(404)
    return FileResponse(place, filename=name.rpartition("/")[2], content_disposition_type="inline")


def refuse_upload(reason: str) -> Response:
    """Build the answer with which the sandbox refuses an upload; the answer contains the reason."""
    return JSONResponse({"success": False, "code": 400, "msg": reason, "data": None})
