"""`kie-mcp library`, as a process of its own."""

import stat
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from support.commands import serve_command

from kie_mcp.library_page.serving import OPENER


def read(address: str, place: str) -> tuple[int, bytes]:
    """Return what the server at the address that the command printed answers to the holder of the token in it."""
    parts = urlsplit(address)
    request = Request(f"http://{parts.netloc}{place}", headers={"Authorization": f"Bearer {parts.fragment}"})
    with urlopen(request, timeout=20) as response:
        return response.status, response.read()


def wait_for(place: Path) -> str:
    """Return what a program writes into a file, when it has."""
    for _ in range(200):
        if place.exists() and (text := place.read_text(encoding="utf-8")):
            return text
        time.sleep(0.05)
    raise AssertionError(place)


def test_the_library_needs_no_key_and_opens_in_the_browser_without_showing_its_token(tmp_path: Path) -> None:
    told, browser = tmp_path / "told", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" >"{told}"\n', encoding="utf-8")
    browser.chmod(0o700)
    data = tmp_path / "data"
    with serve_command("library", "--open", BROWSER=f"{browser} %s", KIE_MCP_DATA_DIR=str(data)) as address:
        assert read(address, "/library")[0] == 200
        assert read(address, "/library/api/items") == (200, b'{"items":[]}')
        opener = data / OPENER
        assert wait_for(told) == opener.as_uri()
        assert address in opener.read_text(encoding="utf-8")
        assert stat.S_IMODE(opener.stat().st_mode) == 0o600
    assert not opener.exists()


def test_without_open_only_the_address_is_told(tmp_path: Path) -> None:
    with serve_command("library", "--port", "0", BROWSER="false", KIE_MCP_DATA_DIR=str(tmp_path)) as address:
        assert read(address, "/library/api/months")[0] == 200
        assert not (tmp_path / OPENER).exists()
