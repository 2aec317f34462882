"""Prepare an upload: read a file, data URI or base64 text, detect its media type, and check URLs."""

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import IO, NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

from kie_mcp.catalog.fields import Limits
from kie_mcp.catalog.reference_spellings import split_references
from kie_mcp.errors import InvalidCall
from kie_mcp.media import formats
from kie_mcp.media.content import Content
from kie_mcp.tasks.base64_text import decode_base64_text
from kie_mcp.tasks.public_urls import check_public, hide_password
from kie_mcp.tasks.share_pages import find_direct_url

NO_MEDIA = frozenset({"pdf", "svg", "html", "htm", "zip", "rar", "7z", "doc", "docx", "ppt", "pptx", "psd", "eps"})
"""File extensions of files that no model takes as a picture, clip or sound."""

_NEVER_IN_URLS = re.compile(r"""["<>\\`\x00-\x1f\x7f]|\{\{|\$\{|\{[A-Za-z_]\w*\}""")
"""Matches characters that a URL has only percent-encoded (RFC 3986), and placeholders such as `{{name}}` and `{width}`.

Other braces are sent, because browsers copy them as they are: `?src=is{a/b}`.
"""


def identify_file(file: IO[bytes], name: str) -> Content:
    """Return an open media file with its MIME type and size, and with a unique name for its upload.

    Raises:
        InvalidCall: The file is no media file.
    """
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise InvalidCall(f"{abbreviate(name)} is empty.", "Perhaps it is still being written; give it again then.")
    mime_type = formats.detect_mime_type(file) or _refuse_other_files(name)
    return Content(file, unique_name(name, extension(mime_type)), mime_type, size)


def decode_data_uri(uri: str) -> Content:
    """Decode a data URI to a file in memory.

    Raises:
        InvalidCall: The data URI is incomplete, or its content is no media file.
    """
    head, comma, payload = uri.partition(",")
    if not comma:
        raise InvalidCall("The data URI has no comma: it was cut on its way.", "Give the file's path or URL instead.")
    if head.endswith(";base64"):
        return _hold_in_memory(decode_base64_text(payload))
    content = unquote_to_bytes(payload)
    if not formats.detect_mime_type(content):
        # Some tools leave out ";base64" although the data is base64 text, so decoding it is tried here.
        with suppress(InvalidCall):
            content = decode_base64_text(payload)
    return _hold_in_memory(content)


def prepare_url(url: str, limits: Limits, own: Sequence[str] = ()) -> str:
    """Check a URL, and return the URL to send to KIE; for a known share page, this is the URL of the file itself.

    Nothing is downloaded.

    Args:
        url: The URL, with a scheme in lower case.
        limits: The limits of the model's field that takes the file.
        own: The base URLs of KIE or of its sandbox; KIE can open all URLs that begin with one of them.

    Raises:
        InvalidCall: The text is not a URL, KIE cannot open the URL, the URL leads to a page (such as a video site's)
            and not to a file, or the model does not accept files with this extension.
    """
    shown = abbreviate(hide_password(" ".join(url.split())))
    if not _is_web_address(url):
        raise InvalidCall(f"{shown} is no web address.", "Give a URL that anybody can open.")
    if found := _NEVER_IN_URLS.search(url):
        raise InvalidCall(
            f"{shown} has {found[0]!r} in it, which is in no URL.",
            "Nothing was sent. Fill in all placeholders, and give the URL without the markup around it.",
        )
    if len(split_references(url)) > 1:
        raise InvalidCall(f"{shown} names several files; one is wanted here.", "Nothing was sent. Give one URL.")
    check_public(url, shown, own)
    url = find_direct_url(url, shown)
    ending = PurePosixPath(urlsplit(url).path).suffix[1:].lower()
    subtype = guess_mime_type(url).rpartition("/")[2] or (ending if ending in NO_MEDIA else "")
    # WebP is accepted wherever PNG is: KIE's own examples give WebP URLs to models that list only JPEG and PNG.
    named = limits.formats.split()
    accepted = [*named, "webp"] if "png" in named else named
    if subtype and named and subtype not in accepted:
        raise InvalidCall(f"{shown} is {subtype}; the model takes {', '.join(named)}.")
    return url


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", url)
        )
    except ValueError:
        # The host or the port is impossible.
        return False


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
    """Shorten a reference for a message: keep the last 60 characters of a long path, or the first 60 of a long URL."""
    if len(reference) <= 80:
        return reference
    return f"{reference[:60]}…" if re.match(r"https?:|data:", reference) else f"…{reference[-60:]}"


def _hold_in_memory(content: bytes) -> Content:
    file = BytesIO(content)
    mime_type = formats.detect_mime_type(file) or _refuse_other_files("The data")
    return Content(file, unique_name("file", extension(mime_type)), mime_type, len(content))


def _refuse_other_files(name: str) -> NoReturn:
    # Only media files may be uploaded, because anybody who knows the URL of an upload can open the file for a day.
    raise InvalidCall(f"{abbreviate(name)} is no picture, clip or sound that KIE takes.", "Give a media file.")
