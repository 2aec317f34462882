"""Keep downloads away from private addresses (SSRF): check the link, the addresses of its host, and the connection."""

import logging
import socket
from collections.abc import Mapping
from typing import Any

import anyio
import httpx2

from kie_mcp.errors import InvalidCall
from kie_mcp.tasks.addresses import is_public, is_public_name

logger = logging.getLogger(__name__)

HTTPS_PORT, LAST_PORT = 443, 65_535


class AddressGuard:
    """Refuses links and connections that lead to a private address; KIE's own URLs may lead to any address."""

    def __init__(self, trusted: tuple[str, ...], *, proxied: bool = False) -> None:
        """Store the arguments.

        Args:
            trusted: URL prefixes, such as KIE's base URLs; the host of a URL with such a prefix may have any address.
            proxied: True if connections may go through a proxy. Host names are then not resolved before the
                connection, because perhaps only the proxy can resolve them.
        """
        self._trusted = trusted
        self._proxied = proxied
        if proxied:
            logger.warning(
                "A proxy is set: results are fetched through it. Private addresses are refused where a link names one; "
                "where a name leads, only the proxy knows."
            )

    def trusts(self, url: str) -> bool:
        """Tell whether a URL is trusted, so that its host may have any IP address."""
        return url.startswith(self._trusted)

    async def check_link(self, url: str) -> None:
        """Check that all addresses of a link's host are public, before a connection to the host is opened.

        Raises:
            InvalidCall: When the link is not https, or leads to a private address.
            httpx2.ConnectError: When the host's name cannot be resolved.
        """
        try:
            parts = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise InvalidCall(f"A result's link is no web address: {error}.") from None
        if self.trusts(url):
            return
        if parts.scheme != "https":
            raise InvalidCall("A result's link is not https, so it was not followed.")
        if parts.port is not None and not 0 < parts.port <= LAST_PORT:
            raise InvalidCall(f"A result's link is no web address: there is no port {parts.port}.")
        try:
            # With `AI_NUMERICHOST`, the lookup accepts an IP address in any spelling, such as `127.1` or `2130706433`,
            # and fails for a host name.
            found = await anyio.getaddrinfo(parts.raw_host, parts.port or HTTPS_PORT, flags=socket.AI_NUMERICHOST)
        except OSError:
            if not is_public_name(parts.raw_host.decode()):
                raise _refusal() from None
            found = [] if self._proxied else await _resolve(parts)
        for *_, address in found:
            _refuse_private_address(str(address[0]))

    def watch_connection(self, url: str) -> "Connection":
        """Return an object that checks the IP address to which the request for a link connects."""
        return Connection("" if self.trusts(url) else httpx2.URL(url).raw_host.decode(), proxied=self._proxied)


class Connection:
    """Checks that one request connects to a public address; only the address of a proxy may be private.

    DNS may have changed since `check_link()`, so the class checks the address to which the connection really leads.
    """

    def __init__(self, host: str, *, proxied: bool) -> None:
        """Store the arguments.

        Args:
            host: Name of the link's host; empty if the host is trusted, so that no address is checked.
            proxied: Whether the settings name a proxy.
        """
        self._host = host
        self._proxied = proxied

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Check a new connection before anything is sent; httpx2 calls this method as its extension `trace`."""
        if self._proxied and event.endswith("connect_tcp.started") and info["host"] != self._host:
            # This connection does not lead to the link's host, so it leads to a proxy, whose address may be private.
            self._host = ""
        elif event.endswith("connect_tcp.complete"):
            try:
                self.check(info["return_value"])
            except InvalidCall:
                await info["return_value"].aclose()
                raise

    def check(self, stream: Any) -> None:
        """Raise `InvalidCall` if a network stream of httpx2 leads to a private address; for None, do nothing."""
        if self._host and stream and (address := stream.get_extra_info("server_addr")):
            _refuse_private_address(str(address[0]))


async def _resolve(url: httpx2.URL) -> list[Any]:
    try:
        return await anyio.getaddrinfo(url.raw_host, url.port or HTTPS_PORT)
    except OSError as error:
        # Callers regard an OSError as an error of a file, and an error of httpx2 as one of the network.
        raise httpx2.ConnectError(f"{url.host} cannot be resolved: {error.strerror}.") from None


def _refuse_private_address(address: str) -> None:
    if not is_public(address):
        raise _refusal()


def _refusal() -> InvalidCall:
    return InvalidCall("A result's link leads to a private address, so it was not followed.")
