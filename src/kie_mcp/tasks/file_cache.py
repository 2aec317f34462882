"""File cache: a folder with copies of files; the least recently used copies are deleted to limit the total size."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from kie_mcp import disk

MAX_BYTES = 4 * 1024**3
"""Maximum total size of all copies in bytes: twice the size of the largest result."""


class FileCache:
    """A folder with copies of files, which several processes may use at once."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def find_place(self, name: str) -> Path:
        """Return the path of a file's copy, whether or not the copy exists."""
        return self._folder / Path(name).name

    def find(self, name: str) -> Path | None:
        """Mark the copy of a file as used now, and return the path of the copy; None if there is no copy."""
        place = self.find_place(name)
        try:
            # Windows cannot change the time of a link itself.
            os.utime(place, follow_symlinks=os.utime not in os.supports_follow_symlinks)
        except OSError:
            return None
        return place

    def add(self, name: str, write: Callable[[IO[bytes]], None]) -> Path:
        """Make a copy, and return its path.

        Args:
            name: The name of the file.
            write: A function that gets an open file as its argument, and writes the content to this file.

        Raises:
            OSError: When the copy cannot be written.
        """
        disk.create_folder(self._folder)
        place = self.find_place(name)
        partial = place.with_name(f".{os.urandom(8).hex()}.part")
        try:
            with disk.create_file(partial) as file:
                write(file)
            partial.replace(place)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self.trim(place)
        return place

    def trim(self, new: Path) -> None:
        """Delete the least recently used copies until the total size of the remaining copies is within the limit.

        The copy `new` is kept. If the clock was set back, its time is not the latest.
        """
        # Partial copies of killed processes are deleted here too, when they are the oldest files. Errors are ignored,
        # because another process may delete copies at the same time.
        with suppress(OSError):
            files = [(each, each.stat(follow_symlinks=False)) for each in os.scandir(self._folder)]
            left = sum(status.st_size for _, status in files) - self._most_bytes
            for file, status in sorted(files, key=lambda each: (Path(each[0]) == new, each[1].st_mtime)):
                if left <= 0 or Path(file) == new:
                    return
                Path(file).unlink(missing_ok=True)
                left -= status.st_size
