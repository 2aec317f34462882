"""Remove metadata (EXIF with location and camera, XMP, comments, thumbnails) from pictures without encoding them again.

This module lists the parts of a file that are kept, and removes all others, so that unknown kinds of metadata are
removed too. Colour profiles are kept.
"""

import re
import struct
from collections.abc import Callable, Iterator
from io import BytesIO

from kie_mcp.media import containers

_SCAN, _END = 0xDA, 0xD9
# In compressed JPEG data, 0xFF is always followed by 0 or by a restart marker (0xD0 to 0xD7). Any other byte after 0xFF
# marks the end of the data.
_NEXT_MARKER = re.compile(rb"\xff+[^\0\xff\xd0-\xd7]")
_KEPT_PNG_CHUNKS = set(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD pHYs acTL fcTL fdAT".split()
)
_KEPT_WEBP_CHUNKS = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_WEBP_METADATA_FLAGS = 0x0C


def strip_metadata(content: bytes, mime_type: str) -> bytes | None:
    """Return a picture without metadata and with unchanged pixels; None if this is not possible for its format.

    Raises:
        ValueError: The file is broken.
    """
    strip = _STRIPPERS.get(mime_type)
    if not strip:
        return None
    try:
        return b"".join(strip(memoryview(content)))
    except (IndexError, struct.error):
        raise ValueError("ends too early") from None


def _strip_jpeg(content: memoryview) -> Iterator[bytes | memoryview]:
    """Yield the parts of a JPEG that are kept; a second picture in the file, such as a gain map, is removed."""
    yield content[:2]
    at = 2
    while True:
        marker = content[at + 1]
        if content[at] != 0xFF:
            raise ValueError("has broken segments")
        if marker == 0xFF:
            at += 1
            continue
        if marker == _END:
            yield content[at : at + 2]
            return
        (length,) = struct.unpack(">H", content[at + 2 : at + 4])
        yield _clean_segment(marker, content[at : at + 2 + length])
        at += 2 + length
        if marker == _SCAN:
            following = _NEXT_MARKER.search(content, at)
            if not following:
                raise ValueError("ends too early")
            yield content[at : following.start()]
            at = following.start()


def _clean_segment(marker: int, segment: memoryview) -> bytes | memoryview:
    """Return a JPEG segment without metadata; empty if the segment consists of metadata only."""
    body = bytes(segment[4:20])
    if marker == 0xE0 and body.startswith(b"JFIF\0"):
        # A thumbnail in a JFIF segment is removed, so its width and height (the last two bytes) become 0.
        return b"\xff\xe0\0\x10" + body[:12] + b"\0\0"
    is_kept = {0xE2: body.startswith(b"ICC_PROFILE\0"), 0xEE: body.startswith(b"Adobe")}
    is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
    return b"" if is_metadata and not is_kept.get(marker) else segment


def _strip_png(content: memoryview) -> Iterator[memoryview]:
    yield content[:8]
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        if at + 12 + length > len(content):
            raise ValueError("ends too early")
        if kind in _KEPT_PNG_CHUNKS:
            yield content[at : at + 12 + length]
        at += 12 + length


def _strip_webp(content: memoryview) -> Iterator[bytes | memoryview]:
    kept: list[bytes | memoryview] = []
    for kind, (start, end) in containers.walk_chunks(BytesIO(content), (12, len(content))):
        if end > len(content):
            raise ValueError("ends too early")
        chunk = content[start - 8 : end + (end - start) % 2]
        if kind == b"VP8X":
            kept += [chunk[:8], bytes([chunk[8] & ~_WEBP_METADATA_FLAGS]), chunk[9:]]
        elif kind in _KEPT_WEBP_CHUNKS:
            kept.append(chunk)
    yield struct.pack("<4sI4s", b"RIFF", 4 + sum(map(len, kept)), b"WEBP")
    yield from kept


_STRIPPERS: dict[str, Callable[[memoryview], Iterator[bytes | memoryview]]] = {
    "image/jpeg": _strip_jpeg,
    "image/png": _strip_png,
    "image/webp": _strip_webp,
}
