"""A file that is only named: it is taken from the allowed folders if exactly one has it, and the answer says which."""

from pathlib import Path

import pytest
from mcp import Client
from support.answers import answer, text
from support.encoded_media import heic
from support.media_files import picture

from kie_mcp.errors import InvalidCall
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.allowed_folders import AllowedFolders

pytestmark = pytest.mark.anyio

PICTURE = picture(64, 48)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that is not read itself, with Downloads and Pictures; the working folder is another one."""
    for name in ("Downloads", "Pictures", "work", "Downloads/.hidden", "Downloads/deeper", "Outside"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def folders(home: Path) -> AllowedFolders:
    return AllowedFolders([home / "Downloads", home / "Pictures"])


def find(folders: AllowedFolders, written: str) -> str:
    with folders.open(written) as content:
        return content.found_at


@pytest.mark.parametrize(
    "written",
    [
        *("My photo.jpg", "'My photo.jpg'", "My\\ photo.jpg", "my\u00a0photo.JPG"),
        *("@My%20photo.jpg", "file:My photo.jpg"),
    ],
)
def test_the_only_file_with_a_name_is_taken(home: Path, folders: AllowedFolders, written: str) -> None:
    (home / "Pictures" / "My photo.jpg").write_bytes(PICTURE)
    assert find(folders, written) == str(home / "Pictures" / "My photo.jpg")


def test_a_file_of_the_working_folder_comes_first_and_needs_no_word(home: Path) -> None:
    for place in ("Pictures", "work"):
        (home / place / "a.png").write_bytes(PICTURE)
    assert find(AllowedFolders([home / "Pictures", home / "work"]), "a.png") == ""


def test_the_exact_name_comes_before_a_similar_one(home: Path, folders: AllowedFolders) -> None:
    (home / "Pictures" / "Fox.png").write_bytes(PICTURE)
    (home / "Downloads" / "fox.png").write_bytes(PICTURE)
    assert find(folders, "Fox.png") == str(home / "Pictures" / "Fox.png")


@pytest.mark.parametrize("written", ["a.png", "A.PNG"])
def test_of_several_the_caller_has_to_name_one(home: Path, folders: AllowedFolders, written: str) -> None:
    for place in ("Pictures", "Downloads"):
        (home / place / "a.png").write_bytes(PICTURE)
    with pytest.raises(InvalidCall) as refused:
        find(folders, written)
    assert refused.value.message == f"There are several files {written}."
    assert all(str(home / place / "a.png") in refused.value.next_step for place in ("Pictures", "Downloads"))


def test_one_file_in_two_allowed_folders_is_one_file(home: Path) -> None:
    (home / "Pictures" / "a.png").write_bytes(PICTURE)
    (home / "Downloads" / "a.png").symlink_to(home / "Pictures" / "a.png")
    assert find(AllowedFolders([home / "Downloads", home / "Pictures"]), "a.png")


@pytest.mark.parametrize(
    "place", ["Downloads/.hidden/a.png", "Downloads/.a.png", "Outside/a.png", "Downloads/deeper/a.png"]
)
def test_hidden_files_and_files_elsewhere_are_neither_taken_nor_named(
    home: Path, folders: AllowedFolders, place: str
) -> None:
    (home / place).write_bytes(PICTURE)
    with pytest.raises(InvalidCall) as refused:
        find(folders, Path(place).name)
    assert str(home / place) not in str(refused.value) + refused.value.next_step


def test_a_link_out_of_the_allowed_folders_is_not_followed(home: Path, folders: AllowedFolders) -> None:
    (home / "Outside" / "a.png").write_bytes(PICTURE)
    (home / "Downloads" / "a.png").symlink_to(home / "Outside" / "a.png")
    with pytest.raises(InvalidCall):
        find(folders, "a.png")


@pytest.mark.parametrize("written", ["./a.png", "work/a.png", "../a.png", "Pictures/a.png", ".", "..", ""])
def test_a_path_with_a_folder_is_no_bare_name(home: Path, folders: AllowedFolders, written: str) -> None:
    (home / "Pictures" / "a.png").write_bytes(PICTURE)
    with pytest.raises(InvalidCall):
        find(folders, written)


async def test_the_answer_says_which_file_was_taken(
    client: Client, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "IMG_1.HEIC").write_bytes(heic())
    result = await client.call_tool("nano_banana_image", {"prompt": "a hat", "images": ["img_1.heic"]})
    taken = f"taken from {tmp_path / 'IMG_1.HEIC'}"
    assert answer(result)["note"].startswith(f"img_1.heic: {taken}; HEIC made a JPEG")
    upload = answer(await client.call_tool("upload_file", {"path": "IMG_1.HEIC"}))
    assert upload["note"].startswith(taken)
    again = await client.call_tool("nano_banana_image", {"prompt": "a hat", "images": ["IMG_2.HEIC"]})
    assert again.is_error
    assert str(tmp_path / "IMG_1.HEIC") in text(again)
    assert len(sandbox.accepted) == 1
