"""Allowed folders: tool calls may read and upload local files only from folders that the operator chose."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import url2pathname

from kie_mcp.errors import InvalidCall
from kie_mcp.media.limits import Content
from kie_mcp.tasks.media_inputs import abbreviate, open_file

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
        # A text that is too long for a path, or has characters that no path has, is no error here.
        with suppress(OSError, RuntimeError, ValueError):
            return bool(self._folders and PATH.fullmatch(text)) and Path(text).expanduser().is_file()
        return False

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        """Open a local media file.

        Args:
            path: A path or a `file://` URL. If the path is a symbolic link, its target has to be in an allowed folder.

        Raises:
            InvalidCall: When the file does not exist, is not in an allowed folder, or is no media file.
        """
        if not self._folders:
            raise InvalidCall("This server reads no local files.", "Give a URL, a data URI, or task:<id>#<n>.")
        try:
            name = url2pathname(path[7:]) if path.startswith("file://") else path
            place = Path(name).expanduser().resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            raise InvalidCall(
                f"There is no file {abbreviate(path)}.", "Give a full path, a URL, a data URI, or task:<id>#<n>."
            ) from None
        if not any(place.is_relative_to(folder) for folder in self._folders):
            raise InvalidCall(
                f"{abbreviate(path)} lies outside the folders this server may read.",
                "Move the file to Pictures or Downloads, or name its folder in KIE_MCP_READ_DIRS.",
            )
        with open_file(place) as content:
            yield content
