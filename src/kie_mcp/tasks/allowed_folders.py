"""Allowed folders: tool calls may read and upload local files only from folders that the operator chose."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from kie_mcp import disk
from kie_mcp.catalog.reference_spellings import unwrap
from kie_mcp.errors import InvalidCall
from kie_mcp.media.content import Content
from kie_mcp.tasks.media_inputs import abbreviate, identify_file
from kie_mcp.tasks.private_places import find_fault, find_hidden, may_be_read
from kie_mcp.tasks.spelled_paths import (
    find_elsewhere,
    find_named_file,
    find_spelled_path,
    locate_spelled_path,
    refuse_unknown_path,
)
from kie_mcp.tasks.upload_command import build_upload_command

PATH = re.compile(r"(?:~|\.{0,2}|[a-z]:)[\\/](?![\\/])[^\n]+|[^\n:]+\.\w{2,5}", re.IGNORECASE)
"""Matches a text that may be the path of a local file."""
NAMED = "KIE_MCP_READ_DIRS"
"""Value of `Folder.source` if the operator named the folder; such a folder is allowed even if it is private."""
ROOT = "a root of the client"
"""Value of `Folder.source` if the client declared the folder (MCP roots)."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A candidate for an allowed folder; if files may not be read from the folder, `fault` says why."""

    path: Path
    """The absolute path without links."""
    source: str
    """Why the folder is a candidate, such as `KIE_MCP_READ_DIRS` or `the working folder`."""
    fault: str = ""
    """Why files may not be read from the folder, such as `is the home folder`; empty if the folder is allowed."""


class AllowedFolders:
    """Opens local files, but only files in the allowed folders."""

    def __init__(
        self,
        named: Iterable[Path] = (),
        found: Mapping[str, Path] | None = None,
        roots: Callable[[], Iterable[Path]] = tuple,
        build_command: Callable[[str], str] = build_upload_command,
    ) -> None:
        """Store the allowed folders, which include their subfolders; without any folder, every local file is refused.

        Args:
            named: Folders that the operator named; they are allowed even if they are private, such as the home folder.
            found: Other folders; each key is a `Folder.source`. A private place among these folders is not allowed.
            roots: A function that returns the folders that the client declares now. A private place among these folders
                is not allowed either.
            build_command: A function that returns, for a path, the command with which callers on other machines upload
                the file.
        """
        self._build_command = build_command
        named_folders = [Folder(path, NAMED) for path in _resolve(named)]
        found_folders = [
            Folder(path, source, find_fault(path))
            for source, each in (found or {}).items()
            for path in _resolve([each])
        ]
        self._fixed = [*named_folders, *found_folders]
        self._roots = roots

    def list_folders(self) -> list[Folder]:
        """Return all candidates, including the folders that are not allowed; `Folder.fault` says why."""
        return [*self._fixed, *(Folder(path, ROOT, find_fault(path)) for path in _resolve(self._roots()))]

    def find_file(self, text: str) -> bool:
        """Tell whether a text is the path of a file that may be read.

        If a file may not be read, the answer is False, as if the file did not exist.
        """
        if not self._fixed or not any(PATH.fullmatch(each) for each in unwrap(text)):
            return False
        try:
            place = find_spelled_path(text, self._allowed_paths)
        except InvalidCall:
            return True
        return place is not None and place.is_file()

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        """Open a local media file.

        Args:
            path: A path, a `file://` URL, or the name of a file that is directly in one of the allowed folders. If it
                is a symbolic link, its target has to be in an allowed folder.

        Raises:
            InvalidCall: When the file does not exist, is not in an allowed folder, is hidden, or is no media file.
        """
        if not self._fixed:
            command = self._build_command(list(unwrap(path))[-1])
            raise InvalidCall(
                "This server reads no local files.",
                f"Send it: {command} and pass the `resource` of the answer. Or give a URL, a data URI, or "
                "task:<id>#<n>.",
            )
        found = find_spelled_path(path, self._allowed_paths)
        named = None if found else find_named_file(path, self._allowed_paths)
        found = found or named
        try:
            place = found.resolve(strict=True) if found else None
        except (OSError, RuntimeError):
            # The file, or a parent folder, was deleted after the search above, so the file is treated as not found.
            place = None
        if not place:
            raise self._refuse(path)
        self._check(place, path)
        with _open_place(place) as file:
            # A parent folder may have become a symbolic link after the path was resolved, so the open file is checked.
            self._check(disk.locate(file, place), path)
            yield replace(identify_file(file, place.name), found_at=str(named or ""))

    def _refuse(self, path: str) -> InvalidCall:
        """Return the error for a path without a readable file; it does not reveal whether a forbidden file exists."""
        place = locate_spelled_path(path)
        if place and not may_be_read(place, self._allowed_paths) and not find_elsewhere(path, self._allowed_paths):
            return self._refuse_place(place, path)
        return refuse_unknown_path(path, self._allowed_paths)

    def _check(self, place: Path, path: str) -> None:
        """Raise an error if a file may not be read.

        Args:
            place: Where the file is, as an absolute path without links.
            path: The path as the caller wrote it.
        """
        if not may_be_read(place, self._allowed_paths):
            raise self._refuse_place(place, path)

    def _refuse_place(self, place: Path, path: str) -> InvalidCall:
        around = [folder for folder in self.list_folders() if place.is_relative_to(folder.path)]
        hidden = [find_hidden(place, folder.path) for folder in around if not folder.fault]
        if hidden:
            return InvalidCall(
                f"{abbreviate(path)} is hidden ({hidden[0]}), and hidden files are not read.",
                f"Move the file to a folder that is not hidden, or name its folder in {NAMED}.",
            )
        refused = "".join(f" {each.path}, {each.source}, {each.fault}." for each in around)
        return InvalidCall(
            f"{abbreviate(path)} lies outside the folders this server may read: {self._name_folders()}.{refused}",
            f"Move the file to one of them, or name its folder in {NAMED}.",
        )

    @property
    def _allowed_paths(self) -> list[Path]:
        """Paths of the folders from which files may be read."""
        return list(dict.fromkeys(each.path for each in self.list_folders() if not each.fault))

    def _name_folders(self) -> str:
        return ", ".join(str(path) for path in self._allowed_paths if path.is_dir()) or "there are none"


@contextmanager
def _open_place(place: Path) -> Iterator[IO[bytes]]:
    try:
        file = disk.open_file(place)
    except OSError as error:
        fault = f"cannot be read: {error.strerror}" if place.is_file() else "is no file"
        raise InvalidCall(f"{abbreviate(place.name)} {fault}.") from None
    with file:
        yield file


def _resolve(folders: Iterable[Path]) -> Iterator[Path]:
    """Return folders as absolute paths without links; a folder whose path cannot be resolved is left out."""
    for folder in folders:
        with suppress(OSError, RuntimeError, ValueError):
            yield folder.expanduser().resolve()
