"""The path filter: callers on other machines get no paths of the server's machine, and everything else as it is."""

import time
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.config import Settings
from kie_mcp.server.app import App
from kie_mcp.server.path_filter import Folders, PathFilter
from kie_mcp.tasks.storage import LONGEST_MODEL
from kie_mcp.tasks.upload_command import build_upload_command


@pytest.fixture
def image(settings: Settings) -> PathFilter:
    """The filter of a server whose folders have short names, such as those of the Docker image."""
    folders = {"output_dir": Path("/media"), "data_dir": Path("/data")}
    return PathFilter(App(settings.model_copy(update=folders), local_files=False))


@for_each(
    "value",
    [
        {"resource": "kie://tasks/t_1234567890ab/media/1"},
        {"uriTemplate": "kie://tasks/{id}/media/{n}"},
        "1. 1024 × 1024, PNG\nkie://tasks/t_1234567890ab/media/1",
        {"url": "http://media.localhost:7070/media/2026-09-30-fox-t_1234567890ab-1.png?X-Amz-Signature=1"},
        {"url": "https://tempfile.aiquickdraw.com/data/abc.png?path=/tmp/abc.png"},
        {"download": "/library/files/t_1234567890ab/1?download=1"},
        {"prompt": "A poster that says: ls /tmp /media"},
        {"previews": {"1": "data:image/jpeg;base64,/9j+/media+/tmp/"}},
        {"texts": ["The way\n  path: of gold\nends here."]},
        "/mnt/media is not the output folder, nor are ~/media, ./media, /media2 and /media.old.",
    ],
)
def test_urls_prompts_and_longer_paths_stay_as_they_are(image: PathFilter, value: Any) -> None:
    assert image.hide(value) == value


@for_each(
    "told, shown",
    [
        ("/media/2026-09-30-fox-t_1234567890ab-1.png", "kie://tasks/t_1234567890ab/media/1"),
        (f"/old/2026-09-30-{'x' * LONGEST_MODEL}-t_12-3-2.png", "kie://tasks/t_12/media/3"),
        (
            "1. /the data/2026-09-30-a-t_1-1.png, /b/2026-09-30-a-t_1-2.png",
            "1. kie://tasks/t_1/media/1, kie://tasks/t_1/media/2",
        ),
        (r"and /or C:\Users\ann\2026-09-30-a-t_1-1.png", "and /or kie://tasks/t_1/media/1"),
        (
            "see /docs or https://host/2026-09-30-a-t_1-1.png?X=1",
            "see /docs or https://host/2026-09-30-a-t_1-1.png?X=1",
        ),
        ("data:/media/fox.png", "data:…/fox.png"),
        ("data:image/png;base64,iVBO… is not in /media.", "data:image/png;base64,iVBO… is not in …."),
        ("/media/fox.png is gone.", "…/fox.png is gone."),
        ("There is no room in /media.", "There is no room in …."),
        ("KIE_MCP_OUTPUT_DIR=/media, '/data/ledger.db' (/data)", "KIE_MCP_OUTPUT_DIR=…, '…/ledger.db' (…)"),
        ("https://host/media/1,/media/fox.png", "https://host/media/1,…/fox.png"),
        ("file:///media/fox.png", "file://…/fox.png"),
        ("file://localhost/media/fox.png", "file://localhost…/fox.png"),
        ("file:/media/fox.png", "file:…/fox.png"),
        ("//media/fox.png", "/…/fox.png"),
    ],
)
def test_paths_are_hidden_also_in_file_urls(image: PathFilter, told: str, shown: str) -> None:
    assert image.hide({"message": told}) == {"message": shown}


@for_each(
    "path",
    [
        "/media/fox.png",
        "/media/my fox.png",
        "/media/it's (1).png",
        "file:///data/fox.png",
        "/data/2026-09-30-a-t_1-1.png",
    ],
)
def test_the_command_for_a_file_of_the_caller_keeps_its_path(image: PathFilter, path: str) -> None:
    command = build_upload_command(path, "")
    assert "media/" in command or "data/" in command
    shown = image.hide(f"/media is full. Send it: {command} and pass the `resource`; see /data/fox.png, {command}.")
    assert shown == f"… is full. Send it: {command} and pass the `resource`; see …/fox.png, {command}."


def test_half_a_character_in_a_resource_stays_an_escape(image: PathFilter) -> None:
    resource = {"mimeType": "application/json", "text": r'{"tasks": [{"prompt": "\ud83d"}]}'}
    assert image.hide(resource) == resource


def test_all_folders_that_files_are_read_from_are_hidden(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: tmp_path / name for name in ("working", "data", "read", "real")}
    for each in folders.values():
        each.mkdir()
    (tmp_path / "link").symlink_to(folders["real"])
    folders |= {"link": tmp_path / "link", "relative": folders["working"] / "out"}
    monkeypatch.chdir(folders["working"])
    chosen = {"data_dir": folders["data"], "output_dir": Path("out"), "read_dirs": (folders["read"], folders["link"])}
    paths = PathFilter(App(settings.model_copy(update=chosen), local_files=False))
    for each in (*folders.values(), *paths.app.settings.found_dirs.values()):
        assert paths.hide(f"{each.absolute()}/fox.png") == "…/fox.png"
    assert paths.hide("Look out!") == "Look out!"


@for_each(
    "told",
    [
        r"C:\Users\Ann\cat.png",
        "C:/Users/Ann/cat.png",
        "file:///C:/Users/Ann/cat.png",
        '{"image": "C:\\\\Users\\\\Ann\\\\cat.png"}',
        r"No such file: 'C:\\Users\\Ann\\cat.png'",
    ],
)
def test_a_path_of_windows_is_found_however_it_is_written(told: str) -> None:
    folders = Folders.compile([PureWindowsPath(r"C:\Users\Ann")])
    assert folders.needed.search(told)
    assert "Ann" not in folders.pattern.sub("…", told)
    assert not folders.pattern.search(r"D:\C:\Users\Anna")


@for_each(
    "part",
    ["/ ", " either/or", " /2026-01-01-", "2026-01-01-", " /a/2026-01-01-x-t_a-1", ' /"', " /:", "https://", "file:"],
)
def test_a_long_text_is_searched_in_a_time_that_grows_with_its_length_only(image: PathFilter, part: str) -> None:
    started = time.process_time()
    image.hide({"message": f" /media/{part * 20_000}"})
    assert time.process_time() - started < 3
