"""Downloads: results on their way to the output folder, resumed where a connection broke, and guarded against SSRF."""

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
"""Bytes of one result, at most."""
DOWNLOAD_SECONDS = 900
"""Seconds that one download may take before it counts as broken."""
MOST_REDIRECTS = 5
CONCURRENT_DOWNLOADS = 4
EXPIRED_LINK_STATUSES = (401, 403, 404, 410)
"""HTTP statuses that tell that a link has expired, so that KIE is asked for a fresh one."""


class Downloader:
    """Downloads results to the output folder; no file there is ever overwritten."""

    def __init__(self, client: KieClient, folder: Path, *, guarded: bool = True, largest: int = LARGEST_FILE) -> None:
        """Tie the parts together.

        Args:
            client: KIE; links are opened by its connections, without the key.
            folder: The output folder.
            guarded: Whether to refuse links to private addresses (SSRF).
            largest: Bytes of one result, at most.
        """
        self.folder = folder.expanduser().absolute()
        self._client = client
        self._guarded = guarded
        self._largest = largest
        self._slots = anyio.CapacityLimiter(CONCURRENT_DOWNLOADS)

    async def download(self, task: Task) -> None:
        """Download the results of a task that are not in the output folder yet.

        One that cannot be downloaded does not keep the others from it.

        Raises:
            OSError: When the disk refuses.
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
        """Write a result that came without a link, and return it with its path."""
        final = _write_file(content, self.folder, _file_stem(task, number), formats.EXTENSIONS[mime_type])
        return Result(url="", path=str(final), mime_type=mime_type)

    def write_sidecars(self, task: Task, made_from: Sequence[str]) -> None:
        """Write the sidecar of each downloaded file: what it is and where it came from.

        Args:
            task: The task.
            made_from: Ids of the tasks that it was made from.

        Raises:
            OSError: When the disk refuses.
        """
        for number, result in enumerate(task.results, start=1):
            if result.path:
                place, content = Path(result.path), sidecar.build_sidecar(task, number, made_from)
                beside = place.with_name(f"{place.name}.json")
                if sidecar.belongs_to(beside, task):
                    # A process that took the task over may know more.
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
        """Download a file, by a fresh link where this one has expired, and return the MIME type that is declared."""
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
        """Download a file; where the connection breaks, resume for as long as each attempt brings bytes."""
        while True:
            have = into.seek(0, os.SEEK_END)
            try:
                return await self._resume(url, into, have)
            except httpx2.TransportError:
                if into.tell() <= have:
                    raise

    async def _resume(self, url: str, into: IO[bytes], have: int) -> str:
        """Resume a download after the bytes of the partial file (a range request, RFC 9110, section 14).

        Args:
            url: Where the file is.
            into: The partial file.
            have: Bytes that it has.

        Returns:
            The MIME type that the host declares; empty where the file was complete.
        """
        for _ in range(MOST_REDIRECTS):
            await self._check_address(url)
            # The length of a compressed answer would not tell how many bytes are left.
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            async with self._client.http.stream("GET", url, headers=headers) as response:
                self._check_peer(response)
                if response.next_request:
                    url = str(response.next_request.url)
                    continue
                if response.status_code == 416:
                    # The partial file was complete, or it is no part of this file.
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
        """Append an answer to the partial file."""
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
        """Refuse an answer from a private address: a name may resolve to another address than was checked (SSRF)."""
        stream = response.extensions.get("network_stream")
        if stream and not self._is_trusted(str(response.url)) and (address := stream.get_extra_info("server_addr")):
            _refuse_private_address(str(address[0]))

    def _is_trusted(self, url: str) -> bool:
        """Whether the operator's settings vouch for the address."""
        return not self._guarded or url.startswith((f"{self._client.base_url}/", f"{self._client.upload_url}/"))


def _refuse_private_address(address: str) -> None:
    if not ipaddress.ip_address(address.partition("%")[0]).is_global:
        raise InvalidCall("A result's link leads to a private address, so it was not followed.")


def _file_stem(task: Task, number: int) -> str:
    day = datetime.fromtimestamp(task.created).astimezone().date()
    model = re.sub(r"[^a-z0-9.]+", "-", task.model.lower())
    return f"{day}-{model}-{task.id}-{number}"


@contextmanager
def _open_partial_file(folder: Path, stem: str) -> Iterator[IO[bytes]]:
    """Open the partial file of a download, with the bytes that an earlier attempt left.

    It is kept for the next attempt when the connection breaks, and deleted when the disk or a check refuses.
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
        # A full disk refuses the bytes that are still in the buffer.
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
    """Rename a complete partial file to its final name, and return its path; an existing file is not overwritten."""
    part.flush()
    os.fsync(part.fileno())
    part.close()
    final, taken = folder / f"{stem}.{extension}", 1
    while True:
        try:
            final.touch(exist_ok=False)
        except FileExistsError:
            # Downloaded before, by a process that died before it saved the row, or by another one.
            if filecmp.cmp(part.name, final, shallow=False):
                Path(part.name).unlink()
                return final
            if final.stat().st_size:
                taken += 1
                final = folder / f"{stem}-{taken}.{extension}"
                continue
        Path(part.name).replace(final)
        return final
