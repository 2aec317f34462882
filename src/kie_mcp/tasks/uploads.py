"""Uploads: local files, base64 and public URLs on their way to KIE; each content is uploaded once (deduplication)."""

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
from kie_mcp.tasks.contents import check_web_address, decode_base64, decode_data_uri, extension, hash_file, unique_name

TRUSTED_FOR = files.UPLOAD_LIFETIME - 3600
"""Seconds for which an upload is taken to be at KIE; later the file is uploaded again."""


class Uploader:
    """Uploads files, unless the ledger knows that KIE has them already."""

    def __init__(self, client: KieClient, ledger: Ledger, *, readable: Iterable[Path], clock: Clock) -> None:
        """Tie the parts together.

        Args:
            client: KIE.
            ledger: Where uploads are recorded.
            readable: Folders that local files may be read from; none refuses every local file.
            clock: Time.
        """
        self.folders = AllowedFolders(readable)
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        """One for each content that is or was uploaded, by its SHA-256."""

    async def upload(self, content: Content) -> Upload:
        """Upload an open file.

        Raises:
            ApiError: When KIE does not take it; so for every method here.
        """
        return await self._upload_deduplicated(
            content, lambda: files.upload_stream(self._client, content.file, content.name, content.mime_type)
        )

    async def upload_path(self, path: str) -> Upload:
        """Upload a local file, or a data URI.

        Raises:
            InvalidCall: When it may not be read, or is no media file.
        """
        if path.startswith("data:"):
            return await self.upload(decode_data_uri(path))
        with self.folders.open(path) as content:
            return await self.upload(content)

    async def upload_base64(self, text: str, name: str) -> Upload:
        """Upload a file that the call contains.

        Args:
            text: Base64 or a data URI.
            name: The file's name; may be empty.

        Raises:
            InvalidCall: When the text is no base64, was cut on its way, or is too large for base64.
        """
        content = decode_data_uri(text) if text.startswith("data:") else decode_base64(text)
        if content.size > files.BASE64_LIMIT:
            raise InvalidCall("base64 carries at most 10 MB.", "Give the file's path or URL instead.")
        name = unique_name(name, extension(content.mime_type))
        return await self._upload_deduplicated(
            content, lambda: files.upload_base64(self._client, content.file.read(), name, content.mime_type)
        )

    async def upload_url(self, url: str, name: str) -> Upload:
        """Have KIE fetch a public file.

        Args:
            url: Where the file is.
            name: The file's name; where it is empty, the URL's path names it.

        Raises:
            InvalidCall: When the URL is none.
        """
        address = check_web_address(url, Limits())
        name = name or urlsplit(address).path
        suffix = Path(name).suffix.lower()
        name = unique_name(name, suffix if suffix[1:] in formats.MIME_TYPES else "")
        return await self._record(await files.upload_from_url(self._client, address, name), None)

    async def forget(self, urls: Iterable[str]) -> bool:
        """Make uploads expire that KIE does not find any more, and return whether any of the URLs was an upload."""
        return bool(await self._ledger.uploads.expire([url for url in urls if url]))

    async def _upload_deduplicated(self, content: Content, send: Callable[[], Awaitable[UploadedFile]]) -> Upload:
        """Upload a content unless it is at KIE already; of several calls at once only the first one sends it."""
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
