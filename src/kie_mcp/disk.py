"""Files on this machine: read nothing but regular files, and write files that only their owner may read.

Another user, or the agent, may put a link, a named pipe or another file in the place of a file at any moment. Therefore
a file is opened first, and then the open file is checked.
"""

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

OWN_FOLDER = "kie-mcp"
"""Name of the folders that kie-mcp makes for itself; a folder with this name is made private also if it exists."""

# Some of these flags do not exist on Windows. O_NOFOLLOW refuses a link, and O_NONBLOCK keeps a named pipe from waiting
# for another process.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_F_GETPATH = 50
"""The fcntl command of macOS that returns the path of an open file."""


def open_file(path: Path, *, writable: bool = False) -> IO[bytes]:
    """Open a regular file for reading.

    Args:
        path: The file.
        writable: Whether it can be written as well.

    Raises:
        OSError: When there is no such file, it cannot be read, or it is a link, a folder, a pipe or a device.
    """
    return _open(path, os.O_RDWR, "r+b") if writable else _open(path, os.O_RDONLY, "rb")


def open_own_file(path: Path, *, private: bool = True) -> IO[bytes]:
    """Open a file for reading and writing; create it if it does not exist.

    Anything else in its place, such as a link, or a file of another user or with a second name, is removed first,
    because writing to it would change a file elsewhere.

    Args:
        path: The file.
        private: True if only its owner may read it; otherwise whoever may read the user's new files.

    Raises:
        OSError: When the file cannot be opened, or something in its place cannot be removed.
    """
    with suppress(OSError):
        file = _open(path, os.O_RDWR, "r+b")
        if _is_own(os.fstat(file.fileno())):
            if private and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), 0o600)
            return file
        file.close()
    path.unlink(missing_ok=True)
    return create_file(path, private=private)


def create_file(path: Path, *, private: bool = True) -> IO[bytes]:
    """Create a file, and open it for reading and writing.

    Args:
        path: The file.
        private: True if only its owner may read it; otherwise whoever may read the user's new files.

    Raises:
        OSError: When something is in its place already, or the file cannot be created.
    """
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600 if private else 0o666), "w+b")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; other processes see the old content or the new one, never a part.

    Raises:
        OSError: When the file cannot be written.
    """
    partial = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with create_file(partial) as file:
            file.write(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def create_folder(folder: Path) -> None:
    """Create a folder, and its parents, that only their owner may read.

    A folder that exists keeps its permissions, because it may be the user's own, unless its name is `OWN_FOLDER`.

    Raises:
        OSError: When the folder cannot be created.
    """
    for each in (*reversed(folder.parents), folder):
        each.mkdir(mode=0o700, exist_ok=True)
    if folder.name == OWN_FOLDER:
        with suppress(OSError):
            folder.chmod(0o700)


def restrict(path: Path) -> None:
    """Let nobody but its owner read a file, if it is a regular file of this user; do nothing otherwise."""
    with suppress(OSError):
        if _is_own(path.lstat()):
            path.chmod(0o600)


def locate(file: IO[bytes], path: Path) -> Path:
    """Return where an open file is, without links.

    Args:
        file: The open file.
        path: The path with which it was opened, for systems that do not tell the place of an open file.

    Raises:
        OSError: When the file was replaced while it was opened.
    """
    if sys.platform == "darwin":
        import fcntl

        return Path(os.fsdecode(fcntl.fcntl(file.fileno(), _F_GETPATH, bytes(1024)).rstrip(b"\0")))
    with suppress(OSError):
        return Path(f"/proc/self/fd/{file.fileno()}").readlink()
    place = path.resolve(strict=True)
    if not os.path.samestat(os.fstat(file.fileno()), place.stat()):
        raise _refuse(path)
    return place


def is_same_file(file: IO[bytes], path: Path) -> bool:
    """Return whether an open file is the one at a path, which is no link."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except OSError:
        return False


def _open(path: Path, flags: int, mode: str) -> IO[bytes]:
    # A device may do something when it is opened, so the kind of the file is checked before, too.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise _refuse(path)
    file: IO[bytes] = os.fdopen(os.open(path, flags | _FLAGS), mode)
    if not (stat.S_ISREG(os.fstat(file.fileno()).st_mode) and is_same_file(file, path)):
        file.close()
        raise _refuse(path)
    return file


def _refuse(path: Path) -> OSError:
    return OSError(errno.EINVAL, "It is no regular file", str(path))


def _is_own(status: os.stat_result) -> bool:
    """Return whether a file is a regular file of this user without a second name (hard link)."""
    is_mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return stat.S_ISREG(status.st_mode) and is_mine and status.st_nlink == 1
