"""Upload local files, base64 data and public URLs to KIE; equal local files are uploaded only once."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from kie_mcp.catalog.fields import Limits
from kie_mcp.catalog.reference_spellings import read_reference
from kie_mcp.clock import Clock
from kie_mcp.errors import InvalidCall
from kie_mcp.kie import files
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.files import UploadedFile
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import new_id
from kie_mcp.ledger.uploads import Upload
from kie_mcp.media import formats
from kie_mcp.media.content import Content
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.fitting import describe_changes, fit_file
from kie_mcp.tasks.link_types import LinkTypes
from kie_mcp.tasks.media_inputs import (
    decode_data_uri,
    extension,
    hash_file,
    identify_file,
    prepare_url,
    unique_name,
)

TRUSTED_FOR = files.UPLOAD_LIFETIME - 3600
"""Seconds for which an upload's URL is used; later, the file is uploaded again. KIE keeps uploads an hour longer."""


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
        guarded: bool = True,
    ) -> None:
        """Build an uploader.

        Args:
            client: The client of KIE's API.
            ledger: The ledger that records the uploads.
            folders: Opens local files in the folders from which they may be read.
            clock: The source of time.
            keep_metadata: True to keep metadata, such as the location, in the uploaded files.
            guarded: True to send no request to a private address, as a protection against SSRF.
        """
        self.link_types = LinkTypes(client, guarded=guarded)
        self.keep_metadata = keep_metadata
        self.changes: dict[str, str] = {}
        """Maps an upload's id to a text that says how its file or URL was changed before it was sent.

        Uploads that were sent unchanged, such as those of `upload()`, have no entry.
        """
        self.own_urls = (client.base_url, client.upload_url)
        """The base URLs of KIE, or of a sandbox on this machine; KIE can open all URLs that begin with one of them."""
        self.folders = folders
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        """A lock for the SHA-256 of each file, so that parallel calls upload equal files only once."""

    async def upload(self, content: Content) -> Upload:
        """Upload an open file.

        Raises:
            ApiError: KIE refuses the file. All upload methods of this class raise this error.
        """
        return await self._upload_deduplicated(
            content, lambda: files.upload_stream(self._client, content.file, content.name, content.mime_type)
        )

    async def upload_reference(self, text: str, name: str) -> Upload:
        """Upload the file that a caller's text names (a URL or a path) or contains (a data URI or base64).

        Args:
            text: The text from the caller.
            name: The name that the upload gets; if empty, the file's own name.

        Raises:
            InvalidCall: The text names no file, or a file that KIE has already.
        """
        given = read_reference(text)
        if given.startswith(("https://", "http://")):
            return await self.upload_url(given, name)
        if given.startswith("data:"):
            return await self.upload_named(decode_data_uri(given), "The data", name)
        if given.startswith(("task:", "kie://")):
            raise InvalidCall(f"{given} needs no upload.", "Pass it as it is to the tool that takes the file.")
        return await self.upload_path(given, name)

    async def upload_path(self, path: str, name: str = "") -> Upload:
        """Upload a local file.

        Args:
            path: The path of the file.
            name: The name that the upload gets; if empty, the file's own name.

        Raises:
            InvalidCall: The file is in a folder that may not be read, is broken, or is no media file.
        """
        with self.folders.open(path) as content:
            return await self.upload_named(content, path, name)

    async def upload_file(self, file: IO[bytes], name: str) -> Upload:
        """Upload an open media file that a caller has sent.

        Args:
            file: The file.
            name: The file's name, from the caller.

        Raises:
            InvalidCall: The file is broken, or is no media file.
        """
        return await self._upload_fitted(identify_file(file, name), name, self.upload)

    async def upload_base64(self, text: str, name: str) -> Upload:
        """Upload a file whose content is in the arguments of a tool call.

        Args:
            text: The content as base64 or as a data URI.
            name: The file's name; it may be empty.

        Raises:
            InvalidCall: The text is not valid base64, contains no media file, or has more than `files.BASE64_LIMIT`
                bytes.
        """
        given = read_reference(text)
        content = decode_data_uri(given if given.startswith("data:") else f"data:;base64,{given}")
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
        given = read_reference(url)
        address = prepare_url(given, Limits(), self.own_urls)
        name = name or urlsplit(address).path
        suffix = Path(name).suffix.lower()
        name = unique_name(name, suffix if suffix[1:] in formats.MIME_TYPES else "")
        upload = await self._record(await files.upload_from_url(self._client, address, name), None)
        if address != given:
            self.changes[upload.id] = f"taken from {address}, the file's own URL"
        return upload

    async def forget(self, urls: Iterable[str]) -> bool:
        """Mark uploads as expired, because KIE has deleted them; return False if none has one of these URLs."""
        return bool(await self._ledger.uploads.expire([url for url in urls if url]))

    async def upload_named(self, content: Content, label: str, name: str) -> Upload:
        """Upload a file under a name that the caller chose, with the extension of its content; or under its own name.

        Args:
            content: The open file.
            label: What errors call the file.
            name: The name that the upload gets; if empty, the file's own name.
        """
        if not name:
            return await self._upload_fitted(content, label, self.upload)

        # An equal file may be at KIE under another name, so the file is uploaded even if there is one.
        async def send(fitted: Content) -> Upload:
            unique, mime_type = unique_name(name, extension(fitted.mime_type)), fitted.mime_type
            sha256 = await anyio.to_thread.run_sync(hash_file, fitted.file)
            return await self._record(await files.upload_stream(self._client, fitted.file, unique, mime_type), sha256)

        return await self._upload_fitted(content, label, send)

    async def _upload_fitted(self, content: Content, name: str, send: Callable[[Content], Awaitable[Upload]]) -> Upload:
        """Upload a file whose model is unknown yet: a picture in a common format, a clip or sound in its own format."""
        medium, _, subtype = content.mime_type.partition("/")
        limits = Limits() if medium == "image" else Limits(subtype)
        async with fit_file(content, limits, name, keep_metadata=self.keep_metadata) as fitted:
            upload = await send(fitted.content)
            # An equal file may have been uploaded before, and that file may have been converted.
            self.changes.pop(upload.id, None)
            if changes := describe_changes(content, fitted):
                self.changes[upload.id] = changes
            return upload

    async def _upload_deduplicated(self, content: Content, send: Callable[[], Awaitable[UploadedFile]]) -> Upload:
        """Upload a file, unless KIE has an equal file already; of parallel calls with equal files, only one uploads."""
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
