"""Link types: read the first bytes of the file at a URL to find the file's type, if the URL has no file extension."""

from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import httpx2

from kie_mcp.errors import InvalidCall
from kie_mcp.kie.client import KieClient
from kie_mcp.media import formats, result_types
from kie_mcp.tasks.address_guard import AddressGuard

HEAD_BYTES = 65_536
"""Maximum number of bytes to read from the start of a file; the start shows the file's type."""
SECONDS = 5
"""Maximum seconds to find the type of one file, including redirects."""
MAX_REDIRECTS = 5
MAX_KEPT = 200
"""Maximum number of remembered URLs. A call needs each URL's type twice: for the idempotency key and the request."""
PAGE = "text/html"
SECONDS_KEPT = 60
"""Seconds for which a URL without a file is remembered; then the user may have made the file public."""


@dataclass(slots=True)
class _Link:
    """What is known about the file at one URL."""

    mime_type: str | None = None
    """The file's type; empty if a request did not show it, None before the first request has ended."""
    time: float = 0.0
    """When the type was found, in seconds of the monotonic clock."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    """Held during the request."""


class LinkTypes:
    """Finds the type of the file at a URL from the file's first bytes; sends no request to private addresses."""

    def __init__(self, client: KieClient, *, guarded: bool = True) -> None:
        """Store the arguments.

        Args:
            client: The client of KIE's API; its HTTP connections are used, but without the API key.
            guarded: True to send no request to a host with a private address, as a protection against SSRF.
        """
        self._client = client
        self._clock = client.clock
        self._guard = AddressGuard(() if guarded else ("",), proxied=client.has_proxies)
        self._known: dict[str, _Link] = {}

    async def find(self, url: str) -> str:
        """Return the MIME type of the file at a URL, or `PAGE` for a web page; empty if the type is unknown."""
        if url not in self._known and len(self._known) >= MAX_KEPT:
            self._known.clear()
        link = self._known.setdefault(url, _Link())
        # Calls with the same URL at the same time wait for one request, and all get its answer.
        async with link.lock:
            is_old = self._clock.monotonic() - link.time > SECONDS_KEPT
            if link.mime_type is None or (link.mime_type in ("", PAGE) and is_old):
                found = ""
                with anyio.move_on_after(SECONDS), suppress(InvalidCall, OSError, httpx2.HTTPError, httpx2.InvalidURL):
                    found = await self._read_type(url)
                link.mime_type, link.time = found, self._clock.monotonic()
            return link.mime_type

    async def _read_type(self, url: str) -> str:
        for _ in range(MAX_REDIRECTS):
            await self._guard.check_link(url)
            connection = self._guard.watch_connection(url)
            # Each request has a connection of its own, because the guard checks only new connections.
            headers = {"Accept-Encoding": "identity", "Connection": "close", "Range": f"bytes=0-{HEAD_BYTES - 1}"}
            extensions = {"trace": connection.trace}
            async with self._client.http.stream("GET", url, headers=headers, extensions=extensions) as response:
                connection.check(response.extensions.get("network_stream"))
                if response.next_request:
                    url = str(response.next_request.url)
                    continue
                return await _judge(response) if response.status_code in (200, 206) else ""
        return ""


async def _judge(response: httpx2.Response) -> str:
    """Return the type of the file in a response, by its first bytes or else by Content-Type; empty if unclear."""
    head = bytearray()
    async for chunk in response.aiter_bytes():
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    declared = result_types.read_declared_type(response.headers.get("content-type", ""))
    found = formats.detect_mime_type(bytes(head[:HEAD_BYTES])) or ""
    if not found:
        return declared if declared == PAGE or declared.startswith(("image/", "video/", "audio/")) else ""
    # Some MP4 files show only at their end whether they are a clip or a sound. So if `found` is one of the two and
    # `declared` is the other, the type is unknown.
    kinds = {found.partition("/")[0], declared.partition("/")[0]}
    return "" if kinds == {"audio", "video"} else found
