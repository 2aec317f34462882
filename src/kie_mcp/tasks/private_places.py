"""Private places: folders that are too large or too personal, so they are allowed only if the operator names them."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_HIDDEN_FLAGS = stat.FILE_ATTRIBUTE_HIDDEN, stat.UF_HIDDEN
"""The file attributes that mark hidden files and folders on Windows (such as AppData) and macOS (such as Library)."""


def find_fault(folder: Path) -> str:
    """Return why a folder is a private place, such as `is the home folder`; empty if the folder is not private.

    Args:
        folder: An absolute path without links.
    """
    if folder == Path(folder.anchor):
        return "is the whole disk"
    homes = _find_homes()
    if any(_is_same(folder, home) for home in homes):
        return "is the home folder"
    if any(_is_same(folder, parent) for home in homes for parent in home.parents):
        return "has the home folder in it"
    above = next((home for home in homes if folder.is_relative_to(home)), Path(folder.anchor))
    hidden = find_hidden(folder, above)
    return f"is hidden ({hidden})" if hidden else ""


def find_hidden(place: Path, above: Path) -> str:
    """Return the name of the first hidden folder or file on the path from `above` to `place`; empty if there is none.

    Args:
        place: An absolute path without links.
        above: A parent folder of the place, at any level; this folder itself may be hidden.
    """
    for number, name in enumerate(parts := place.relative_to(above).parts, start=1):
        if name.startswith(".") or name.casefold() == "appdata" or _is_marked(above.joinpath(*parts[:number])):
            return name
    return ""


def may_be_read(place: Path, folders: Iterable[Path]) -> bool:
    """Return whether a place is in one of the folders and is not hidden there; the place need not exist.

    Args:
        place: An absolute path without links.
        folders: The allowed folders, as absolute paths without links.
    """
    return any(place.is_relative_to(folder) and not find_hidden(place, folder) for folder in folders)


def _find_homes() -> list[Path]:
    """Return the user's home folders, one from the environment and one from the system's list of users."""
    return list(dict.fromkeys(_list_homes()))


def _list_homes() -> Iterator[Path]:
    with suppress(OSError, RuntimeError):
        yield Path.home().resolve()
    if sys.platform != "win32":
        import pwd

        with suppress(OSError, KeyError):
            yield Path(pwd.getpwuid(os.getuid()).pw_dir).resolve()


def _is_same(one: Path, other: Path) -> bool:
    # Some file systems ignore the case of letters, so two spellings may name the same folder.
    with suppress(OSError):
        return one == other or one.samefile(other)
    return False


def _is_marked(place: Path) -> bool:
    """Return whether the system marks a folder or file as hidden; on macOS, the mark is used only in home folders."""
    with suppress(OSError):
        status = place.lstat()
        windows, macos = _HIDDEN_FLAGS
        if getattr(status, "st_file_attributes", 0) & windows:
            return True
        # macOS marks even the folder of temporary files as hidden, although this folder is not private. So the mark of
        # macOS is used only in home folders.
        return bool(getattr(status, "st_flags", 0) & macos) and any(map(place.is_relative_to, _find_homes()))
    return False
