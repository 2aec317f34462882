"""Upload local files, base64 data and public URLs to KIE; equal local files are uploaded only once."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from kie_mcp.catalog.fields import Limits
from kie_mcp.clock import Clock
from kie_mcp.errors import InvalidCall
from kie_mcp.kie import files
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.files import UploadedFile
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import new_id
from kie_mcp.ledger.uploads import Upload
from kie_mcp.media import formats
from kie_mcp.media.limits import Content
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.fitting import fit_file
from kie_mcp.tasks.media_inputs import (
    check_web_address,
    decode_base64,
    decode_data_uri,
    extension,
    hash_file,
    unique_name,
)

TRUSTED_FOR = files.UPLOAD_LIFETIME - 3600
"""Seconds after an upload for which its URL is used; later, the file is uploaded again. KIE keeps it an hour longer."""


class Uploader:
    """Uploads files to KIE, unless an equal file was uploaded before and KIE still has it."""

    def __init__(
        self,
        client: KieClient,
        ledger: Ledger,
        *,
        folders: AllowedFolders,
        clock: Clock,
        keep_metadata: bool = False,
    ) -> None:
        """Build an uploader.

        Args:
            client: The client of KIE's API.
            ledger: The ledger that records the uploads.
            folders: Opens local files in the folders from which they may be read.
            clock: The clock.
            keep_metadata: True to keep metadata, such as the location, in the uploaded files.
        """
        self.keep_metadata = keep_metadata
        self.changes: dict[str, str] = {}
        """For each upload id, the changes to the file in words; only from `upload_path()` and `upload_base64()`."""
        self.folders = folders
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        """For the SHA-256 of each file, a lock, so that parallel calls do not upload equal files twice."""

    async def upload(self, content: Content) -> Upload:
        """Upload an open file.

        Raises:
            ApiError: KIE refuses the file. All upload methods of this class raise this error.
        """
        return await self._upload_deduplicated(
            content, lambda: files.upload_stream(self._client, content.file, content.name, content.mime_type)
        )

    async def upload_path(self, path: str) -> Upload:
        """Upload a local file or the content of a data URI.

        Raises:
            InvalidCall: The file is in a folder that may not be read, is broken, or is no media file.
        """
        if path.startswith("data:"):
            return await self._upload_fitted(decode_data_uri(path), "The data", self.upload)
        with self.folders.open(path) as content:
            return await self._upload_fitted(content, path, self.upload)

    async def upload_base64(self, text: str, name: str) -> Upload:
        """Upload a file whose content is in the arguments of a tool call.

        Args:
            text: The content as base64 or as a data URI.
            name: The file's name; it may be empty.

        Raises:
            InvalidCall: The text is not valid base64, contains no media file, or has more than `files.BASE64_LIMIT`
                bytes.
        """
        content = decode_data_uri(text) if text.startswith("data:") else decode_base64(text)
        if content.size > files.BASE64_LIMIT:
            raise InvalidCall("base64 carries at most 10 MB.", "Give the file's path or URL instead.")

        async def send(fitted: Content) -> Upload:
            unique = unique_name(name, extension(fitted.mime_type))
            return await self._upload_deduplicated(
                fitted, lambda: files.upload_base64(self._client, fitted.file.read(), unique, fitted.mime_type)
            )

        return await self._upload_fitted(content, name or "The data", send)

    async def upload_url(self, url: str, name: str) -> Upload:
        """Let KIE download a public file and store it as an upload.

        Args:
            url: The URL of the file.
            name: The file's name; when empty, the name is taken from the URL's path.

        Raises:
            InvalidCall: The text is not a web address.
        """
        address = check_web_address(url, Limits())
        name = name or urlsplit(address).path
        suffix = Path(name).suffix.lower()
        name = unique_name(name, suffix if suffix[1:] in formats.MIME_TYPES else "")
        return await self._record(await files.upload_from_url(self._client, address, name), None)

    async def forget(self, urls: Iterable[str]) -> bool:
        """Mark uploads as expired because KIE has deleted them; return True if any of the URLs is an upload's URL."""
        return bool(await self._ledger.uploads.expire([url for url in urls if url]))

    async def _upload_fitted(self, content: Content, name: str, send: Callable[[Content], Awaitable[Upload]]) -> Upload:
        """Upload a file for an unknown model: pictures in a common format, clips and sounds in their own format."""
        medium, _, subtype = content.mime_type.partition("/")
        limits = Limits() if medium == "image" else Limits(subtype)
        async with fit_file(content, limits, name, keep_metadata=self.keep_metadata) as fitted:
            upload = await send(fitted.content)
            if fitted.done:
                self.changes[upload.id] = fitted.done
            return upload

    async def _upload_deduplicated(self, content: Content, send: Callable[[], Awaitable[UploadedFile]]) -> Upload:
        """Upload a file, unless KIE already has an equal one; parallel calls upload equal files only once."""
        sha256 = await anyio.to_thread.run_sync(hash_file, content.file)
        async with self._locks[sha256]:
            for upload in await self._ledger.uploads.live(self._clock.time(), sha256=sha256):
                return upload
            return await self._record(await send(), sha256)

    async def _record(self, sent: UploadedFile, sha256: str | None) -> Upload:
        now = self._clock.time()
        upload = Upload(new_id("u"), sha256, sent.name, sent.url, sent.size, sent.mime_type, now, now + TRUSTED_FOR)
        await self._ledger.uploads.add(upload)
        return upload
