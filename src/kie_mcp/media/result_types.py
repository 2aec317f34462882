"""Detect from its content what a downloaded file is: a result that a model made, or an error page.

The host of a result may answer a request for a file with a web page, an XML or JSON error, or nothing at all.
"""

import gzip
import re
import shutil
import tempfile
import zlib
from contextlib import suppress
from pathlib import PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from kie_mcp.media import formats

HEAD_BYTES = 4096
"""Number of bytes at the start of a file that are read to find its signature, or to see whether it is a text."""

EXTENSIONS = formats.EXTENSIONS | {
    "image/svg+xml": "svg",
    "image/vnd.adobe.photoshop": "psd",
    "image/x-exr": "exr",
    "image/vnd-ms.dds": "dds",
    "image/qoi": "qoi",
    "text/vtt": "vtt",
    "text/csv": "csv",
    "text/x-lrc": "lrc",
    "application/x-subrip": "srt",
    "application/zip": "zip",
    "application/pdf": "pdf",
    "model/gltf-binary": "glb",
}
"""The file extension, without a dot, of each MIME type that an input or a result may have."""

SIGNATURES = (
    (b"PK\x03\x04", "application/zip"),
    (b"%PDF-", "application/pdf"),
    (b"glTF", "model/gltf-binary"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"\x76\x2f\x31\x01", "image/x-exr"),
    (b"DDS \x7c\0\0\0", "image/vnd-ms.dds"),
    (b"qoif", "image/qoi"),
)
"""Pairs of a file's first bytes and the file's MIME type, for types that no model accepts as an input."""

TEXT_EXTENSIONS = ("txt", "json", "srt", "vtt", "lrc", "csv")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Control characters that no text contains. A text may contain tabs, line breaks and ESC (for colours).
_CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# A bracket alone does not mean JSON, because lyrics may begin with a bracket: `[Verse]`.
_JSON = re.compile(r'\{\s*["}]|\[\s*(["{\[\]\d-]|true|false|null)')
_SUBTITLES = re.compile(r"\d+\s+\d\d:\d\d:\d\d,\d{3} -->")
_TIMED_LYRICS = re.compile(r"(\[[a-z]+:[^\]]*\]\s*)*\[\d+:\d\d([.:]\d+)?\]")
_MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,99}/[a-z0-9][a-z0-9.+_-]{0,99}")
# `(?>` forbids to divide the comments in another way if no `<svg` follows them: n comments have 2^n ways.
_SVG = re.compile(
    r"(?>(<\?xml[^>]*\?>\s*|<!--.*?-->\s*|<!doctype svg[^>\[]*(\[.*?\]\s*)?>\s*)*)<([\w-]+:)?svg[\s/>]", re.DOTALL
)
_GZIP = b"\x1f\x8b\x08"


def identify(file: IO[bytes], *, declared: str, url: str, kind: str = "") -> str:
    """Return the MIME type of a downloaded result; empty if the file is something else, such as an error page.

    In place of a picture or clip, a host may also send a drawing or a document that shows an error. So what only its
    beginning calls a drawing, document, text or archive is no picture or clip, unless the extension in the URL says so.

    Args:
        file: The open file; its read position changes.
        declared: The MIME type that the host declared; may be empty.
        url: The address of the file; its extension helps to identify texts and unknown files. Empty if the file was a
            part of KIE's answer.
        kind: What the task makes, such as `image`; for `text`, JSON and plain text are results too. Empty if unknown.
    """
    suffix = PurePosixPath(urlsplit(url).path).suffix[1:].lower()
    found = _identify_content(file, declared, suffix, takes_text=kind == "text")
    wanted = formats.MIME_TYPES.get(suffix, "").partition("/")[0] or (kind if url and not _is_extension(suffix) else "")
    return "" if wanted in ("image", "video") and _may_be_stand_in(found) else found


def _may_be_stand_in(mime_type: str) -> bool:
    """Return whether a host may have sent a file of this type in place of a picture or clip, to show an error."""
    is_document = mime_type.startswith(("text/", "application/")) or mime_type == "image/svg+xml"
    return is_document or mime_type not in EXTENSIONS


