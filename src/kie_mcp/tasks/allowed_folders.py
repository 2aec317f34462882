"""Allowed folders: which local paths a call may name, so that no other file of the machine is read or uploaded."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import url2pathname

from kie_mcp.errors import InvalidCall
from kie_mcp.media.limits import Content
from kie_mcp.tasks.contents import abbreviate, open_file


class AllowedFolders:
    """The folders that local files may be read from (`KIE_MCP_READ_DIRS`)."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Resolve the folders.

        Args:
            folders: The folders, with all that is below them; none refuses every local file.
        """
        self._folders = [folder.expanduser().resolve() for folder in folders]

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        """Open a local media file.

        Args:
            path: A path or a `file://` URL. A symbolic link counts as the file that it leads to.

        Raises:
            InvalidCall: When there is no such file, it lies outside the folders, or it is no media file.
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
