"""File cache: copies of files on this machine, of which those are deleted that were not used for the longest time."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from kie_mcp import disk

MOST_BYTES = 4 * 1024**3
"""Most bytes of all copies together, twice as much as the largest result."""


class FileCache:
    """Copies of files in one folder, which several processes may use at once."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def find_place(self, name: str) -> Path:
        """Return where the copy of a file is, or would be."""
        return self._folder / Path(name).name

    def find(self, name: str) -> Path | None:
        """Return the path of a copy, which counts as used now; None if there is none."""
        place = self.find_place(name)
        try:
            os.utime(place, follow_symlinks=False)
        except OSError:
            return None
        return place

    def add(self, name: str, write: Callable[[IO[bytes]], None]) -> Path:
        """Make a copy, and return its path.

        Args:
            name: The name of the file.
            write: Writes the file to the one that it is given.

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
        self.trim()
        return place

    def trim(self) -> None:
        """Delete the copies that were not used for the longest time, until the others are within the limit."""
        # Copies that a killed process has begun are the oldest in the end. Another process may delete some meanwhile.
        with suppress(OSError):
            files = [(each, each.stat(follow_symlinks=False)) for each in os.scandir(self._folder)]
            left = sum(status.st_size for _, status in files) - self._most_bytes
            for file, status in sorted(files, key=lambda each: each[1].st_mtime):
                if left <= 0:
                    return
                Path(file).unlink(missing_ok=True)
                left -= status.st_size
