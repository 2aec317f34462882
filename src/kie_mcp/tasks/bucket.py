"""Keep results in a bucket of an S3-compatible storage, with a cache of the files on this machine.

A result is first downloaded to a file on this machine, and the complete file is checked. Then one PUT request streams
the file to the bucket. S3 stores such a request (up to 5 GB) completely or not at all, so a killed process leaves
nothing in the bucket. A multipart upload could leave parts in the bucket, and these cost money. An object's name
contains the task's id and the number of the result, so a process that saves the same result again replaces the object
by equal bytes.

All requests use signed URLs: obstore finds the credentials and signs the URLs, and httpx2 sends the requests.
"""

import errno
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

import anyio.to_thread
import httpx2
from anyio.lowlevel import RunVar

from kie_mcp import disk
from kie_mcp.clock import Clock, to_utc
from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.connection import load_certificates
from kie_mcp.ledger.task import BUCKET_SCHEME, TASK_ID, Result, Task
from kie_mcp.tasks.file_cache import MAX_BYTES, FileCache
from kie_mcp.tasks.partial_files import PartialFile, Unreachable
from kie_mcp.tasks.storage import PARTS_FOLDER, Kept, Storage, T

try:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store
except ImportError:
    raise ConfigurationError(
        "KIE_MCP_STORAGE is set, and what kie-mcp needs for S3 is not installed.",
        "Install kie-mcp with its extra: pip install 'kie-mcp[s3]'.",
    ) from None

if TYPE_CHECKING:
    from obstore.store import S3Config

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
REQUEST_TIME = timedelta(hours=1)
"""Time for which the signed URL of a request by this server is valid."""
TIMEOUT = httpx2.Timeout(30, connect=10)
"""Maximum seconds to connect to the storage, and maximum seconds that a request may go without progress."""
CREDENTIALS_TIMEOUT = timedelta(seconds=5)
"""Maximum time to get credentials from the metadata service of a cloud machine or container."""
SIGNING_PAUSE_SECONDS = 30
"""Seconds after a failure to get credentials in which no link is signed, so that answers do not wait again."""
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""AWS's environment variables for the URL of an S3 server other than AWS's own; an http:// URL turns off encryption."""
RESULT_NAME = re.compile(rf"(?:.*/)?[^/]+-({TASK_ID})-(\d{{1,4}})\.\w+", re.ASCII)
"""Matches the object name of a result; group 1 is the id of its task, and group 2 is the number of the result."""
CODE = re.compile(rb"<Code>(\w{1,60})</Code>")
"""Matches the error code in an error response of S3."""
PROBE = ".kie-mcp-check"
"""Name of the empty object that `check()` writes to test whether objects can be written to the bucket."""

BUCKET_THREADS = 8
"""Maximum number of threads that wait for buckets; AnyIO's 40 threads stay free for all other work of the server."""

Method = Literal["GET", "PUT", "DELETE"]
_threads = RunVar[anyio.CapacityLimiter]("threads for buckets")


