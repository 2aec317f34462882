"""Find the file that a written path means, even if people or clients spell it differently; suggest similar files.

Only files and folders that may be read are found and suggested. So a caller cannot learn which other files exist.
"""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path, PurePath
from urllib.parse import unquote

from kie_mcp.catalog.reference_spellings import INVISIBLE, unwrap
from kie_mcp.errors import InvalidCall
from kie_mcp.tasks.elsewhere import explain_elsewhere
from kie_mcp.tasks.media_inputs import abbreviate
from kie_mcp.tasks.private_places import find_hidden, may_be_read

MAX_SUGGESTIONS = 3
MAX_COMPARED = 2000
"""Maximum number of names in a folder that are compared with a misspelt name, because each comparison is slow."""

_FILE_URL = re.compile(
    r"file:(?://(?:localhost|127\.0\.0\.1|\[::1\])?(?=[/\\~.]|[a-z][:|]))?(?P<path>.+)", re.IGNORECASE
)
_DRIVE = re.compile(r"/?(?P<drive>[a-z])[:|][\\/](?P<rest>.*)", re.IGNORECASE)
_WITHOUT_SCHEME = re.compile(
    r"(www\.)?[\w-]+(\.[\w-]+)*\.(com|org|net|io|ai|app|dev|co|de|uk|eu|example)/\S+", re.IGNORECASE
)
_HOME = re.compile(
    r"(\$(env:)?(HOME|USERPROFILE)|\$\{(env:)?(HOME|USERPROFILE)\}|%USERPROFILE%|(%HOMEDRIVE%)?%HOMEPATH%|%HOME%)"
    r"(?=[\\/])",
    re.IGNORECASE,
)
_SHELL_ESCAPE = re.compile(r"\\([^\w\\]|\\)")
"""Matches an escaped blank or bracket such as `\\ `. Terminals write such escapes when a file is dragged into them."""
_ALIKE = str.maketrans(
    {**dict.fromkeys("‘’‚‛′`´", "'"), **dict.fromkeys("“”„‟″", '"'), **dict.fromkeys("‐‑‒–—―−", "-"), "…": "..."}
)
_INVISIBLE = re.compile(f"[{INVISIBLE}\ufe0e\ufe0f]")


def find_spelled_path(text: str, folders: Sequence[Path]) -> Path | None:
    """Return the readable file or folder that `text` means, even if the spelling differs; None if there is none.

    The path exactly as written is tried first, then the path without quotes, escapes and the like. If neither exists,
    differences in blanks, quotes and Unicode's normal form are ignored, and finally differences in letter case.

    Args:
        text: A path or a `file:` URL as people and clients write it, for example in quotes.
        folders: The allowed folders, without symbolic links.

    Raises:
        InvalidCall: Several files fit.
    """
    spellings = _spell_absolute(text, folders)
    for path in spellings:
        if _is_there(path, folders):
            return path
    for path in spellings:
        alike = [each for each in _find_alike(path, folders) if _is_there(each, folders)]
        if len(alike) > 1:
            raise InvalidCall(f"{abbreviate(text)} fits several files.", f"Give one of them: {_list(alike)}.")
        if alike:
            return alike[0]
    return None


def find_named_file(text: str, folders: Sequence[Path]) -> Path | None:
    """Return the file with this name that is directly in one of the allowed folders; None if there is no such file.

    A file with exactly this name is preferred. Otherwise, the same differences as in `find_spelled_path()` are ignored.

    Args:
        text: A file's name without a folder, as people and clients write it, for example in quotes.
        folders: The allowed folders, without symbolic links.

    Raises:
        InvalidCall: Several folders have such a file.
    """
    names = [name for name in spell_paths(text) if _is_bare_name(name)]
    exact = [[folder / name for folder in folders] for name in names]
    alike = [[each for folder in folders for each in _find_children(folder, name, folders)] for name in names]
    for paths in (*exact, *alike):
        found = {path.resolve(): path for path in paths if _is_there(path, folders) and path.is_file()}
        if len(found) > 1:
            places = _list(list(found.values()))
            raise InvalidCall(f"There are several files {abbreviate(text)}.", f"Give one of them: {places}.")
        if found:
            return next(iter(found.values()))
    return None


