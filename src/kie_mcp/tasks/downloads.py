"""Downloads: save results in the output folder, resume broken downloads, and guard against SSRF."""

import filecmp
import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import anyio
import httpx2

from kie_mcp.errors import ApiError, InvalidCall, KieMcpError
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.task import Result, Task
from kie_mcp.media import formats
from kie_mcp.tasks import sidecar

LARGEST_FILE = 2 * 1024**3
"""Largest size of one result, in bytes."""
DOWNLOAD_SECONDS = 900
"""Seconds that the download of one result may take; after that, the attempt has failed."""
MOST_REDIRECTS = 5
CONCURRENT_DOWNLOADS = 4
EXPIRED_LINK_STATUSES = (401, 403, 404, 410)
"""HTTP statuses of a link that may have expired; the downloader then asks KIE for a fresh link."""


class Downloader:
    """Downloads results to the output folder; no file there is ever overwritten."""

    def __init__(self, client: KieClient, folder: Path, *, guarded: bool = True, largest: int = LARGEST_FILE) -> None:
        """Build a downloader.

        Args:
            client: The client of KIE's API; links are opened with its HTTP connections, but without the API key.
            folder: The output folder.
            guarded: Whether to refuse links to private addresses (SSRF).
            largest: Largest size of one result, in bytes.
        """
        self.folder = folder.expanduser().absolute()
        self._client = client
        self._guarded = guarded
        self._largest = largest
        self._slots = anyio.CapacityLimiter(CONCURRENT_DOWNLOADS)

    async def download(self, task: Task) -> None:
        """Download the results of a task that are not in the output folder yet.

        When one result cannot be downloaded, the other results still are; the first error is raised at the end.

        Raises:
            OSError: When a file cannot be written.
            httpx2.HTTPError: When a file cannot be downloaded.
            KieMcpError: When a link is refused, or has expired and KIE gives no fresh one.
        """
        errors: list[Exception] = []
        for number, result in enumerate(task.results, start=1):
            if not result.path and result.url:
                try:
                    async with self._slots:
                        await self._download_result(task, result, number)
                except (OSError, httpx2.HTTPError, KieMcpError) as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def write_file(self, task: Task, number: int, content: bytes, mime_type: str) -> Result:
        """Save content that has no link as a file in the output folder, and return a result with the file's path."""
        final = _write_file(content, self.folder, _file_stem(task, number), formats.EXTENSIONS[mime_type])
        return Result(url="", path=str(final), mime_type=mime_type)

    def write_sidecars(self, task: Task, made_from: Sequence[str]) -> None:
        """Write the sidecar of each downloaded file, a JSON file that says what made the file.

        Args:
            task: The task that made the files.
            made_from: Ids of the earlier tasks whose results this task used.

        Raises:
            OSError: When a sidecar cannot be written.
        """
        for number, result in enumerate(task.results, start=1):
            if result.path:
                place, content = Path(result.path), sidecar.build_sidecar(task, number, made_from)
                beside = place.with_name(f"{place.name}.json")
                if sidecar.belongs_to(beside, task):
                    # The sidecar is written anew, because an earlier process may have written it with fewer facts.
                    with _open_partial_file(beside.parent, place.name) as part:
                        part.truncate()
                        part.write(content)
                        part.close()
                        Path(part.name).replace(beside)
                else:
                    _write_file(content, place.parent, place.name, "json")

    async def _download_result(self, task: Task, result: Result, number: int) -> None:
        with _open_partial_file(self.folder, _file_stem(task, number)) as part:
            with anyio.fail_after(DOWNLOAD_SECONDS):
                declared = await self._download_with_fresh_link(result.url, part)
            part.seek(0)
            detected = formats.detect_mime_type(part.read(formats.HEAD_BYTES))
            mime_type = detected or declared or "application/octet-stream"
            extension = formats.EXTENSIONS.get(mime_type, "bin")
            result.path = str(_commit_name(part, self.folder, _file_stem(task, number), extension))
            result.mime_type = mime_type

    async def _download_with_fresh_link(self, url: str, into: IO[bytes]) -> str:
        """Download a file, with a fresh link when this one has expired; return the MIME type that the host declares."""
        try:
            return await self._download_resuming(url, into)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code not in EXPIRED_LINK_STATUSES:
                raise
            try:
                fresh = await self._client.request_download_url(url)
            except ApiError:
                raise error from None
        return await self._download_resuming(fresh, into)

    async def _download_resuming(self, url: str, into: IO[bytes]) -> str:
        """Download a file; when the connection breaks, resume, unless the last attempt received no bytes."""
        while True:
            have = into.seek(0, os.SEEK_END)
            try:
                return await self._resume(url, into, have)
            except httpx2.TransportError:
                if into.tell() <= have:
                    raise

    async def _resume(self, url: str, into: IO[bytes], have: int) -> str:
        """Download the rest of a file, after the bytes of the partial file, by a range request (RFC 9110, section 14).

        Args:
            url: The URL of the file.
            into: The partial file.
            have: Size of the partial file, in bytes.

        Returns:
            The MIME type that the host declares; empty when the partial file was complete already.
        """
        for _ in range(MOST_REDIRECTS):
            await self._check_address(url)
            # Compression is refused because the length of a compressed answer does not tell how many bytes are left.
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            async with self._client.http.stream("GET", url, headers=headers) as response:
                self._check_peer(response)
                if response.next_request:
                    url = str(response.next_request.url)
                    continue
                if response.status_code == 416:
                    # The host has no more bytes: the partial file is complete, or the file at the host has changed.
                    if response.headers.get("content-range") == f"bytes */{have}":
                        return ""
                    into.truncate(0)
                    raise httpx2.ReadError("The file has changed.")
                response.raise_for_status()
                if response.status_code != 206:
                    into.seek(0)
                    into.truncate()
                await self._receive(response, into)
                return response.headers.get("content-type", "").partition(";")[0]
        raise InvalidCall("A result's link is behind too many redirects.")

    async def _receive(self, response: httpx2.Response, into: IO[bytes]) -> None:
        """Append the body of a response to the partial file."""
        begun = into.tell()
        async for chunk in response.aiter_bytes():
            if into.tell() + len(chunk) > self._largest:
                raise InvalidCall(f"The file at {response.url.host} is larger than {self._largest / 1e9:.1f} GB.")
            into.write(chunk)
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and into.tell() - begun < int(announced):
            raise httpx2.ReadError("The file was cut.")

    async def _check_address(self, url: str) -> None:
        """Refuse a link that leads to a private address, before it is opened (SSRF).

        Raises:
            InvalidCall: When the link is no https URL, or its host resolves to a private address.
        """
        try:
            parts = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise InvalidCall(f"A result's link is no web address: {error}.") from None
        if self._is_trusted(url):
            return
        if parts.scheme != "https":
            raise InvalidCall("A result's link is not https, so it was not followed.")
        for *_, address in await anyio.getaddrinfo(parts.raw_host, parts.port or 443):
            _refuse_private_address(str(address[0]))

    def _check_peer(self, response: httpx2.Response) -> None:
        """Refuse a response from a private address, as the host's name may resolve anew after the check (SSRF)."""
        stream = response.extensions.get("network_stream")
        if stream and not self._is_trusted(str(response.url)) and (address := stream.get_extra_info("server_addr")):
            _refuse_private_address(str(address[0]))

    def _is_trusted(self, url: str) -> bool:
        """Whether the operator trusts the URL: the guard is off, or the URL is below KIE's configured base URLs."""
        return not self._guarded or url.startswith((f"{self._client.base_url}/", f"{self._client.upload_url}/"))