class BucketStorage(Storage):
    """Keeps results in a bucket, and keeps copies of the most recently used results on this machine."""

    def __init__(
        self,
        address: str,
        folder: Path,
        *,
        link_seconds: float,
        most_bytes: int = MAX_BYTES,
        clock: Clock | None = None,
    ) -> None:
        """Store the arguments; no request is sent.

        Args:
            address: The bucket and, after a slash, the prefix of all object names: `s3://bucket/prefix`.
            folder: The folder on this machine for copies of results and for partial files.
            link_seconds: Seconds for which a link to a result works.
            most_bytes: Maximum total size of all copies, in bytes.
            clock: The source of time; None for the machine's clock.

        Raises:
            ConfigurationError: When environment variables of AWS are not valid.
        """
        # Servers in several time zones have to give an object the same name, so the name contains the day in UTC.
        super().__init__(folder, lambda seconds: to_utc(seconds).date())
        self.address = address.rstrip("/")
        self._link_time = timedelta(seconds=link_seconds)
        self._cache = FileCache(self.folder / "cache", most_bytes)
        self._store = _connect(self.address)
        self._clock = clock or Clock()
        self._signing = anyio.CapacityLimiter(1)
        self._signs_again = float("-inf")
        """Monotonic time until which no link is signed, in seconds, because the credentials could not be had."""

    async def keep(self, part: PartialFile, task: Task, name: str, extension: str, mime_type: str) -> Kept:
        """Send the file to the bucket, and move it to the cache."""
        name = f"{PARTS_FOLDER}/{name}.{extension}" if task.parent else f"{name}.{extension}"
        size = part.size
        await self._put(name, _read(part.file), size, mime_type)
        file = self._cache.find_place(name)
        await anyio.to_thread.run_sync(disk.create_folder, file.parent)
        await anyio.to_thread.run_sync(part.replace, file)
        await anyio.to_thread.run_sync(self._cache.trim, file)
        return Kept(f"{self.address}/{name}", file)

    async def keep_sidecar(self, place: str, content: bytes, task: Task) -> None:
        """Send the sidecar to the bucket."""
        del task
        await self._put(f"{self._find_name(place)}.json", content, len(content), "application/json")

    async def sign_links(self, results: Iterable[Result]) -> Callable[[Result], str]:
        """Sign a URL for each of these results that is in the bucket; it works for some hours.

        While no URL can be signed, KIE's URLs take their place.
        """
        places = {each.path for each in results if self._owns(each.path)}
        links = await anyio.to_thread.run_sync(self._sign_links, places, limiter=self._signing) if places else {}
        return lambda result: links.get(result.path) or result.link

    def _sign_links(self, places: Iterable[str]) -> dict[str, str]:
        """Return signed URLs of results by their places; empty if the credentials cannot be had, now or a moment ago.

        This function runs in only one thread at a time, so that nobody waits for credentials more than once.
        """
        if self._clock.monotonic() < self._signs_again:
            return {}
        try:
            return {place: self._sign("GET", self._find_name(place), self._link_time) for place in places}
        except OSError as error:
            logger.warning("No link to a result can be signed: %s", error.strerror)
            self._signs_again = self._clock.monotonic() + SIGNING_PAUSE_SECONDS
            return {}

    def find_host(self) -> str:
        """Return scheme and host of the bucket's URLs, such as `https://host`."""
        return "/".join(self._base.split("/")[:3])

    def find_reference(self, url: str) -> str:
        """Return `task:<id>#<n>` for a valid or expired URL of a result in this bucket; return other URLs unchanged."""
        if not url.startswith(("https://", "http://")):
            return url
        base, path = unquote(self._base), unquote(url.partition("?")[0])
        if path.startswith(base) and (found := RESULT_NAME.fullmatch(path[len(base) :])):
            return f"task:{found[1]}#{found[2]}"
        return url

    @cached_property
    def _base(self) -> str:
        """The beginning of the URLs of all results in this bucket.

        It does not depend on the credentials, so invented ones are used: the real ones may have to be waited for.
        """
        store = _connect(self.address, {"access_key_id": "x", "secret_access_key": "x"})
        return obstore.sign(store, "GET", "x", REQUEST_TIME).partition("?")[0].removesuffix("x")

    def find_constant_name(self, result: Result) -> str:
        """Return a name under which caches may keep a result for ever; empty if the result is not in this bucket.

        The name is the address of the result's object, because an object in the bucket is never changed.
        """
        return result.path if self._owns(result.path) else ""

    def locate(self, place: str) -> Path:
        """Return the path of a result's copy on this machine; download a missing copy from the bucket first."""
        if not self._owns(place):
            return super().locate(place)
        name = self._find_name(place)
        return self._cache.find(name) or self._cache.add(name, lambda file: self._fetch(name, file))

    async def check(self) -> None:
        """Check the bucket: write an empty object, and delete it again if the credentials allow that."""
        await self._put(PROBE, b"", 0, "application/octet-stream")
        url = await self._run(self._sign, "DELETE", PROBE, REQUEST_TIME)
        async with httpx2.AsyncClient(verify=load_certificates(), timeout=TIMEOUT) as http:
            with suppress(httpx2.HTTPError):
                await http.delete(url)

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function that uses the storage in one of the threads for buckets."""
        return await anyio.to_thread.run_sync(function, *arguments, limiter=_find_threads())

    def _owns(self, place: str) -> bool:
        return place.startswith(f"{self.address}/")

    def _find_name(self, place: str) -> str:
        return place[len(self.address) + 1 :]

    def _sign(self, method: Method, name: str, time: timedelta) -> str:
        try:
            return obstore.sign(self._store, method, name, time)
        except BaseError as error:
            raise self._explain(str(error).partition("\n")[0]) from None

    async def _put(self, name: str, content: bytes | AsyncIterator[bytes], size: int, mime_type: str) -> None:
        """Send an object to the bucket.

        Raises:
            Unreachable: When the object cannot be written to the bucket.
        """
        url = await self._run(self._sign, "PUT", name, REQUEST_TIME)
        headers = {"Content-Length": str(size), "Content-Type": mime_type}
        async with httpx2.AsyncClient(verify=load_certificates(), timeout=TIMEOUT) as http:
            try:
                response = await http.put(url, content=content, headers=headers)
            except httpx2.HTTPError as error:
                raise self._explain(type(error).__name__) from None
        if not response.is_success:
            raise self._explain(_describe(response))

    def _fetch(self, name: str, file: IO[bytes]) -> None:
        """Download an object to a file on this machine.

        Raises:
            FileNotFoundError: When there is no such object.
            Unreachable: When the object cannot be downloaded.
        """
        url = self._sign("GET", name, REQUEST_TIME)
        try:
            with httpx2.stream("GET", url, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}) as response:
                if not response.is_success:
                    response.read()
                    described = _describe(response)
                    if described.endswith("NoSuchKey"):
                        raise FileNotFoundError(errno.ENOENT, "The bucket has no such object", name)
                    raise self._explain(described)
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    file.write(chunk)
        except httpx2.HTTPError as error:
            raise self._explain(type(error).__name__) from None

    def _explain(self, fault: str) -> Unreachable:
        # The message leaves out httpx2's text and the URL, because anybody who reads a signed URL can use it.
        return Unreachable(errno.EIO, f"The bucket for results cannot be used ({fault})")


def _find_threads() -> anyio.CapacityLimiter:
    """Return the limit of the threads for buckets, which all tenants of this process share."""
    try:
        return _threads.get()
    except LookupError:
        threads = anyio.CapacityLimiter(BUCKET_THREADS)
        _threads.set(threads)
        return threads


def _connect(address: str, credentials: "S3Config | None" = None) -> S3Store:
    bucket, _, prefix = address.removeprefix(BUCKET_SCHEME).partition("/")
    is_plain = any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS)
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=credentials,
            client_options={"allow_http": is_plain, "timeout": CREDENTIALS_TIMEOUT},
            retry_config={"max_retries": 1, "retry_timeout": CREDENTIALS_TIMEOUT},
        )
    except BaseError as error:
        text = str(error).partition("\n")[0]
        step = "See KIE_MCP_STORAGE and the variables that begin with AWS_."
        raise ConfigurationError(f"The bucket {address} cannot be used: {text}.", step) from None


async def _read(file: IO[bytes]) -> AsyncIterator[bytes]:
    await anyio.to_thread.run_sync(file.seek, 0)
    while chunk := await anyio.to_thread.run_sync(file.read, CHUNK_BYTES):
        yield chunk


def _describe(response: httpx2.Response) -> str:
    """Return the status of an answer and S3's code for the error, such as `404 NoSuchBucket`."""
    code = CODE.search(response.content)
    return f"{response.status_code} {code[1].decode() if code else response.reason_phrase}"