def _identify_content(file: IO[bytes], declared: str, suffix: str, *, takes_text: bool) -> str:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        return ""
    # Signatures are checked first. Otherwise, an archive that contains sounds might be detected as a sound.
    if known := _find_signature(head) or formats.detect_mime_type(file):
        return known
    if _is_text(head):
        encoding = "utf-16" if head.startswith(_UTF_16) else "utf-8"
        return _identify_text(head.decode(encoding, errors="replace"), suffix, takes_text=takes_text)
    return _identify_unknown_binary(declared, suffix)


def unpack_gzip(file: IO[bytes], largest: int) -> None:
    """Decompress a gzip file in place, if its content is a file of a known type; other files stay unchanged.

    Some hosts send a compressed result and do not say that it is compressed.

    Args:
        file: The open file, which is changed.
        largest: Largest size of the content, in bytes.
    """
    file.seek(0)
    if file.read(len(_GZIP)) != _GZIP:
        return
    file.seek(0)
    with tempfile.TemporaryFile() as unpacked, suppress(OSError, EOFError, zlib.error):
        with gzip.open(file) as packed:
            while (block := packed.read(1 << 20)) and unpacked.tell() <= largest:
                unpacked.write(block)
        if not block and identify(unpacked, declared="", url=""):
            unpacked.seek(0)
            file.seek(0)
            file.truncate()
            shutil.copyfileobj(unpacked, file)


def read_declared_type(declared: str) -> str:
    """Return the MIME type in a header or a data URI, without its parameters; empty if it is no valid MIME type."""
    bare = declared.partition(";")[0].strip().lower()
    return bare if _MIME_TYPE.fullmatch(bare) else ""


def choose_extension(mime_type: str, url: str) -> str:
    """Return the file extension, without a dot, for a type that `identify()` returned."""
    suffix = PurePosixPath(urlsplit(url).path).suffix[1:].lower()
    return EXTENSIONS.get(mime_type) or (suffix if _is_extension(suffix) else mime_type.rpartition("/")[2][-10:])


def _find_signature(head: bytes) -> str:
    return next((known for start, known in SIGNATURES if head.startswith(start)), "")


def _is_text(head: bytes) -> bool:
    return head.startswith(_UTF_16) or not _CONTROL_CHARACTER.search(head)


def _identify_text(text: str, suffix: str, *, takes_text: bool) -> str:
    """Return the MIME type of a text; empty if it is a web page, or cannot be the result of the task."""
    start = text.lstrip("\ufeff \t\r\n").lower()
    if _SVG.match(start):
        return "image/svg+xml"
    if start.startswith("webvtt"):
        return "text/vtt"
    if _SUBTITLES.match(start):
        return "application/x-subrip"
    if _TIMED_LYRICS.match(start):
        return "text/x-lrc"
    if start.startswith("<") or not start or not (takes_text or suffix in TEXT_EXTENSIONS):
        return ""
    return "application/json" if _JSON.match(start) else "text/plain"


def _identify_unknown_binary(declared: str, suffix: str) -> str:
    """Return the MIME type of a file without a known signature; empty if the file cannot be a result.

    Pictures and clips of known types begin with a signature; without it, they are broken. Sounds may have no signature,
    because they may consist of raw samples.
    """
    kind = declared.partition("/")[0]
    if kind == "audio" or (kind in ("image", "video", "model") and declared not in EXTENSIONS):
        return declared
    if kind in ("", "application", "binary") and _is_extension(suffix) and suffix not in formats.MIME_TYPES:
        return declared or "application/octet-stream"
    return ""


def _is_extension(suffix: str) -> bool:
    """Return whether the suffix of a URL may be the file extension of a result."""
    return bool(re.fullmatch(r"[a-z][a-z0-9]{1,9}", suffix)) and suffix not in ("bin", "html", "htm", "php", "aspx")
