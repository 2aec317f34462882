"""Download results to the storage, and continue broken downloads.

The modules that check and describe files take long to import. They are imported inside functions, so that these
imports do not delay the first tool call.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2

from kie_mcp.errors import ApiError, DamagedFile, InvalidCall, KieMcpError
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.task import Result, Task
from kie_mcp.media import formats, result_types
from kie_mcp.tasks import partial_files, sidecar
from kie_mcp.tasks.address_guard import AddressGuard
from kie_mcp.tasks.download_slots import DownloadSlots
from kie_mcp.tasks.pace import Pace
from kie_mcp.tasks.partial_files import PartialFile
from kie_mcp.tasks.storage import Storage

LARGEST_FILE = 2 * 1024**3
"""Maximum size of one result file, in bytes."""
MAX_REDIRECTS = 5
EXPIRED_LINK_STATUSES = (401, 403, 404, 410)
"""HTTP statuses that may mean that a URL has expired; the downloader then asks KIE for a new URL of the same file."""
CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18})", re.ASCII)
"""Matches the header Content-Range. Numbers of over 18 digits do not match: no file is so large."""
_FROM_URL_SAFE = str.maketrans("-_", "+/")


class Downloader:
    """Downloads results to the storage."""

    def __init__(
        self,
        client: KieClient,
        storage: Storage,
        *,
        guarded: bool = True,
        largest: int = LARGEST_FILE,
    ) -> None:
        """Store the arguments; nothing is downloaded yet.

        Args:
            client: The client of KIE's API; its HTTP connections are used for downloads, but without the API key.
            storage: Where results are kept.
            guarded: True to refuse URLs of hosts with a private IP address, as a protection against SSRF.
            largest: Maximum size of one result, in bytes.
        """
        self.storage = storage
        self._client = client
        # Without a guard, the prefix of trusted URLs is the empty text, with which every URL begins.
        trusted = (f"{client.base_url}/", f"{client.upload_url}/") if guarded else ("",)
        self._guard = AddressGuard(trusted, proxied=client.has_proxies)
        self._largest = largest
        # Only one file is checked at a time, because decoding a picture may need hundreds of megabytes of memory.
        self._checks = anyio.Lock()
        self._slots = DownloadSlots()

    async def download(self, task: Task) -> None:
        """Download those results of a task that are not saved yet.

        If one result cannot be downloaded, the other results are downloaded first, and then the first error is raised.

        Raises:
            OSError: When a file cannot be written.
            httpx2.HTTPError: When a file cannot be downloaded.
            KieMcpError: When a URL is refused, leads to a damaged file, or has expired and KIE gives no fresh URL.
        """
        errors: list[Exception] = []
        for number, result in enumerate(task.results, start=1):
            if not result.path and result.url:
                try:
                    async with self._slots.acquire(_host(result.url)):
                        await self._download_result(task, result, number)
                except (OSError, httpx2.HTTPError, KieMcpError) as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    async def write_file(self, task: Task, number: int, content: bytes, mime_type: str) -> Result:
        """Save bytes as a result, without a download."""
        with partial_files.open_partial_file(self.storage.folder, self.storage.name(task, number)) as part:
            part.begin("", None)
            part.file.write(content)
            return await self._keep(part, task, number, mime_type)

    async def join(self, task: Task, paths: Sequence[Path]) -> Result | None:
        """Join the files of a task's parts into one result.

        Returns:
            The result; None if joining these files needs ffmpeg, and ffmpeg is not installed.

        Raises:
            OSError: When a file cannot be read or written.
            InvalidCall: When ffmpeg cannot be started, or does not finish in time.
        """
        from kie_mcp.media.joining import join_sounds

        with partial_files.open_partial_file(self.storage.folder, self.storage.name(task, 1)) as part:
            part.begin("", None)
            mime_type = await join_sounds(paths, part.file)
            return await self._keep(part, task, 1, mime_type) if mime_type else None

    async def keep_local_file(self, task: Task, place: Path, mime_type: str) -> Result:
        """Move a file of this machine into the storage as the result of a task, and return the result.

        Raises:
            OSError: When the file cannot be read or kept.
        """
        with partial_files.open_complete_file(place) as part:
            return await self._keep(part, task, 1, mime_type)

    async def _keep(self, part: PartialFile, task: Task, number: int, mime_type: str) -> Result:
        """Move a complete file that was made on this machine into the storage, and return the file as a result."""
        from kie_mcp.media.facts import describe_file

        extension = formats.EXTENSIONS[mime_type]
        kept = await self.storage.keep(part, task, self.storage.name(task, number), extension, mime_type)
        facts = await anyio.to_thread.run_sync(describe_file, kept.file, mime_type)
        return Result(url="", path=kept.place, mime_type=mime_type, facts=facts)

    async def write_sidecars(self, task: Task, made_from: Sequence[str]) -> None:
        """Write the sidecar of each downloaded file: a JSON file that says how the file was made.

        Args:
            task: The task that made the files.
            made_from: Ids of the earlier tasks whose results this task used.

        Raises:
            OSError: When a sidecar cannot be written.
        """
        for number, result in enumerate(task.results, start=1):
            if result.path:
                content = sidecar.build_sidecar(task, number, made_from)
                await self.storage.keep_sidecar(result.path, content, task)

    async def _download_result(self, task: Task, result: Result, number: int) -> None:
        from kie_mcp.media.facts import describe_file

        name = self.storage.name(task, number)
        with partial_files.open_partial_file(self.storage.find_part_folder(task), name) as part:
            mime_type = await self._download_with_fresh_link(task, result, part)
            extension = result_types.choose_extension(mime_type, result.link)
            kept = await self.storage.keep(part, task, name, extension, mime_type)
            # `result.url` may be a data URI, which is as large as the file. So it is replaced by `result.link`: this is
            # the same URL, but empty for a data URI.
            result.path, result.url, result.mime_type = kept.place, result.link, mime_type
            # An error here is no failure of the download: the file is saved, and only `result.facts` is missing.
            with suppress(OSError):
                result.facts = await anyio.to_thread.run_sync(describe_file, kept.file, mime_type)

    async def _download_with_fresh_link(self, task: Task, result: Result, part: PartialFile) -> str:
        """Download and check a file; if its URL has expired or leads to a damaged file, try again with a fresh URL.

        Returns:
            The MIME type of the file.
        """
        try:
            return await self._download_checked(result.url, task, result, part)
        except (DamagedFile, httpx2.HTTPStatusError) as error:
            if not result.link:
                raise
            if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code not in EXPIRED_LINK_STATUSES:
                raise
            try:
                fresh = await self._client.request_download_url(result.url)
            except ApiError:
                # KIE gives fresh URLs only for files on its own hosts.
                raise error from None
        return await self._download_checked(fresh, task, result, part)

    async def _download_checked(self, url: str, task: Task, result: Result, part: PartialFile) -> str:
        """Download a file, or decode it if the URL is a data URI, and return its MIME type.

        Raises:
            DamagedFile: When the host sent no media file, or only a part of one. In this case, `result.mime_type` is
                the MIME type of the content that the host sent.
        """
        from kie_mcp.media.integrity import find_damage

        is_inline = url.startswith("data:")
        if is_inline:
            declared = _decode_data_uri(url, part)
        else:
            pace = Pace(self._client.clock)
            declared = await pace.run(partial(self._download_resuming, url, part, pace))
        await anyio.to_thread.run_sync(result_types.unpack_gzip, part.file, self._largest)
        mime_type = result_types.identify(part.file, declared=declared, url=result.link, kind=task.kind)
        async with self._checks:
            damage = await anyio.to_thread.run_sync(find_damage, part.file, mime_type)
        if damage or not mime_type:
            part.begin("", None)
            result.mime_type = mime_type or declared or "application/octet-stream"
            what = f"a file that {damage}" if damage else f"no media file but {result.mime_type}"
            raise DamagedFile(f"{'KIE' if is_inline else httpx2.URL(url).host} sent {what}.", retryable=True)
        return mime_type

    async def _download_resuming(self, url: str, part: PartialFile, pace: Pace) -> str:
        """Download a file; if the connection breaks, continue, unless the last attempt got no bytes."""
        while True:
            have = part.size
            try:
                return await self._request_rest(url, part, pace)
            except httpx2.TransportError:
                if part.size <= have:
                    raise

    async def _request_rest(self, url: str, part: PartialFile, pace: Pace) -> str:
        """Download the bytes that the partial file does not have yet, by a range request (RFC 9110, section 14).

        Returns:
            The MIME type in the answer's headers; empty if the partial file was complete already.
        """
        for _ in range(MAX_REDIRECTS):
            await self._guard.check_link(url)
            connection = self._guard.watch_connection(url)
            # The validator is read from a file on disk, which somebody may have changed. So it is checked before it is
            # sent in a header.
            have = part.size if part.validator and part.validator.isascii() else 0
            # Compression is switched off, because the length of a compressed answer is not the length of the file. Each
            # request has a connection of its own, because the guard checks only new connections.
            headers = {"Accept-Encoding": "identity", "Connection": "close"}
            if have:
                headers |= {"Range": f"bytes={have}-", "If-Range": part.validator}
            extensions = {"trace": connection.trace}
            async with self._client.http.stream("GET", url, headers=headers, extensions=extensions) as response:
                # The connection is checked a second time. The first check, in `trace`, would not run if a new version
                # of httpx2 renamed its events.
                connection.check(response.extensions.get("network_stream"))
                if response.next_request:
                    url = str(response.next_request.url)
                    continue
                if have and response.status_code in (206, 416):
                    if not _continues(response, part, have):
                        # The download starts again from the first byte, because the host sends another version of the
                        # file, or does not say which bytes of the file it sends.
                        part.begin("", None)
                        continue
                    if response.status_code == 416:
                        return ""
                else:
                    response.raise_for_status()
                    part.begin(_validator(response.headers), _content_length(response.headers))
                await self._receive(response, part, pace)
                return result_types.read_declared_type(response.headers.get("content-type", ""))
        raise InvalidCall("A result's link is behind too many redirects.")

    async def _receive(self, response: httpx2.Response, part: PartialFile, pace: Pace) -> None:
        """Append the body of a response to the partial file."""
        have = begun = part.size
        async for chunk in response.aiter_bytes():
            have += len(chunk)
            pace.received += len(chunk)
            if have > self._largest:
                raise InvalidCall(f"The file at {response.url.host} is larger than {self._largest / 1e9:.1f} GB.")
            part.file.write(chunk)
        announced = _content_length(response.headers)
        if (announced is not None and have - begun < announced) or have < (part.total or 0):
            raise httpx2.ReadError("The file was cut.")


def _decode_data_uri(uri: str, part: PartialFile) -> str:
    """Write the file of a data URI (RFC 2397, in base64) into the partial file, and return its MIME type.

    Raises:
        DamagedFile: When the base64 text is broken.
    """
    head, _, content = uri.partition(",")
    part.begin("", None)
    try:
        part.file.write(base64.b64decode(content.translate(_FROM_URL_SAFE).rstrip("=") + "=="))
    except ValueError:
        raise DamagedFile("KIE sent a file in base64 that is broken.", retryable=True) from None
    return result_types.read_declared_type(head.removeprefix("data:"))


def _host(url: str) -> str:
    """Return the host of a URL; empty if the URL is not valid. Concurrent downloads are limited for each host."""
    try:
        return httpx2.URL(url).host
    except httpx2.InvalidURL:
        return ""


def _content_length(headers: Mapping[str, str]) -> int | None:
    """Return the length of a body in bytes; None if the headers do not contain it, or if the body is compressed."""
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 19 and "content-encoding" not in headers else None


def _validator(headers: Mapping[str, str]) -> str:
    """Return the header that identifies a file's version: a strong ETag, else Last-Modified; empty if both are missing.

    A header that is not ASCII is ignored, because a later request could not send it back. A compressed answer counts as
    one without a version, because a range of it would be a range of the compressed bytes.
    """
    if "content-encoding" in headers:
        return ""
    etag = headers.get("etag", "")
    version = etag if etag.startswith('"') else headers.get("last-modified", "")
    return version if version.isascii() else ""


def _continues(response: httpx2.Response, part: PartialFile, have: int) -> bool:
    """Return whether an answer has the same version as the partial file, and begins where the partial file ends.

    An answer with the status 416 has no bytes. For such an answer, return whether the partial file is complete.
    """
    version = _validator(response.headers)
    if (version and version != part.validator) or "content-encoding" in response.headers:
        return False
    found = CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if not found or int(found[3]) != (part.total or int(found[3])):
        return False
    if response.status_code == 416:
        return int(found[3]) == have
    return bool(found[1]) and int(found[1]) == have and int(found[2]) == int(found[3]) - 1
