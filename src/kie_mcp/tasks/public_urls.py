"""Public URLs: find the URLs that KIE cannot open, because they work only on this machine or in its network."""

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from kie_mcp.errors import InvalidCall
from kie_mcp.tasks.addresses import is_public

_PRIVATE_NAMES = re.compile(
    r"(.*\.)?(localhost|local|localdomain|internal|intranet|private|corp|home|lan|arpa|test|onion|docker"
    r"|svc|fritz\.box|mshome\.net|localtest\.me|lvh\.me)",
)
"""Matches host names that are valid only on one machine or in one network (RFC 6761, RFC 6762, RFC 8375, ICANN).

From KIE's servers, such a name leads to a different machine or to none. Names that end with `.invalid` do not match,
because the files of the sandbox have such URLs.
"""
_NAMED_ADDRESS = re.compile(r"(?:.*[.-])?((?:\d{1,3}[.-]){3}\d{1,3})\.(?:nip|sslip|xip)\.io")
"""Matches a host name that contains the IP address to which it resolves, such as 192-168-1-5.nip.io."""


def check_public(url: str, shown: str, own: Sequence[str] = ()) -> None:
    """Check that KIE could open a URL from its own servers; no host name is resolved, and nothing is downloaded.

    Args:
        url: The URL, beginning with http:// or https://.
        shown: The URL as error messages show it.
        own: The base URLs of KIE or of a sandbox on this machine; URLs that begin with one of them are accepted.

    Raises:
        InvalidCall: The URL has a password or no host, or its host is this machine or is in a private network.
    """
    if any(url.startswith(f"{each}/") for each in own):
        return
    if reason := _find_reason(url):
        raise InvalidCall(
            f"KIE cannot open {shown}: {reason}.",
            "Nothing was sent. Give the file's path instead, and it is uploaded; or a URL that anybody can open.",
        )


def hide_password(url: str) -> str:
    """Return a URL for a message, without the user name and password in it."""
    return re.sub(r"(?<=://)[^/?#]*@", "…@", url)


def _find_reason(url: str) -> str:
    """Return why KIE cannot open a URL; empty if the URL may be public."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return "it has a user name or password, which KIE would store with the task"
    # The host is normalised as browsers do it: full-width digits and percent escapes become plain characters.
    host = unicodedata.normalize("NFKC", unquote(parts.hostname or "")).lower().rstrip(".")
    address = _read_address(host)
    if address:
        return "" if is_public(str(address)) else f"{address} is an address of this machine or of a private network"
    if "." not in host or _PRIVATE_NAMES.fullmatch(host):
        return f"{host} is a name that only this machine or its network knows"
    return ""


def _read_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address in a host, even if it is written in hex, octal or as one number (`0x7f.1`); else None."""
    if named := _NAMED_ADDRESS.fullmatch(host):
        host = named[1].replace("-", ".")
    try:
        if ":" in host:
            return ipaddress.IPv6Address(host.partition("%")[0])
        # `inet_aton()` accepts every spelling of an address that browsers and libcurl accept.
        return ipaddress.IPv4Address(socket.inet_aton(host)) if re.fullmatch(r"[0-9a-fx.]+", host) else None
    except (OSError, ValueError):
        return None
