"""Allowed folders: restrict the local files that a call may read and upload to the operator's folders."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import url2pathname

from kie_mcp.errors import InvalidCall
from kie_mcp.media.limits import Content
from kie_mcp.tasks.media_inputs import abbreviate, open_file


class AllowedFolders:
    """The folders that local files may be read from (`KIE_MCP_READ_DIRS`)."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Resolve the folders.

        Args:
            folders: The folders, including their subfolders; without any, every local file is refused.
        """
        self._folders = [folder.expanduser().resolve() for folder in folders]

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        """Open a local media file.

        Args:
            path: A path or a `file://` URL. For a symbolic link, the folder of its target has to be allowed.

        Raises:
            InvalidCall: When the file does not exist, lies outside the folders, or is no media file.
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