def locate_spelled_path(text: str) -> Path | None:
    """Return the place to which an absolute path leads, even if no file is there; None if the text is no absolute path.

    Args:
        text: The path as it is written.

    Returns:
        An absolute path in which each existing symbolic link is replaced by its target.
    """
    absolute = [path for written in spell_paths(text) if (path := _expand(written)).is_absolute()]
    with suppress(OSError, ValueError):
        # `Path.resolve()` is not used: for a loop of symbolic links, it raises an error, which would reveal that the
        # links exist.
        if absolute and is_on_other_share(absolute[-1]):
            return absolute[-1]
        return Path(os.path.realpath(absolute[-1])) if absolute else None
    return None


def refuse_unknown_path(text: str, folders: Sequence[Path]) -> InvalidCall:
    """Return the error for a path at which there is no file that this server may read.

    It lists the folders from which files may be read, and files with similar names. A file outside these folders gets
    the same error as a missing one, so the error does not reveal whether it exists.

    Args:
        text: The path as it is written.
        folders: The allowed folders, without symbolic links.
    """
    similar = _find_similar(text, folders)
    where = find_elsewhere(text, folders)
    message = f"There is no file {abbreviate(text)} that this server may read{f': {where}' if where else ''}."
    if similar:
        return InvalidCall(message, f"Give the full path of a file that is there. Similar: {_list(similar)}.")
    if where:
        return InvalidCall(
            message,
            "Ask for the file to be saved to Downloads or Pictures on this server's computer and give its path there; "
            "or give a URL that anybody can open, or a small file as a data URI.",
        )
    if _WITHOUT_SCHEME.fullmatch(text.strip()):
        return InvalidCall(message, "If it is a URL, write https:// before it.")
    return InvalidCall(
        message,
        "Give a full path, a URL, a data URI, or task:<id>#<n>. A file that is only in the chat has to be saved to a "
        "folder of this server's computer first.",
    )


def find_elsewhere(text: str, folders: Sequence[Path]) -> str:
    """Explain why this server cannot open a path, such as "it lies in a container"; return "" if there is no hint.

    Args:
        text: The path as it is written.
        folders: The allowed folders. This server can open them, so an explanation that would also fit one of them is
            wrong; "" is then returned.
    """
    where = next(filter(None, map(explain_elsewhere, (*unwrap(text), *spell_paths(text)))), "")
    return "" if where in map(explain_elsewhere, map(str, folders)) else where


def spell_paths(text: str) -> Iterator[str]:
    """Generate the paths that a text may mean; the path that is nearest to the written text comes first."""
    for each in unwrap(text):
        if found := _FILE_URL.fullmatch(each):
            # Most clients percent-encode the path of a `file:` URL, but some clients do not. So both are tried.
            paths = [unquote(found["path"]), found["path"]]
            if re.match(r"file://\w", each, re.IGNORECASE):
                # In a URL such as `file://a/b`, either a slash is missing, or the path is relative. So an absolute and
                # a relative path are tried.
                paths += [f"/{path.removeprefix('//')}" for path in paths] + [path.removeprefix("//") for path in paths]
        else:
            paths = [each, _SHELL_ESCAPE.sub(r"\1", each), unquote(each)]
        for path in dict.fromkeys(paths):
            yield _HOME.sub("~", path)
            if drive := _DRIVE.fullmatch(path):
                rest = drive["rest"].replace("\\", "/")
                yield f"{drive['drive']}:/{rest}"
                # In the Windows Subsystem for Linux, the Windows drives are folders in `/mnt`.
                yield f"/mnt/{drive['drive'].lower()}/{rest}"


