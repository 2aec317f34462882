"""`kie-mcp library`, as a process of its own."""

import json
import stat
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import anyio.to_thread
import pytest
from mcp import Client
from support.answers import answer
from support.commands import serve_command

from kie_mcp import disk
from kie_mcp.config import Settings
from kie_mcp.library_page.changes import PAGE_HEADER
from kie_mcp.library_page.serving import OPENER, delete_opener


def read(address: str, place: str) -> tuple[int, bytes]:
    """Return what the server at the address that the command printed answers to the holder of the token in it."""
    parts = urlsplit(address)
    request = Request(f"http://{parts.netloc}{place}", headers={"Authorization": f"Bearer {parts.fragment}"})
    with urlopen(request, timeout=60) as response:
        return response.status, response.read()


def wait_for(place: Path) -> str:
    """Return what a program writes into a file, when it has."""
    for _ in range(1200):
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


def test_the_end_of_one_library_leaves_the_file_that_opens_another(tmp_path: Path) -> None:
    opener = tmp_path / OPENER
    opener.write_text("http://127.0.0.1:1/library#later", encoding="utf-8")
    delete_opener(opener, "earlier")
    assert opener.exists()
    for _ in range(2):
        delete_opener(opener, "later")
        assert not opener.exists()


def change(address: str, place: str) -> tuple[int, str]:
    """Return the status and the answer of a change, asked for with the token of an address."""
    parts = urlsplit(address)
    headers = {"Authorization": f"Bearer {parts.fragment}", PAGE_HEADER: "library"}
    request = Request(f"http://{parts.netloc}{place}", data=b"{}", headers=headers, method="POST")
    try:
        with urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def is_there(path: Path) -> bool:
    """Return whether a file is there."""
    return path.exists()


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="the folder of the trash is set as Linux does it")
@pytest.mark.parametrize("has_trash", [True, False])
async def test_what_is_deleted_goes_to_the_trash_and_stays_where_there_is_none(
    tmp_path: Path, settings: Settings, client: Client, has_trash: bool
) -> None:
    made = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
    path, id_ = Path(made["media"][0]["path"]), made["task_id"]
    beside = path.with_name(f"{path.name}.json")
    assert is_there(beside)
    share = tmp_path / "share"
    if not has_trash:
        disk.replace_file(share, b"no folder")
    places = {"KIE_MCP_DATA_DIR": str(settings.data_dir), "XDG_DATA_HOME": str(share), "KIE_MCP_SANDBOX": "1"}
    # Files of another disk than that of the home folder would go to a trash of that disk.
    places["HOME"] = str(tmp_path)
    with serve_command("library", "--port", "0", **places) as address:
        place = f"/library/api/tasks/{id_}/trash"
        async with anyio.create_task_group() as group:
            # The user may click twice.
            group.start_soon(anyio.to_thread.run_sync, change, address, place)
            code, told = await anyio.to_thread.run_sync(change, address, place)
        shown = (await anyio.to_thread.run_sync(read, address, "/library/api/items"))[1]
        hidden = (await anyio.to_thread.run_sync(read, address, "/library/api/items?only=trashed"))[1]
    if has_trash:
        assert (code, json.loads(told)["trashed"]) == (200, True)
        assert is_there(share / "Trash" / "files" / path.name)
        assert is_there(share / "Trash" / "files" / beside.name)
        assert not is_there(path)
        assert id_.encode() not in shown
        assert id_.encode() in hidden
    else:
        assert code == 400
        assert "cannot be moved to the trash" in told
        assert is_there(path)
        assert is_there(beside)
        assert id_.encode() in shown
    # The row stays, with what it cost.
    assert answer(await client.call_tool("get_task", {"task_ids": id_}))["credits"] == made["credits"]
