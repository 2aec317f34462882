"""Read and replace the configuration file of a client; the old content is kept in a copy."""

import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kie_mcp.disk import create_file
from kie_mcp.errors import ConfigurationError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file, with the content that it had when it was read."""

    path: Path
    """Path of the file; if it was a symbolic link, the path of the link's target."""
    content: bytes | None
    """The file's bytes; None if the file does not exist yet."""
    mode: int = 0o600
    """The file's permissions."""

    @property
    def text(self) -> str:
        """The content as text; if all its lines end with CR LF, they end with LF in this text.

        Raises:
            ConfigurationError: When the content is not text in UTF-8.
        """
        try:
            text = (self.content or b"").decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self.path} is no text in UTF-8.", "Save it as UTF-8 in an editor.") from None
        return text.replace("\r\n", "\n") if self._has_crlf else text

    @property
    def _has_crlf(self) -> bool:
        """Whether every line ends with CR LF; if a file has both kinds of line ends, all its lines stay as they are."""
        content = self.content or b""
        return 0 < content.count(b"\n") == content.count(b"\r\n")

    def encode(self, text: str) -> bytes:
        """Return the bytes of a text, with the byte order mark and the line endings of the old file."""
        mark = BYTE_ORDER_MARK if (self.content or b"").startswith(BYTE_ORDER_MARK) else b""
        return mark + (text.replace("\n", "\r\n") if self._has_crlf else text).encode()

    def replace(self, text: str) -> Path | None:
        """Replace the file's content; return the path of a copy of the old file, or None if there was no old file.

        The change is atomic: other programs see the old or the new content. The file keeps its permissions.

        Raises:
            ConfigurationError: When another program has changed the file since it was read, or when writing fails.
        """
        partial = self.path.with_name(f".{self.path.name}.{os.urandom(4).hex()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write(partial, self.encode(text), self.mode)
            if _read(self.path) != self.content:
                raise ConfigurationError(
                    f"{self.path} was changed at this moment, by the client or by you; nothing was written.",
                    "Quit the client, then try again.",
                )
            copy = self._save_copy()
            partial.replace(self.path)
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}.", "Nothing changed.") from None
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return copy

    def _save_copy(self) -> Path | None:
        if self.content is None:
            return None
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        names = (f"{self.path.name}.{stamp}{more}.bak" for more in ("", *(f"-{number}" for number in range(2, 100))))
        copy = next(each for each in map(self.path.with_name, names) if not os.path.lexists(each))
        _write(copy, self.content, self.mode & 0o600)
        return copy


def read_config(path: Path) -> ConfigFile:
    """Read the configuration file of a client; the file need not exist yet.

    Raises:
        ConfigurationError: When kie-mcp may not or should not change the file; the message says why.
    """
    try:
        path = _follow(path)
        if not os.path.lexists(path):
            return ConfigFile(path, None)
        status = path.stat()
        if fault := _find_fault(status):
            raise ConfigurationError(f"{path} {fault}.", "Change this file yourself.")
        return ConfigFile(path, _read(path), stat.S_IMODE(status.st_mode))
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise ConfigurationError(f"{path} cannot be read: {reason}.", "Change this file yourself.") from None


def _follow(path: Path) -> Path:
    """Return the target of a symbolic link, so that replacing the file keeps the link; return other paths unchanged."""
    if not path.is_symlink():
        return path
    target = path.resolve()
    if not target.exists():
        raise ConfigurationError(f"{path} is a link to {target}, which does not exist.", "Mend or remove the link.")
    return target


def _find_fault(status: os.stat_result) -> str:
    """Return the reason why a file should not be changed, as the end of a sentence; empty if there is no reason."""
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if status.st_size > MAX_BYTES:
        return "is too large for a configuration"
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return "belongs to another user"
    # The system would let kie-mcp replace a read-only file, but a user who made the file read-only wants no change.
    if not status.st_mode & stat.S_IWUSR:
        return "is read-only"
    if status.st_nlink > 1 and sys.platform != "win32":
        return "has a second name (hard link), which would keep the old content"
    return ""


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes, mode: int) -> None:
    with create_file(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(mode)
