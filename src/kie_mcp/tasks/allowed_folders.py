"""Allowed folders: tool calls may read and upload local files only from folders that the operator chose."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kie_mcp.catalog.reference_spellings import unwrap
from kie_mcp.errors import InvalidCall
from kie_mcp.media.limits import Content
from kie_mcp.tasks.media_inputs import abbreviate, open_file
from kie_mcp.tasks.spelled_paths import find_spelled_path, refuse_unknown_path

PATH = re.compile(r"(?:~|\.{0,2}|[a-z]:)[\\/](?![\\/])[^\n]+|[^\n:]+\.\w{2,5}", re.IGNORECASE)
"""Matches a text that may be the path of a local file."""


class AllowedFolders:
    """Opens local files, but only those in the folders that `KIE_MCP_READ_DIRS` names."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Store the folders as absolute paths without symbolic links.

        Args:
            folders: The allowed folders; subfolders are allowed too. If empty, every local file is refused.
        """
        self._folders = [folder.expanduser().resolve() for folder in folders]

    def find_file(self, text: str) -> bool:
        """Tell whether a text is the path of a file that exists, in any folder; never if every local file is refused.

        Callers of such a server are elsewhere, and must not learn which files there are.
        """
        if not self._folders or not any(PATH.fullmatch(each) for each in unwrap(text)):
            return False
        try:
            place = find_spelled_path(text, self._folders)
        except InvalidCall:
            return True
        return place is not None and place.is_file()

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        """Open a local media file.

        Args:
            path: A path or a `file:` URL, as people and clients write them. If the path is a symbolic link, its target
                has to be in an allowed folder.

        Raises:
            InvalidCall: When the file does not exist, is not in an allowed folder, or is no media file.
        """
        if not self._folders:
            raise InvalidCall("This server reads no local files.", "Give a URL, a data URI, or task:<id>#<n>.")
        found = find_spelled_path(path, self._folders)
        if not found:
            raise refuse_unknown_path(path, self._folders)
        place = found.resolve()
        if not any(place.is_relative_to(folder) for folder in self._folders):
            raise InvalidCall(
                f"{abbreviate(path)} lies outside the folders this server may read.",
                "Move the file to Pictures or Downloads, or name its folder in KIE_MCP_READ_DIRS.",
            )
        with open_file(place) as content:
            yield content
