"""Media contents before an upload: read from a file, a data URI or base64, and checked to be media; URLs likewise."""

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import IO, NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

from kie_mcp.catalog.fields import Limits
from kie_mcp.errors import InvalidCall
from kie_mcp.media import formats
from kie_mcp.media.limits import Content


@contextmanager
def open_file(path: Path) -> Iterator[Content]:
    """Open a media file, wherever it lies.

    Raises:
        InvalidCall: When there is none, it cannot be read, or it is no media file.
    """
    if not path.is_file():
        # Opening a pipe would wait for a writer.
        raise InvalidCall(f"{abbreviate(path.name)} is no file.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidCall(f"{abbreviate(path.name)} cannot be read: {error.strerror}.") from None
    with file:
        mime_type = formats.detect_mime_type(file.read(formats.HEAD_BYTES)) or _refuse_other_files(path.name)
        file.seek(0)
        yield Content(file, unique_name(path.name, extension(mime_type)), mime_type, path.stat().st_size)


def decode_data_uri(uri: str) -> Content:
    """Decode a data URI.

    Raises:
        InvalidCall: When it was cut on its way, or holds no media.
    """
    head, comma, payload = uri.partition(",")
    if not comma:
        raise InvalidCall("The data URI has no comma: it was cut on its way.", "Give the file's path or URL instead.")
    return decode_base64(payload) if head.endswith(";base64") else _hold_in_memory(unquote_to_bytes(payload))


def decode_base64(text: str) -> Content:
    """Decode base64.

    Raises:
        InvalidCall: When it was cut on its way, or holds no media.
    """
    try:
        return _hold_in_memory(b64decode("".join(text.split()), validate=True))
    except ValueError:
        raise InvalidCall(
            f"The base64 text is broken after {len(text)} characters: hosts cut long arguments.",
            "Give the file's path or URL instead.",
        ) from None


def check_web_address(url: str, limits: Limits) -> str:
    """Return a URL that KIE can fetch and the model can take, as far as its name tells.

    Raises:
        InvalidCall: When it is none.
    """
    try:
        address = urlsplit(url)
    except ValueError:
        address = urlsplit("")
    if not address.hostname or re.search(r"\s", url):
        raise InvalidCall(f"{abbreviate(url)} is no web address.", "Give a URL that anybody can open.")
    subtype = formats.MIME_TYPES.get(Path(address.path).suffix[1:].lower(), "").rpartition("/")[2]
    if subtype and limits.formats and subtype not in limits.formats.split():
        raise InvalidCall(f"{abbreviate(url)} is {subtype}; the model takes {', '.join(limits.formats.split())}.")
    return url


def hash_file(file: IO[bytes]) -> str:
    """Return the SHA-256 of an open file, in hex, and rewind it."""
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    return digest


def unique_name(name: str, suffix: str) -> str:
    """Return a name that no other upload has: KIE overwrites a file with the same name.

    Args:
        name: The file's own name, whose stem is kept as far as it is plain.
        suffix: The extension, with its dot.
    """
    stem = re.sub(r"[^\w.-]+", "-", Path(name).stem, flags=re.ASCII).strip("-.") or "file"
    return f"{stem[:60]}-{token_hex(8)}{suffix}"


def extension(mime_type: str) -> str:
    """Return the extension of a MIME type, with its dot."""
    return f".{formats.EXTENSIONS[mime_type]}"


def abbreviate(reference: str) -> str:
    """Return a path or URL short enough for a message."""
    return reference if len(reference) <= 80 else f"{reference[:60]}…"


def _hold_in_memory(content: bytes) -> Content:
    mime_type = formats.detect_mime_type(content[: formats.HEAD_BYTES]) or _refuse_other_files("The data")
    return Content(BytesIO(content), unique_name("file", extension(mime_type)), mime_type, len(content))


def _refuse_other_files(name: str) -> NoReturn:
    # Uploads are public for a day: only media may leave the machine.
    raise InvalidCall(f"{abbreviate(name)} is no picture, clip or sound that KIE takes.", "Give a media file.")
