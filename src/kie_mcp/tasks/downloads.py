"""What tasks made, on its way to the output folder."""

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

LARGEST = 2 * 1024**3
"""Bytes of one result, at most."""
DOWNLOAD_SECONDS = 900
REDIRECTS = 5
AT_ONCE = 4
DEAD = (401, 403, 404, 410)
"""What is answered to a link that is no longer good."""


class Downloader:
    """Downloads results; nothing in the folder is ever overwritten."""

    def __init__(self, client: KieClient, folder: Path, *, guarded: bool = True, largest: int = LARGEST) -> None:
        """Tie the parts together.

        Args:
            client: Its connections are used, without the key.
            folder: Where files go.
            guarded: Whether to keep away from private addresses.
            largest: Bytes of one result.
        """
        self.folder = folder.expanduser().absolute()
        self._client = client
        self._guarded = guarded
        self._largest = largest
        self._slots = anyio.CapacityLimiter(AT_ONCE)

    async def save(self, task: Task) -> None:
        """Save a task's files to the output folder, as far as they are not there yet.

        One that cannot be saved does not keep the others from it.

        Raises:
            OSError: When the disk refuses.
            httpx2.HTTPError: When a file cannot be fetched.
            KieMcpError: When a file's address is none to be trusted, or has died and KIE gives no other.
        """
        errors: list[Exception] = []
        for number, result in enumerate(task.results, start=1):
            if not result.path and result.url:
                try:
                    async with self._slots:
                        await self._save_one(task, result, number)
                except (OSError, httpx2.HTTPError, KieMcpError) as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def write(self, task: Task, number: int, content: bytes, mime_type: str) -> Result:
        """Save something that came without a link."""
        final = _write(content, self.folder, _stem(task, number), formats.EXTENSIONS[mime_type])
        return Result(url="", path=str(final), mime_type=mime_type)

    def describe(self, task: Task, made_from: Sequence[str]) -> None:
        """Write beside each saved file what it is and where it came from.

        Args:
            task: What made them.
            made_from: The tasks that it was made from.

        Raises:
            OSError: When the disk refuses.
        """
        for number, result in enumerate(task.results, start=1):
            if result.path:
                place, told = Path(result.path), sidecar.describe(task, number, made_from)
                beside = place.with_name(f"{place.name}.json")
                if sidecar.belongs(beside, task):
                    # A server that took the task over may know more.
                    with _part(beside.parent, place.name) as part:
                        part.truncate()
                        part.write(told)
                        part.close()
                        Path(part.name).replace(beside)
                else:
                    _write(told, place.parent, place.name, "json")

    async def _save_one(self, task: Task, result: Result, number: int) -> None:
        with _part(self.folder, _stem(task, number)) as part:
            with anyio.fail_after(DOWNLOAD_SECONDS):
                declared = await self._fetch(result.url, part)
            part.seek(0)
            mime_type = formats.mime_type(part.read(formats.HEAD)) or declared or "application/octet-stream"
            extension = formats.EXTENSIONS.get(mime_type, "bin")
            result.path = str(_settle(part, self.folder, _stem(task, number), extension))
            result.mime_type = mime_type

    async def _fetch(self, url: str, into: IO[bytes]) -> str:
        """Download a file, by a new link where this one has died, and return the MIME type that is declared for it."""
        try:
            return await self._download(url, into)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code not in DEAD:
                raise
            try:
                fresh = await self._client.download_url(url)
            except ApiError:
                raise error from None
        return await self._download(fresh, into)

    async def _download(self, url: str, into: IO[bytes]) -> str:
        """Go on with a download, and on again where the connection breaks, as long as that helps."""
        while True:
            have = into.seek(0, os.SEEK_END)
            try:
                return await self._go_on(url, into, have)
            except httpx2.TransportError:
                if into.tell() <= have:
                    raise

    async def _go_on(self, url: str, into: IO[bytes], have: int) -> str:
        """Ask for what is not there yet (RFC 9110, section 14) and return the MIME type that is declared for it."""
        for _ in range(REDIRECTS):
            await self._trust(url)
            # Of a compressed answer nobody could tell how much is there.
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
            async with self._client.http.stream("GET", url, headers=headers) as response:
                self._trust_peer(response)
                if response.next_request:
                    url = str(response.next_request.url)
                    continue
                if response.status_code == 416:
                    # All of it was there already, or what was there is none of it.
                    if response.headers.get("content-range") == f"bytes */{have}":
                        return ""
                    into.truncate(0)
                    raise httpx2.ReadError("The file has changed.")
                response.raise_for_status()
                if response.status_code != 206:
                    into.seek(0)
                    into.truncate()
                await self._take(response, into)
                return response.headers.get("content-type", "").partition(";")[0]
        raise InvalidCall("A result's link is behind too many redirects.")

    async def _take(self, response: httpx2.Response, into: IO[bytes]) -> None:
        begun = into.tell()
        async for chunk in response.aiter_bytes():
            if into.tell() + len(chunk) > self._largest:
                raise InvalidCall(f"The file at {response.url.host} is larger than {self._largest / 1e9:.1f} GB.")
            into.write(chunk)
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and into.tell() - begun < int(announced):
            raise httpx2.ReadError("The file was cut.")

    async def _trust(self, url: str) -> None:
        try:
            parts = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise InvalidCall(f"A result's link is no web address: {error}.") from None
        if self._ours(url):
            return
        if parts.scheme != "https":
            raise InvalidCall("A result's link is not https, so it was not followed.")
        for *_, address in await anyio.getaddrinfo(parts.raw_host, parts.port or 443):
            _refuse_private(str(address[0]))

    def _trust_peer(self, response: httpx2.Response) -> None:
        """A name may resolve to another address the second time; what counts is who answered."""
        stream = response.extensions.get("network_stream")
        if stream and not self._ours(str(response.url)) and (address := stream.get_extra_info("server_addr")):
            _refuse_private(str(address[0]))

    def _ours(self, url: str) -> bool:
        """Whether the operator's own settings vouch for the address."""
        return not self._guarded or url.startswith((f"{self._client.base_url}/", f"{self._client.upload_url}/"))


