"""Prepare an upload: read a file, data URI or base64 text, detect its media type, and check URLs."""

import hashlib
import os
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import IO, NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

from kie_mcp.catalog.fields import Limits
from kie_mcp.errors import InvalidCall
from kie_mcp.media import formats
from kie_mcp.media.limits import Content


def identify_file(file: IO[bytes], name: str) -> Content:
    """Return an open media file with its MIME type and size, and with a unique name for its upload.

    Raises:
        InvalidCall: The file is no media file.
    """
    mime_type = formats.detect_mime_type(file) or _refuse_other_files(name)
    return Content(file, unique_name(name, extension(mime_type)), mime_type, os.fstat(file.fileno()).st_size)


def decode_data_uri(uri: str) -> Content:
    """Decode a data URI to a file in memory.

    Raises:
        InvalidCall: The data URI is incomplete, or its content is no media file.
    """
    head, comma, payload = uri.partition(",")
    if not comma:
        raise InvalidCall("The data URI has no comma: it was cut on its way.", "Give the file's path or URL instead.")
    return decode_base64(payload) if head.endswith(";base64") else _hold_in_memory(unquote_to_bytes(payload))


def decode_base64(text: str) -> Content:
    """Decode a base64 text to a file in memory.

    Raises:
        InvalidCall: The text is not valid base64, or its content is no media file.
    """
    try:
        return _hold_in_memory(b64decode("".join(text.split()), validate=True))
    except ValueError:
        raise InvalidCall(
            f"The base64 text is broken after {len(text)} characters: hosts cut long arguments.",
            "Give the file's path or URL instead.",
        ) from None


def check_web_address(url: str, limits: Limits) -> str:
    """Check the syntax and the file extension of a web address, and return it unchanged; nothing is downloaded.

    Raises:
        InvalidCall: The text is not a web address, or the model does not accept files with its extension.
    """
    try:
        address = urlsplit(url)
    except ValueError:
        address = urlsplit("")
    if not address.hostname or re.search(r"\s", url):
        raise InvalidCall(f"{abbreviate(url)} is no web address.", "Give a URL that anybody can open.")
    subtype = guess_mime_type(url).rpartition("/")[2]
    # For models that accept JPEG and PNG, KIE's own examples have URLs of WebP pictures, so these are accepted too.
    accepted = [*limits.formats.split(), "webp"] if "png" in limits.formats else limits.formats.split()
    if subtype and limits.formats and subtype not in accepted:
        raise InvalidCall(f"{abbreviate(url)} is {subtype}; the model takes {', '.join(limits.formats.split())}.")
    return url


def guess_mime_type(url: str) -> str:
    """Return the MIME type for the file extension of a web address; empty if the extension is missing or unknown."""
    return formats.MIME_TYPES.get(Path(url.partition("?")[0].partition("#")[0]).suffix[1:].lower(), "")


def hash_file(file: IO[bytes]) -> str:
    """Return the SHA-256 of an open file, in hex, and rewind the file."""
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    return digest


def unique_name(name: str, suffix: str) -> str:
    """Return a unique name for an upload, because KIE overwrites an upload with the same name.

    Args:
        name: The file's own name. The upload's name begins with it, with `-` instead of unusual characters.
        suffix: The file extension with its dot, such as `.png`.
    """
    stem = re.sub(r"[^\w.-]+", "-", Path(name).stem, flags=re.ASCII).strip("-.") or "file"
    return f"{stem[:60]}-{token_hex(8)}{suffix}"


def extension(mime_type: str) -> str:
    """Return the file extension for a MIME type: `"image/png" -> ".png"`."""
    return f".{formats.EXTENSIONS[mime_type]}"


def abbreviate(reference: str) -> str:
    """Return a path or URL for a message; if it has more than 80 characters, only its first 60 and an ellipsis."""
    return reference if len(reference) <= 80 else f"{reference[:60]}…"


def _hold_in_memory(content: bytes) -> Content:
    file = BytesIO(content)
    mime_type = formats.detect_mime_type(file) or _refuse_other_files("The data")
    return Content(file, unique_name("file", extension(mime_type)), mime_type, len(content))


def _refuse_other_files(name: str) -> NoReturn:
    # Anybody with its URL can open an upload for a day. Therefore only media files may be uploaded.
    raise InvalidCall(f"{abbreviate(name)} is no picture, clip or sound that KIE takes.", "Give a media file.")
