"""Files on this machine: open only regular files, and write files that only their owner may read.

Another user, or the agent, may put a link, a named pipe or another file in place of a file at any moment. So a file is
opened first, and then the open file is checked, not the path.
"""

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

OWN_FOLDER = "kie-mcp"
"""Name of the folders that kie-mcp creates for itself; an existing folder with this name is made private as well."""

# O_NOFOLLOW refuses links. O_NONBLOCK prevents waiting for another process when a named pipe is opened. Some of these
# flags do not exist on Windows.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_F_GETPATH = 50
"""The fcntl command of macOS that returns the path of an open file."""


def open_file(path: Path, *, writable: bool = False) -> IO[bytes]:
    """Open a regular file for reading.

    Args:
        path: The file.
        writable: True to open the file for writing as well.

    Raises:
        OSError: When the file does not exist, cannot be read, or is a link, a folder, a pipe or a device.
    """
    return _open(path, os.O_RDWR, "r+b") if writable else _open(path, os.O_RDONLY, "rb")


def open_own_file(path: Path, *, private: bool = True) -> IO[bytes]:
    """Open a file for reading and writing; create it if it does not exist.

    A link, a file of another user, or a file with a second name (hard link) at this path is removed first, because
    writing to it would change a file elsewhere.

    Args:
        path: The file.
        private: True to let only the owner read the file; False to give it the user's default permissions.

    Raises:
        FileExistsError: When another process creates the file at this moment.
        OSError: When the file cannot be opened, or something else at its path cannot be removed.
    """
    try:
        file = _open(path, os.O_RDWR, "r+b")
        if _is_own(os.fstat(file.fileno())):
            if private and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), 0o600)
            return file
        file.close()
    except FileNotFoundError:
        # What is there in the next moment is another process's file, which is not removed.
        return create_file(path, private=private)
    except OSError:
        pass
    path.unlink(missing_ok=True)
    return create_file(path, private=private)


def create_file(path: Path, *, private: bool = True) -> IO[bytes]:
    """Create a file, and open it for reading and writing.

    Args:
        path: The file.
        private: True to let only the owner read the file; False to give it the user's default permissions.

    Raises:
        OSError: When something exists at this path already, or the file cannot be created.
    """
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600 if private else 0o666), "w+b")


def replace_file(path: Path, content: bytes, *, private: bool = True) -> None:
    """Write a file so that other processes see either the old or the new content, never a part.

    Args:
        path: The file.
        content: The new content.
        private: True to let only the owner read the file; False to give it the user's default permissions.

    Raises:
        OSError: When the file cannot be written.
    """
    partial = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with create_file(partial, private=private) as file:
            file.write(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def link_file(path: Path, name: Path) -> None:
    """Give a complete file a second name; where hard links do not work, move the file to this name.

    Raises:
        FileExistsError: When a file or folder has this name already.
    """
    try:
        os.link(path, name, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        # Some file systems, such as FAT, have no hard links. There, an empty file reserves the name, and the complete
        # file then replaces the empty one.
        create_file(name).close()
        path.replace(name)


def create_folder(folder: Path) -> None:
    """Create a folder and its parents; only their owner may read them.

    A folder that exists keeps its permissions, because the user may have created it. Only a folder with the name
    `OWN_FOLDER` is always made private.

    Raises:
        OSError: When the folder cannot be created.
    """
    for each in (*reversed(folder.parents), folder):
        each.mkdir(mode=0o700, exist_ok=True)
    if folder.name == OWN_FOLDER:
        with suppress(OSError):
            folder.chmod(0o700)


def restrict(path: Path) -> None:
    """Make a file readable only for its owner; do nothing if it is not a regular file of this user."""
    with suppress(OSError):
        if _is_own(path.lstat()):
            path.chmod(0o600)


def locate(file: IO[bytes], path: Path) -> Path:
    """Return the real path of an open file, without links.

    Args:
        file: The open file.
        path: The path with which the file was opened; used where the system cannot tell the path of an open file.

    Raises:
        OSError: When the file is not at this path any more.
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
    """Return True if an open file is the file at a path, and the path is not a link."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except OSError:
        return False


def _open(path: Path, flags: int, mode: str) -> IO[bytes]:
    # The type of the file is also checked before the file is opened, because opening a device may have side effects.
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
    """Return whether a file is a regular file of this user, and has no second name (hard link)."""
    is_mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return stat.S_ISREG(status.st_mode) and is_mine and status.st_nlink == 1