def _refuse_private_address(address: str) -> None:
    if not ipaddress.ip_address(address.partition("%")[0]).is_global:
        raise InvalidCall("A result's link leads to a private address, so it was not followed.")


def _file_stem(task: Task, number: int) -> str:
    """Return the file name of a result without its extension; the result's number makes it unique in the task."""
    day = datetime.fromtimestamp(task.created).astimezone().date()
    model = re.sub(r"[^a-z0-9.]+", "-", task.model.lower())
    return f"{day}-{model}-{task.id}-{number}"


@contextmanager
def _open_partial_file(folder: Path, stem: str) -> Iterator[IO[bytes]]:
    """Open the partial file of a download, with the bytes that an earlier attempt received.

    The partial file is kept when the connection breaks, and deleted when writing or a check of the download fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f".{stem}.part"
    place.touch()
    part = place.open("r+b")
    try:
        yield part
    except (OSError, InvalidCall) as error:
        if not isinstance(error, TimeoutError):
            place.unlink(missing_ok=True)
        raise
    finally:
        # On a full disk, close() fails because it writes the bytes that are still in the buffer.
        with suppress(OSError):
            part.close()
        with suppress(OSError):
            if not place.stat().st_size:
                place.unlink()


def _write_file(content: bytes, folder: Path, stem: str, extension: str) -> Path:
    with _open_partial_file(folder, stem) as part:
        part.truncate()
        part.write(content)
        return _commit_name(part, folder, stem, extension)


def _commit_name(part: IO[bytes], folder: Path, stem: str, extension: str) -> Path:
    """Rename a complete partial file to its final name, and return the path; never overwrite an existing file."""
    part.flush()
    os.fsync(part.fileno())
    part.close()
    final, taken = folder / f"{stem}.{extension}", 1
    while True:
        try:
            final.touch(exist_ok=False)
        except FileExistsError:
            # An equal file is this result: a process downloaded it earlier and died before it saved the task's row.
            if filecmp.cmp(part.name, final, shallow=False):
                Path(part.name).unlink()
                return final
            if final.stat().st_size:
                taken += 1
                final = folder / f"{stem}-{taken}.{extension}"
                continue
        Path(part.name).replace(final)
        return final
