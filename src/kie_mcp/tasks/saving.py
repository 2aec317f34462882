"""What tasks made, on its way to the output folder."""

import ipaddress
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import anyio
import httpx2

from kie_mcp.errors import InvalidCall
from kie_mcp.kie.client import KieClient
from kie_mcp.tasks import formats
from kie_mcp.tasks.task import Result, Task

LARGEST = 2 * 1024**3
"""Bytes of one result."""
DOWNLOAD_SECONDS = 900
REDIRECTS = 5
AT_ONCE = 4


class Saver:
    """Downloads results; nothing in the folder is ever overwritten."""

    def __init__(self, client: KieClient, folder: Path, *, guarded: bool = True) -> None:
        """Tie the parts together.

        Args:
            client: Its connections are used, without the key.
            folder: Where files go.
            guarded: Whether to keep away from private addresses.
        """
        self.folder = folder.expanduser()
        self._client = client
        self._guarded = guarded
        self._slots = anyio.CapacityLimiter(AT_ONCE)

    async def save(self, task: Task) -> None:
        """Save a task's files to the output folder, as far as they are not there yet.

        Raises:
            OSError: When the disk refuses.
            httpx2.HTTPError: When a file cannot be fetched.
            InvalidCall: When a file's address is none to be trusted.
        """
        for number, result in enumerate(task.results, start=1):
            if not result.path and result.url:
                async with self._slots:
                    await self._save_one(task, result, number)

    def write(self, task: Task, number: int, content: bytes, mime_type: str) -> Result:
        """Save something that came without a link."""
        with self._part() as part:
            part.write(content)
        final = _settle(Path(part.name), self.folder, _stem(task, number), formats.EXTENSIONS[mime_type])
        return Result(url="", path=str(final), mime_type=mime_type)

    async def _save_one(self, task: Task, result: Result, number: int) -> None:
        with self._part() as part:
            with anyio.fail_after(DOWNLOAD_SECONDS):
                declared = await self._download(result.url, part)
            part.seek(0)
            head = part.read(formats.HEAD)
        result.mime_type = formats.mime_type(head) or declared or "application/octet-stream"
        extension = formats.EXTENSIONS.get(result.mime_type) or Path(urlsplit(result.url).path).suffix[1:] or "bin"
        result.path = str(_settle(Path(part.name), self.folder, _stem(task, number), extension))

    @contextmanager
    def _part(self) -> Iterator[IO[bytes]]:
        """A file without its final name; it goes away when writing fails."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".", suffix=".part", delete=False) as part:
            try:
                yield part
                part.flush()
                os.fsync(part.fileno())
            except BaseException:
                Path(part.name).unlink()
                raise

    async def _download(self, url: str, into: IO[bytes]) -> str:
        """Fetch a file and return the MIME type that its server declares."""
        for _ in range(REDIRECTS):
            await self._trust(url)
            async with self._client.http.stream("GET", url) as response:
                self._trust_peer(response)
                if response.next_request:
                    url = str(response.next_request.url)
                    continue
                response.raise_for_status()
                size = 0
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > LARGEST:
                        raise InvalidCall(f"The file at {urlsplit(url).hostname} is larger than 2 GB.")
                    into.write(chunk)
                return response.headers.get("content-type", "").partition(";")[0]
        raise InvalidCall(f"The file at {urlsplit(url).hostname} is behind too many redirects.")

    async def _trust(self, url: str) -> None:
        if self._ours(url):
            return
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise InvalidCall("A result's link is not https, so it was not followed.")
        for *_, address in await anyio.getaddrinfo(parts.hostname, parts.port or 443):
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


def _settle(part: Path, folder: Path, stem: str, extension: str) -> Path:
    """Give a finished file its name; what has that name already stays."""
    for attempt in range(1, 100):
        suffix = "" if attempt == 1 else f"-{attempt}"
        final = folder / f"{stem}{suffix}.{extension}"
        with suppress(FileExistsError):
            _claim(part, final)
            return final
    raise FileExistsError(stem)


def _claim(part: Path, final: Path) -> None:
    part.chmod(0o644)
    try:
        final.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        final.touch(exist_ok=False)
        part.replace(final)
    else:
        part.unlink()
