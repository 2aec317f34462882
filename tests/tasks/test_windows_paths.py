"""Paths as people on Windows write them, by Windows' own rules for paths; no Windows is needed for these."""

from pathlib import Path, PureWindowsPath

import pytest
from support.cases import for_each

from kie_mcp.catalog.reference_spellings import read_reference
from kie_mcp.setting_types import LIST_SEPARATOR
from kie_mcp.tasks.elsewhere import explain_elsewhere
from kie_mcp.tasks.spelled_paths import is_on_other_share, spell_paths

PICTURE = PureWindowsPath("C:/Users/Ann Lee/Pictures/fox.png")
SHARE = PureWindowsPath("//nas/media/fox.png")
HOME = PureWindowsPath("~/Pictures/fox.png")


@for_each(
    "written, meant",
    [
        (r"C:\Users\Ann Lee\Pictures\fox.png", PICTURE),
        (r"c:\users\ann lee\pictures\FOX.PNG", PICTURE),
        ("C:/Users/Ann Lee/Pictures/fox.png", PICTURE),
        (r"C:\Users/Ann Lee\Pictures/fox.png", PICTURE),
        (r'"C:\Users\Ann Lee\Pictures\fox.png"', PICTURE),
        (r"'C:\Users\Ann Lee\Pictures\fox.png'", PICTURE),
        (r"C:\\Users\\Ann Lee\\Pictures\\fox.png", PICTURE),
        ("file:///C:/Users/Ann%20Lee/Pictures/fox.png", PICTURE),
        ("file:///c%3A/Users/Ann%20Lee/Pictures/fox.png", PICTURE),
        ("file://C:/Users/Ann Lee/Pictures/fox.png", PICTURE),
        ("file:C:/Users/Ann Lee/Pictures/fox.png", PICTURE),
        (r"file:///C:\Users\Ann Lee\Pictures\fox.png", PICTURE),
        ("/C:/Users/Ann Lee/Pictures/fox.png", PICTURE),
        ("/c:/Users/Ann Lee/Pictures/fox.png", PICTURE),
        ("file:///C|/Users/Ann%20Lee/Pictures/fox.png", PICTURE),
        (r"[fox](C:\Users\Ann Lee\Pictures\fox.png)", PICTURE),
        (r"@C:\Users\Ann Lee\Pictures\fox.png", PICTURE),
        (r"%USERPROFILE%\Pictures\fox.png", HOME),
        (r"%userprofile%\Pictures\fox.png", HOME),
        (r"%HOMEDRIVE%%HOMEPATH%\Pictures\fox.png", HOME),
        (r"$env:USERPROFILE\Pictures\fox.png", HOME),
        (r"${env:USERPROFILE}\Pictures\fox.png", HOME),
        (r"$HOME\Pictures\fox.png", HOME),
        (r"~\Pictures\fox.png", HOME),
        (r"\\nas\media\fox.png", SHARE),
        (r'"\\nas\media\fox.png"', SHARE),
        ("//nas/media/fox.png", SHARE),
        ("file://nas/media/fox.png", SHARE),
        ("file:////nas/media/fox.png", SHARE),
        (r"\\?\C:\Users\Ann Lee\Pictures\fox.png", PureWindowsPath(r"\\?\C:\Users\Ann Lee\Pictures\fox.png")),
        (r"\\wsl.localhost\Debian\home\ann\fox.png", PureWindowsPath(r"\\wsl.localhost\Debian\home\ann\fox.png")),
    ],
)
def test_a_windows_path_means_what_windows_means_by_it(written: str, meant: PureWindowsPath) -> None:
    assert meant in [PureWindowsPath(path) for path in spell_paths(read_reference(written))]


@pytest.mark.parametrize("written", [str(PICTURE), PICTURE.as_posix(), str(SHARE), f"/{PICTURE.as_posix()}"])
def test_elsewhere_a_windows_path_is_told_to_be_one(written: str) -> None:
    assert "Windows" in explain_elsewhere(written)


@pytest.mark.parametrize("written", [str(PICTURE), "file:///C:/Users/Ann%20Lee/Pictures/fox.png", PICTURE.as_posix()])
def test_in_the_subsystem_for_linux_a_drive_is_below_mnt(written: str) -> None:
    assert Path("/mnt/c/Users/Ann Lee/Pictures/fox.png") in [Path(path) for path in spell_paths(written)]


@pytest.mark.parametrize(
    ("path", "is_other"),
    [
        (r"\\evil.example\share\fox.png", True),
        ("//evil.example/share/fox.png", True),
        (r"\\NAS\Media\fox.png", False),
        (r"C:\Users\Ann Lee\fox.png", False),
    ],
)
def test_a_share_without_an_allowed_folder_is_never_looked_at(path: str, *, is_other: bool) -> None:
    folders = [PureWindowsPath("C:/Users/Ann Lee"), PureWindowsPath("//nas/media/films")]
    assert is_on_other_share(PureWindowsPath(path), folders) == is_other


def test_a_list_of_folders_is_not_cut_inside_a_variable() -> None:
    """Windows separates with a semicolon, so a drive's colon is safe there; elsewhere, a variable's is."""
    assert LIST_SEPARATOR.split("${env:HOME}/a:/b") == ["${env:HOME}/a", "/b"]
