"""What a file is, by its first bytes: names lie, and KIE believes names."""

import struct

HEAD = 64
"""Bytes that are enough to tell."""

EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/heic": "heic",
    "image/avif": "avif",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-msvideo": "avi",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/midi": "mid",
    "text/plain": "txt",
    "application/json": "json",
}
"""File extensions by MIME type."""

TYPES = {extension: mime_type for mime_type, extension in EXTENSIONS.items()} | {
    "jpeg": "image/jpeg",
    "jfif": "image/jpeg",
    "pjpeg": "image/jpeg",
    "pjp": "image/jpeg",
    "tif": "image/tiff",
    "heif": "image/heic",
    "m4v": "video/mp4",
}
"""MIME types by file extension."""

_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"ID3\x02", "audio/mpeg"),
    (b"ID3\x03", "audio/mpeg"),
    (b"ID3\x04", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"MThd", "audio/midi"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
    b"avif": "image/avif",
}


def mime_type(head: bytes) -> str | None:
    """The MIME type of a file that starts like this; None for anything that is no media."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    # Text may begin with BM too, but has no zeros there.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "image/bmp"
    match head[:4], head[4:8], head[8:12]:
        case b"RIFF", _, form:
            return _RIFF.get(form)
        case _, b"ftyp", brand:
            return _BRANDS.get(brand, "video/mp4")
        case _:
            return _mpeg_audio(head)


def _mpeg_audio(head: bytes) -> str | None:
    if len(head) < 2:
        return None
    (sync,) = struct.unpack(">H", head[:2])
    if sync & 0xFFF6 == 0xFFF0:
        return "audio/aac"
    # Layers II and III: layer I nobody uses, and the first bytes of UTF-16 text look like it.
    return "audio/mpeg" if sync & 0xFFE0 == 0xFFE0 and sync & 0x0006 in (2, 4) else None
