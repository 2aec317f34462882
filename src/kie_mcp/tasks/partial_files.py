"""Store the bytes of unfinished downloads in the output folder, so that a later attempt can continue a download."""

import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from kie_mcp import disk
from kie_mcp.errors import DamagedFile, InvalidCall

if sys.platform != "win32":
    import fcntl

WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Numbers of the errors with which a file system refuses every lock."""


class Unreachable(OSError):
    """Raised when the storage for complete files (a bucket) cannot be reached; the partial file is then kept."""


class PartialFile:
    """A file with the bytes that a download has received, and a second file with the version of these bytes.

    The version is the ETag or Last-Modified header (RFC 9110, 13.1.5). Without the second file, a download is never
    continued, because the host may send bytes of another version.
    """

    def __init__(self, file: IO[bytes], place: Path) -> None:
        self.file = file
        self._place = place
        self._note = _note_of(place)
        self.validator, self.total = _read_note(self._note)
        """`validator` is the ETag or Last-Modified header of the answer; empty if the host sent neither.

        `total` is the size of the whole file in bytes; None if the host did not send the size.
        """

    @property
    def size(self) -> int:
        """Number of bytes of the file that have been received so far."""
        return self.file.seek(0, os.SEEK_END)

    def begin(self, validator: str, total: int | None) -> None:
        """Delete all received bytes, and store the version and the size of the file that is downloaded next."""
        self.file.seek(0)
        self.file.truncate()
        self.validator, self.total = validator, total
        self._note.unlink(missing_ok=True)
        if validator:
            with disk.create_file(self._note) as note:
                note.write(json.dumps({"validator": validator, "total": total}).encode())

    def commit(self, folder: Path, stem: str, extension: str) -> Path:
        """Rename the complete file to its final name, and return its path; an existing file is never overwritten."""
        final = _commit_name(self.file, self._place, folder, stem, extension)
        self._note.unlink(missing_ok=True)
        return final

    def replace(self, final: Path) -> None:
        """Rename the complete file to `final`; a file with this name is replaced."""
        _prepare_rename(self.file)
        self._place.replace(final)
        self.file.close()

    def close(self, *, delete: bool) -> None:
        """Close the file; delete it if `delete` is True, or if a later download cannot continue it."""
        # Closing the file writes the rest of its buffer, which raises an error if the disk is full. The partial file is
        # then still useful, so the error is ignored.
        with suppress(OSError):
            self.file.close()
        place = self._place
        with suppress(OSError):
            if delete or not self.validator or not place.stat().st_size:
                place.unlink()
        if not place.exists():
            with suppress(OSError):
                self._note.unlink()


def _note_of(place: Path) -> Path:
    """Return the path of the small file in which the version of a partial file is stored."""
    return place.with_name(f"{place.name}.version")


def _read_note(place: Path) -> tuple[str, int | None]:
    try:
        with disk.open_file(place) as file:
            note = json.load(file)
        total = note["total"]
        return str(note["validator"]), total if isinstance(total, int) else None
    except (OSError, ValueError, KeyError, TypeError):
        return "", None


@contextmanager
def open_partial_file(folder: Path, stem: str, *, private: bool = False) -> Iterator[PartialFile]:
    """Open the partial file of a download, with the bytes that an earlier attempt received.

    If the connection breaks, the download takes too long, or the storage for the complete file cannot be reached, the
    partial file is kept for the next attempt. If the file cannot be written, is refused or is damaged, the partial file
    is deleted.
    """
    disk.create_folder(folder)
    place = folder / f".{stem}.part"
    part = PartialFile(_open_alone(place, private=private), place)
    delete = False
    try:
        yield part
    except (OSError, InvalidCall, DamagedFile) as error:
        delete = not isinstance(error, (TimeoutError, Unreachable))
        raise
    finally:
        part.close(delete=delete)


def _open_alone(place: Path, *, private: bool) -> IO[bytes]:
    """Open a partial file, and lock it: if two processes wrote into one file, the file would be damaged.

    Raises:
        BlockingIOError: When another process is downloading into the file.
    """
    in_use = BlockingIOError(errno.EAGAIN, "Another server is saving this file")
    try:
        file = disk.open_own_file(place, private=private)
    except FileExistsError:
        raise in_use from None
    try:
        _lock(file)
        if not disk.is_same_file(file, place):
            raise in_use
    except OSError:
        file.close()
        raise
    return file


def _lock(file: IO[bytes]) -> None:
    """Lock a file; do nothing on Windows, and on a file system without locks, such as some network drives.

    Windows has no `flock()`. But there, no process can rename or delete a file that another process has open.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise


def remove_partial_file(place: Path) -> None:
    """Delete a partial file and the file with its version; do nothing if another process is using the partial file."""
    # An error means that another process is using the file: it is locked, or on Windows it cannot be deleted.
    with suppress(OSError):
        _open_alone(place, private=True).close()
        place.unlink()
        _note_of(place).unlink(missing_ok=True)


@contextmanager
def open_complete_file(place: Path) -> Iterator[PartialFile]:
    """Open a complete file of this machine as a `PartialFile`, so that a `Storage` can give the file its final name."""
    # On Windows, `os.fsync()` needs a file that is open for writing.
    with disk.open_file(place, writable=True) as file:
        yield PartialFile(file, place)


def _commit_name(part: IO[bytes], place: Path, folder: Path, stem: str, extension: str) -> Path:
    """Give a complete partial file its final name, and return its path; an existing file is never overwritten."""
    part.flush()
    os.fsync(part.fileno())
    if not disk.is_same_file(part, place):
        raise FileNotFoundError(errno.ENOENT, "The partial file was replaced", str(place))
    _prepare_rename(part)
    final, taken = folder / f"{stem}.{extension}", 1
    while True:
        try:
            disk.link_file(place, final)
        except FileExistsError:
            # If the existing file has equal bytes, it is the same result: an earlier process downloaded it, and died
            # before it saved the task's row. So the file is used, and no second file is made.
            if not _is_equal(place, final):
                taken += 1
                final = folder / f"{stem}-{taken}.{extension}"
                continue
        place.unlink(missing_ok=True)
        part.close()
        return final


def _prepare_rename(file: IO[bytes]) -> None:
    """Write the rest of a file's buffer; on Windows, which renames no open file, also close the file.

    Elsewhere, the file stays open and locked until it has only its final name. Otherwise, a process that opened the
    partial file in that moment would write into the complete file.
    """
    file.flush()
    if sys.platform == "win32":
        file.close()


def _is_equal(place: Path, final: Path) -> bool:
    """Return whether `final` is a regular file whose bytes are equal to those of `place`."""
    try:
        with disk.open_file(place) as one, disk.open_file(final) as other:
            return hashlib.file_digest(one, "sha256").digest() == hashlib.file_digest(other, "sha256").digest()  # type: ignore[arg-type]
    except OSError:
        return False
