"""Open the HTTP client for all requests; it uses the proxies in the environment variables, if there are any."""

import os
import ssl
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

import anyio.to_thread
import httpx2

from kie_mcp import __version__
from kie_mcp.errors import ConfigurationError

# The User-Agent names kie-mcp: if it only named an HTTP library, Cloudflare would answer 403 "error code: 1010".
USER_AGENT = f"kie-mcp/{__version__} (+https://modelcontextprotocol.io)"
PROXY_SCHEMES = frozenset({"http", "https", "all"})
TIMEOUT = httpx2.Timeout(60, connect=10)

_loading = Lock()
"""Lock that lets only one thread at a time load the certificates; other threads that need them wait."""


def open_http(transport: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncClient:
    """Open an HTTP client; if `transport` is None, the client uses the network and the proxies in the environment.

    Raises:
        ConfigurationError: When the environment names a proxy or a file of certificates that cannot be used.
    """
    try:
        if transport:
            return httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, headers={"User-Agent": USER_AGENT})
        find_proxies()
        return httpx2.AsyncClient(verify=load_certificates(), timeout=TIMEOUT, headers={"User-Agent": USER_AGENT})
    except (ImportError, ValueError, httpx2.InvalidURL):
        # The message of httpx2's error is not shown, because it may contain the password of the proxy.
        raise ConfigurationError(
            "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names a proxy that kie-mcp cannot use.",
            "Give an HTTP proxy, such as http://proxy.example:3128 (SOCKS is not supported), then restart the server.",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"The certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {error.strerror or error}.",
            "Correct or unset these variables, then restart the server.",
        ) from None


async def preload_certificates() -> None:
    """Load the trusted certificates in another thread, so that opening the first HTTP client need not wait for them.

    Most of this work does not hold Python's global interpreter lock, so the event loop goes on meanwhile.
    """
    # The error is ignored here, because `open_http()` will report it.
    with suppress(OSError):
        await anyio.to_thread.run_sync(load_certificates)


def load_certificates() -> ssl.SSLContext:
    """Load the trusted certificates (17 ms, 0.8 MB); they are cached, so that all HTTP clients share them.

    They are loaded again if the environment variable SSL_CERT_FILE or SSL_CERT_DIR has changed.
    """
    with _loading:
        return _load_from(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=1)
def _load_from(*_: str | None) -> ssl.SSLContext:
    """Load the certificates; the arguments are only the key of the cache."""
    return httpx2.create_ssl_context()


def has_proxies() -> bool:
    """Tell whether the environment names a proxy, even if NO_PROXY excludes some or all hosts from this proxy."""
    return not PROXY_SCHEMES.isdisjoint(getproxies())


def find_proxies() -> dict[str, SplitResult]:
    """Return the addresses of the proxies in the environment; the key is the scheme of requests: http, https or all.

    Raises:
        ValueError: When the address or the port of a proxy is invalid.
    """
    named = {scheme: url for scheme, url in getproxies().items() if scheme in PROXY_SCHEMES and url}
    proxies = {scheme: urlsplit(url if "://" in url else f"http://{url}") for scheme, url in named.items()}
    for proxy in proxies.values():
        _ = proxy.port
    return proxies
