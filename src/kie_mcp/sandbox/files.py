"""Where the sandbox keeps what was uploaded and what was made."""

import base64
import binascii
import mimetypes
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from uuid import uuid4

from kie_mcp.sandbox.media import MAKERS, Work, render
from kie_mcp.sandbox.task import Task, iso

MEDIA = "/sandbox/media/"
UPLOADS = f"{MEDIA}uploads/"
DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[^,]*)?,(?P<content>.*)", re.DOTALL)
UPLOAD_PATH = re.compile(r"[^/].*[^/]|[^/]")


class Files:
    """A folder that lives as long as this object."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kie-sandbox-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._uploads: dict[str, Path] = {}

    def keep(self, source: BinaryIO, path: str) -> int:
        """Copy an upload piece by piece; the same path overwrites.

        Returns:
            Its size in bytes.
        """
        place = self._uploads.setdefault(path, self._folder / uuid4().hex)
        with place.open("wb") as target:
            shutil.copyfileobj(source, target)
        return place.stat().st_size

    def uploaded(self, path: str) -> Path | None:
        """The file that was uploaded under a path."""
        return self._uploads.get(path)

    def drop(self) -> None:
        """Forget every upload."""
        self._uploads.clear()

    def made(self, task: Task, name: str) -> Path:
        """The file of a task's result, made when it is first asked for."""
        place = self._folder / f"{task.id}-{name}"
        if not place.exists():
            place.write_bytes(render(name, task.work(name)))
        return place


def stand_in(url: str) -> bytes:
    """What comes of an upload by URL: the sandbox fetches nothing, it shows the address."""
    name = urlsplit(url).path
    return render(name if name.rpartition(".")[2] in MAKERS else "1.png", Work(url, url))


def decoded(text: str) -> tuple[bytes, str]:
    """The content of raw base64 or a data URL, and the ending that its type has.

    Raises:
        ValueError: It is not base64.
    """
    found = DATA_URL.fullmatch(text)
    ending = mimetypes.guess_extension(found["type"] or "") if found else None
    try:
        return base64.b64decode(found["content"] if found else text, validate=True), ending or ""
    except binascii.Error:
        raise ValueError("base64Data is not base64") from None


def receipt(path: str, url: str, size: int, now: float) -> dict[str, Any]:
    """What KIE tells about an upload."""
    name = path.rpartition("/")[2]
    return {
        "fileName": name,
        "filePath": path,
        "downloadUrl": url,
        "fileSize": size,
        "mimeType": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "uploadedAt": iso(now),
    }
