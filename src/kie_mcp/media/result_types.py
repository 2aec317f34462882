"""What a downloaded result is, by its content: a file that a model made, or an error page in its place.

The host of a result may answer a request for a file with a web page, an XML or JSON error, or nothing at all.
"""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from kie_mcp.media import formats

HEAD_BYTES = 4096
"""Number of bytes from the start of a file that `identify()` needs."""

EXTENSIONS = formats.EXTENSIONS | {
    "image/svg+xml": "svg",
    "image/jxl": "jxl",
    "image/jp2": "jp2",
    "image/vnd.adobe.photoshop": "psd",
    "image/x-exr": "exr",
    "video/x-matroska": "mkv",
    "video/x-flv": "flv",
    "video/x-ms-asf": "wmv",
    "video/mpeg": "mpg",
    "audio/webm": "weba",
    "audio/aiff": "aiff",
    "audio/amr": "amr",
    "audio/basic": "au",
    "audio/x-caf": "caf",
    "text/vtt": "vtt",
    "text/csv": "csv",
    "text/x-lrc": "lrc",
    "application/x-subrip": "srt",
    "application/zip": "zip",
    "application/pdf": "pdf",
    "model/gltf-binary": "glb",
}
"""File extension, without a dot, by MIME type: also of results that no model takes as an input."""

SIGNATURES = (
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"glTF", "model/gltf-binary"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"\xff\x0a", "image/jxl"),
    (4, b"JXL \r\n\x87\n", "image/jxl"),
    (4, b"jP  \r\n\x87\n", "image/jp2"),
    (0, b"\x76\x2f\x31\x01", "image/x-exr"),
    (0, b"RF64", "audio/wav"),
    (8, b"AIFF", "audio/aiff"),
    (8, b"AIFC", "audio/aiff"),
    (0, b"caff", "audio/x-caf"),
    (0, b"#!AMR", "audio/amr"),
    (0, b".snd", "audio/basic"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    # Old QuickTime files have no box that names their type.
    *((4, box, "video/quicktime") for box in (b"moov", b"mdat", b"wide", b"free", b"skip")),
)
"""Position and bytes by which further types are known."""

TEXT_EXTENSIONS = ("txt", "json", "srt", "vtt", "lrc", "csv")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Text has no control characters, apart from those that move the cursor or set colours.
_CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# Lyrics may begin with a bracket, too: `[Verse]`.
_JSON = re.compile(r'\{\s*["}]|\[\s*(["{\[\]\d-]|true|false|null)')
_SUBTITLES = re.compile(r"\d+\s+\d\d:\d\d:\d\d,\d{3} -->")
_TIMED_LYRICS = re.compile(r"(\[[a-z]+:[^\]]*\]\s*)*\[\d+:\d\d([.:]\d+)?\]")
_SVG = re.compile(r"(<\?xml[^>]*\?>\s*|<!--.*?-->\s*|<!doctype svg[^>]*>\s*)*<svg[\s>]", re.DOTALL)


def identify(head: bytes, *, declared: str, url: str, takes_text: bool) -> str:
    """Return the MIME type of a downloaded result; an empty string when it is no result.

    Args:
        head: The first HEAD_BYTES bytes of the file, or the whole file if it is shorter.
        declared: The MIME type that the host declared; may be empty.
        url: The address of the file, whose extension is looked at.
        takes_text: Whether the task makes text, so that JSON and plain text are results.
    """
    if not head:
        return ""
    if known := formats.detect_mime_type(head[: formats.HEAD_BYTES]) or _find_signature(head):
        return known
    suffix = PurePosixPath(urlsplit(url).path).suffix[1:].lower()
    if _is_text(head):
        encoding = "utf-16" if head.startswith(_UTF_16) else "utf-8"
        return _identify_text(head.decode(encoding, errors="replace"), suffix, takes_text=takes_text)
    return _identify_unknown_binary(declared, suffix)


def choose_extension(mime_type: str, url: str) -> str:
    """Return the file extension, without a dot, for a type that `identify()` returned."""
    suffix = PurePosixPath(urlsplit(url).path).suffix[1:].lower()
    return EXTENSIONS.get(mime_type) or (suffix if _is_extension(suffix) else mime_type.rpartition("/")[2][-10:])


def _find_signature(head: bytes) -> str:
    return next((known for at, start, known in SIGNATURES if head[at:].startswith(start)), "")


def _is_text(head: bytes) -> bool:
    return head.startswith(_UTF_16) or not _CONTROL_CHARACTER.search(head)


def _identify_text(text: str, suffix: str, *, takes_text: bool) -> str:
    """Return the MIME type of a text; an empty string for a web page, and for a text that nobody asked for."""
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
    """Return the MIME type of a file that no signature tells, where it may be a file all the same.

    Every picture and clip that is known here begins with a signature, so that one without is broken. Raw samples of a
    sound have none.
    """
    kind = declared.partition("/")[0]
    if kind == "audio" or (kind in ("image", "video", "model") and declared not in EXTENSIONS):
        return declared
    if kind in ("", "application", "binary") and _is_extension(suffix) and suffix not in formats.MIME_TYPES:
        return declared or "application/octet-stream"
    return ""


def _is_extension(suffix: str) -> bool:
    """Whether a suffix of an address may be the extension of a result."""
    return bool(re.fullmatch(r"[a-z][a-z0-9]{1,9}", suffix)) and suffix not in ("bin", "html", "htm", "php", "aspx")
