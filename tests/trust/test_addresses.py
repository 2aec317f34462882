"""Which addresses count as public, whatever the version of Python thinks of them."""

import pytest

from kie_mcp.tasks.addresses import is_public, is_public_name

NOT_PUBLIC = {
    "this network": "0.0.0.0 0.1.2.3",
    "private": "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1",
    "carrier-grade NAT": "100.64.0.1 100.127.255.254",
    "loopback": "127.0.0.1 127.1.2.3 127.255.255.254",
    "link-local, and the clouds' metadata": "169.254.0.1 169.254.169.254",
    "protocol assignments": "192.0.0.1 192.0.0.8 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.192",
    "documentation": "192.0.2.1 198.51.100.1 203.0.113.1",
    "AS112 and AMT": "192.31.196.1 192.52.193.1 192.175.48.1",
    "6to4 relays": "192.88.99.1 192.88.99.2",
    "benchmarks": "198.18.0.1 198.19.255.255",
    "multicast": "224.0.0.1 224.0.0.251 232.1.1.1 233.252.0.1 239.255.255.250",
    "reserved, broadcast": "240.0.0.1 250.1.1.1 255.255.255.255",
    "unspecified, loopback": ":: ::1",
    "IPv4-compatible": "::127.0.0.1 ::10.0.0.1 ::8.8.8.8",
    "IPv4-mapped": "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8",
    "IPv4-translated": "::ffff:0:127.0.0.1",
    "NAT64": "64:ff9b::8.8.8.8 64:ff9b::10.0.0.1 64:ff9b::127.0.0.1",
    "NAT64 of one's own": "64:ff9b:1::1 64:ff9b:1::10.0.0.1 64:ff9b:1:ffff::1",
    "discard, dummy": "100::1 100:0:0:1::1",
    "reserved": "200::1 400::1 1000::1 4000::1 5f00::1 8000::1 e000::1",
    "Teredo": "2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "protocol assignments of IPv6": "2001:1::1 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1 2001:20::1 2001:30::1",
    "documentation of IPv6": "2001:db8::1 3fff::1 3fff:fff::1",
    "6to4": "2002:7f00:1::1 2002:a00:1::1 2002:808:808::1",
    "AS112, 6bone": "2620:4f:8000::1 3ffe::1",
    "unique local": "fc00::1 fd00::1 fd00:ec2::254",
    "link-local": "fe80::1 fe80::1%eth0 febf::1",
    "site-local": "fec0::1 feff::1",
    "multicast of IPv6": "ff02::1 ff05::2 ff0e::1",
}
PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "104.16.1.1", "172.15.0.1", "172.32.0.1"),
    *("192.0.1.1", "192.88.98.1", "198.17.1.1", "198.20.0.1", "223.255.255.254"),
    *("2001:200::1", "2001:4860:4860::8888", "2606:4700::6810:101", "2a00:1450:4001::1", "2003::1", "2400:cb00::1"),
)
ADDRESSES = [address for block in NOT_PUBLIC.values() for address in block.split()]


def test_the_table_holds_the_addresses_of_every_special_block() -> None:
    assert len(set(ADDRESSES)) == len(ADDRESSES) >= 69


def test_an_address_that_is_not_of_a_public_host_is_not_public() -> None:
    assert [address for address in ADDRESSES if is_public(address)] == []


def test_an_address_of_a_public_host_is_public() -> None:
    assert [address for address in PUBLIC if not is_public(address)] == []


@pytest.mark.parametrize("text", ["", "127.1", "2130706433", "example.com", "0x7f.1"])
def test_a_text_that_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        is_public(text)


NO_NAMES = (
    *("localhost", "LOCALHOST.", "a.localhost", "nas", "nas.local", "metadata.google.internal", "router.home.arpa"),
    *("10.0.0.1.", "10.0.0.1..", "%31%30.0.0.1", "1.2.3.4.5", "0x7f.1.1.0x1", "a..example", ".example", "", "."),
    *(
        "a b.example",
        "a@b.example",
        "a.example:80",
        "[::1]",
        "10.0.0.1\0.example",
        "a.example\n",
        f"{'a' * 64}.example",
    ),
)
NAMES = (
    *("example.com", "example.com.", "localhost.example.com", "thermal.com", "mylocal.com", "a_b.co"),
    *("xn--tda.example", "1.example", "a.xn--p1ai", "tempfile.aiquickdraw.com"),
)


def test_what_is_no_name_of_the_internet_is_no_public_name() -> None:
    assert [name for name in NO_NAMES if is_public_name(name)] == []


def test_a_name_of_the_internet_is_a_public_name() -> None:
    assert [name for name in NAMES if not is_public_name(name)] == []
