"""MIME types of media files, detected by the first bytes (magic numbers), and the file extensions of these types.

The extension of a file is often wrong, and KIE relies on the extension, so we detect the type by the content.
"""

import struct

HEAD_BYTES = 64
"""Number of bytes from the start of a file that `detect_mime_type()` needs."""

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
"""File extension, without a dot, by MIME type."""

MIME_TYPES = {extension: mime_type for mime_type, extension in EXTENSIONS.items()} | {
    "jpeg": "image/jpeg",
    "jfif": "image/jpeg",
    "pjpeg": "image/jpeg",
    "pjp": "image/jpeg",
    "tif": "image/tiff",
    "heif": "image/heic",
    "m4v": "video/mp4",
}
"""MIME type by file extension, without a dot."""

_MAGIC_NUMBERS = (
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
_RIFF_FORMS = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_FTYP_BRANDS = {
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
    b"avif": "image/avif",
}


def detect_mime_type(head: bytes) -> str | None:
    """Detect the MIME type of a media file.

    Args:
        head: The first HEAD_BYTES bytes of the file, or the whole file if it is shorter.

    Returns:
        The MIME type, or None if the content is no known media format.
    """
    for start, found in _MAGIC_NUMBERS:
        if head.startswith(start):
            return found
    # Text may begin with BM too, but only a BMP file has these four zero bytes.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "image/bmp"
    match head[:4], head[4:8], head[8:12]:
        case b"RIFF", _, form:
            return _RIFF_FORMS.get(form)
        case _, b"ftyp", brand:
            return _FTYP_BRANDS.get(brand, "video/mp4")
        case _:
            return _detect_mpeg_audio(head)


def _detect_mpeg_audio(head: bytes) -> str | None:
    """Detect MP3 and AAC files that have no file header, by the sync word of the first audio frame."""
    if len(head) < 2:
        return None
    (sync,) = struct.unpack(">H", head[:2])
    if sync & 0xFFF6 == 0xFFF0:
        return "audio/aac"
    # MPEG layer I is left out: nobody uses it, and UTF-16 text may begin with the same bytes.
    return "audio/mpeg" if sync & 0xFFE0 == 0xFFE0 and sync & 0x0006 in (2, 4) else None