def fold_name(name: str) -> str:
    """Normalise a file name: blanks, quotes, dashes and accents that look alike become the same characters."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", name.translate(_ALIKE)))
    return " ".join(plain.translate(_ALIKE).split())


def _is_bare_name(written: str) -> bool:
    return "/" not in written and not _expand(written).is_absolute() and written not in ("", ".", "..")


def _spell_absolute(text: str, folders: Sequence[Path]) -> list[Path]:
    paths = [path for written in spell_paths(text) if (path := _make_absolute(written))]
    return [path for path in paths if not is_on_other_share(path, folders)]


def is_on_other_share(path: PurePath, folders: Sequence[PurePath] = ()) -> bool:
    """Return whether a path is on a network share of Windows, and no allowed folder is on this share.

    Such a path is never looked at: Windows would log in at the machine that the caller names, with the user's account.
    """
    return path.drive.startswith(r"\\") and path.drive.casefold() not in [each.drive.casefold() for each in folders]


def _make_absolute(written: str) -> Path | None:
    # The path cannot be made absolute if the text is too long or has impossible characters. Then no file has this path,
    # so it is no error.
    with suppress(OSError, RuntimeError, ValueError):
        path = _expand(written)
        # `Path.cwd()` is called only for a relative path, because it fails if the working folder was deleted.
        return path if path.is_absolute() else Path.cwd() / path
    return None


def _expand(written: str) -> Path:
    # `Path.expanduser()` is not used: it raises an error for the file name `~x.png`, and treats `./~x` like `~x`.
    return Path(os.path.expanduser(written))  # noqa: PTH111


def _is_there(path: Path, folders: Sequence[Path]) -> bool:
    """Return whether a path leads to an existing file or folder that may be read."""
    return _may_be_read(path, folders) and _exists(path)


def _exists(path: Path) -> bool:
    with suppress(OSError, RuntimeError, ValueError):
        return path.exists()
    return False


def _find_alike(path: Path, folders: Sequence[Path]) -> list[Path]:
    """Return the existing paths that equal `path`, except for letter case and for characters that look alike."""
    found = [Path(path.anchor)]
    for name in path.parts[1:]:
        found = [child for parent in found for child in _find_children(parent, name, folders)]
    return list(filter(_exists, found))


def _find_children(parent: Path, name: str, folders: Sequence[Path]) -> list[Path]:
    if _exists(parent / name):
        return [parent / name]
    wanted = fold_name(name)
    alike = [each for each in _list_names(parent, folders) if fold_name(each).casefold() == wanted.casefold()]
    in_same_case = [each for each in alike if fold_name(each) == wanted]
    return [parent / each for each in in_same_case or alike]


def _list_names(folder: Path, folders: Sequence[Path]) -> list[str]:
    """Return the names in a folder that a caller may know, sorted.

    If the folder may be read, these are all names that are not hidden. Otherwise, these are only the names of the
    subfolders that contain (or are) allowed folders.
    """
    names: set[str] = set()
    with suppress(OSError, RuntimeError, ValueError):
        place = folder.resolve()
        names |= {each.relative_to(place).parts[0] for each in folders if place in each.parents}
        if may_be_read(place, folders):
            names |= {each.name for each in place.iterdir() if not find_hidden(each, place)}
    return sorted(names)


def _may_be_read(path: Path, folders: Sequence[Path]) -> bool:
    """Return whether a path leads to a file or folder that may be read; False if the path cannot be resolved."""
    with suppress(OSError, RuntimeError, ValueError):
        return may_be_read(path.resolve(), folders)
    return False


def _find_similar(text: str, folders: Sequence[Path]) -> list[Path]:
    """Return files with similar names in the path's folder; if `text` names no folder, also in all allowed folders."""
    paths = _spell_absolute(text, folders)
    if not paths:
        return []
    wanted = paths[-1].name
    parents = _find_alike(paths[-1].parent, folders)
    if not re.search(r"[\\/]", text):
        parents += [folder for folder in folders if folder not in parents]
    allowed = [each for each in parents if _may_be_read(each, folders)]
    return [each for folder in dict.fromkeys(allowed) for each in _find_similar_files(wanted, folder, folders)]


def _find_similar_files(wanted: str, folder: Path, folders: Sequence[Path]) -> list[Path]:
    """Return the files in a folder with the same stem as `wanted`; if there are none, the files with similar names."""
    by_fold = {fold_name(name).casefold(): name for name in _list_names(folder, folders)}
    stem = Path(fold_name(wanted).casefold()).stem
    same = [name for folded, name in by_fold.items() if Path(folded).stem == stem]
    near = get_close_matches(
        fold_name(wanted).casefold(), list(islice(by_fold, MAX_COMPARED)), MAX_SUGGESTIONS, cutoff=0.85
    )
    paths = [folder / name for name in (same or [by_fold[each] for each in near])]
    return [path for path in paths if _is_there(path, folders) and path.is_file()]


def _list(paths: Sequence[Path]) -> str:
    named = ", ".join(str(path) for path in paths[:MAX_SUGGESTIONS])
    return named if len(paths) <= MAX_SUGGESTIONS else f"{named} and {len(paths) - MAX_SUGGESTIONS} more"
