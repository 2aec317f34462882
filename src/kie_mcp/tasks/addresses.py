"""Distinguish public IP addresses from all others, so that no download reaches a machine of the user's own network."""

import ipaddress
import re

NAME = re.compile(r"([a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62}")
"""Matches an internet host name, such as `example.xn--p1ai`; its last part has to begin with a letter."""
LOCAL_ENDS = (".localhost", ".local", ".internal", ".home.arpa")
"""Ends of host names that are never public (RFC 6761, 6762 and 8375; `.internal` is reserved by ICANN)."""
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The public IPv6 addresses; all other IPv6 addresses are reserved, local or multicast, or hold an IPv4 address."""
SPECIAL_PURPOSE = tuple(
    map(
        ipaddress.ip_network,
        (
            # Blocks from IANA's special-purpose registries (RFC 6890). No web server has an address in these blocks,
            # but `ipaddress` calls the addresses global in some versions of Python.
            "192.0.0.0/24",  # protocol assignments
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays
            "192.175.48.0/24",  # AS112
            "2001::/23",  # protocol assignments: Teredo, ORCHID, AMT
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: holds an IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3ffe::/16",  # the former 6bone
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to a public host.

    An IPv6 address that only holds an IPv4 address (IPv4-mapped, NAT64, 6to4, Teredo) is never public, even if the IPv4
    address is public.

    Args:
        address: An IPv4 or IPv6 address, with or without a zone, such as `fe80::1%eth0`.

    Raises:
        ValueError: When the text is no IP address.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found not in GLOBAL_UNICAST:
        return False
    return found.is_global and not found.is_multicast and not any(found in block for block in SPECIAL_PURPOSE)


def is_public_name(host: str) -> bool:
    """Tell whether a host name may be public; `nas` and `printer.local` are names of a local network.

    Unusual spellings of an IP address, such as `10.0.0.1.` and `%31%30.0.0.1`, are not public names either.
    """
    name = host.removesuffix(".").lower()
    return bool(NAME.fullmatch(name)) and not name.endswith(LOCAL_ENDS)