def _refuse_private(address: str) -> None:
    if not ipaddress.ip_address(address.partition("%")[0]).is_global:
        raise InvalidCall("A result's link leads to a private address, so it was not followed.")


def _stem(task: Task, number: int) -> str:
    day = datetime.fromtimestamp(task.created).astimezone().date()
    model = re.sub(r"[^a-z0-9.]+", "-", task.model.lower())
    return f"{day}-{model}-{task.id}-{number}"


@contextmanager
def _part(folder: Path, stem: str) -> Iterator[IO[bytes]]:
    """A file without its final name, with what came of it before.

    It stays for the next attempt when the connection broke, and goes when the disk refuses.
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
        # A full disk refuses what is still to be written.
        with suppress(OSError):
            part.close()
        with suppress(OSError):
            if not place.stat().st_size:
                place.unlink()


def _write(content: bytes, folder: Path, stem: str, extension: str) -> Path:
    with _part(folder, stem) as part:
        part.truncate()
        part.write(content)
        return _settle(part, folder, stem, extension)


def _settle(part: IO[bytes], folder: Path, stem: str, extension: str) -> Path:
    """Give a finished file its name; what has that name already stays."""
    part.flush()
    os.fsync(part.fileno())
    part.close()
    final, taken = folder / f"{stem}.{extension}", 1
    while True:
        try:
            final.touch(exist_ok=False)
        except FileExistsError:
            # Saved before, by a process that ended too soon or by another one.
            if filecmp.cmp(part.name, final, shallow=False):
                Path(part.name).unlink()
                return final
            if final.stat().st_size:
                taken += 1
                final = folder / f"{stem}-{taken}.{extension}"
                continue
        Path(part.name).replace(final)
        return final
