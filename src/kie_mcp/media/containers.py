"""Read the structure of media files: the boxes of MP4, the elements of Matroska, the chunks of RIFF, and the tracks.

Only the headers of boxes, elements and chunks are read. The functions return the end of a box as its header states it.
If this position is after the end of the file, `container_checks` regards the file as cut off.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

MAX_PARTS = 100_000
"""Maximum number of boxes, elements or chunks that are read on one level; this limits the time for broken files."""

_EBML_HEADER, _DOC_TYPE = 0x1A45DFA3, 0x4282
SEGMENT, TRACKS, CLUSTER, _INFO = 0x18538067, 0x1654AE6B, 0x1F43B675, 0x1549A966
_TIMECODE_SCALE, _DURATION, _TRACK_ENTRY, _TRACK_TYPE = 0x2AD7B1, 0x4489, 0xAE, 0x83

_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")

Span = tuple[int, int]
"""Start and end of the content of a box, element or chunk, in bytes from the start of the file."""


@dataclass(slots=True)
class Matroska:
    """Format, tracks and length of a Matroska or WebM file, from its headers."""

    doc_type: str = ""
    """Name of the format: `matroska` or `webm`."""
    track_types: set[int] = field(default_factory=set)
    """The kinds of tracks in the file: 1 means video, and 2 means audio."""
    seconds: float = 0
    """Length in seconds; 0 if unknown, as in a live recording."""


def walk_boxes(file: IO[bytes], span: Span) -> Iterator[tuple[bytes, Span]]:
    """Yield the type of each box in an ISO base media file (MP4, MOV, HEIF), and the span of the box's content."""
    at, end = span
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return
        size, kind = struct.unpack(">I4s", header[:8])
        body = at + 8
        if size == 1 and len(header) == 16:
            size, body = int.from_bytes(header[8:], "big"), at + 16
        at = at + size if size else end
        if at < body:
            return
        yield kind, (body, at)


def walk_chunks(file: IO[bytes], span: Span) -> Iterator[tuple[bytes, Span]]:
    """Yield the type of each chunk in a RIFF file (WAV, WebP, AVI), and the span of the chunk's content."""
    at, end = span
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        kind, length = struct.unpack("<4sI", header)
        yield kind, (at + 8, at + 8 + length)
        at += 8 + length + length % 2


def find_box(file: IO[bytes], span: Span, *path: bytes) -> Span | None:
    """Return the span of a nested box's content: `b"moov", b"mvhd"` means the first `mvhd` in the first `moov`.

    Returns:
        The span, or None if the file has no such box.
    """
    for kind in path:
        found = next((inner for each, inner in walk_boxes(file, span) if each == kind), None)
        if not found:
            return None
        span = found
    return span


def find_handlers(file: IO[bytes], size: int) -> set[bytes]:
    """Return the kinds of tracks in an MP4 or MOV file, such as `vide` and `soun`.

    Args:
        file: The open file; its read position changes.
        size: Size of the file in bytes.
    """
    movie = find_box(file, (0, size), b"moov")
    if not movie:
        return set()
    handlers = set()
    for kind, track in walk_boxes(file, movie):
        if kind == b"trak" and (handler := find_box(file, track, b"mdia", b"hdlr")):
            file.seek(handler[0] + 8)
            handlers.add(file.read(4))
    return handlers


def read_matroska(file: IO[bytes], size: int) -> Matroska | None:
    """Read the headers of a Matroska or WebM file; return None if the file has another format.

    Args:
        file: The open file; its read position changes.
        size: Size of the file in bytes.
    """
    found = Matroska()
    for kind, span in walk_elements(file, (0, size)):
        if kind == _EBML_HEADER:
            found.doc_type = _read_children(file, span).get(_DOC_TYPE, b"").rstrip(b"\0").decode("latin-1")
        elif kind == SEGMENT:
            _read_segment(file, span, found)
            break
    return found if found.doc_type in ("matroska", "webm") else None


def asf_kinds(head: bytes) -> set[str]:
    """Return the kinds of streams, `video` or `audio`, that the header of an ASF file (WMA, WMV) lists."""
    return {kind for kind, guid in (("video", _ASF_VIDEO), ("audio", _ASF_AUDIO)) if guid in head}


def _read_segment(file: IO[bytes], segment: Span, found: Matroska) -> None:
    for kind, span in walk_elements(file, segment):
        if kind == _INFO:
            facts = _read_children(file, span)
            scale = int.from_bytes(facts.get(_TIMECODE_SCALE, b"\x0f\x42\x40"), "big")
            found.seconds = _parse_float(facts.get(_DURATION, b"")) * scale / 1e9
        elif kind == TRACKS:
            entries = [_read_children(file, entry) for each, entry in walk_elements(file, span) if each == _TRACK_ENTRY]
            found.track_types = {int.from_bytes(entry.get(_TRACK_TYPE, b""), "big") for entry in entries}
        elif kind == CLUSTER and found.track_types:
            return


def _parse_float(content: bytes) -> float:
    match len(content):
        case 4:
            return float(struct.unpack(">f", content)[0])
        case 8:
            return float(struct.unpack(">d", content)[0])
        case _:
            return 0.0


def walk_elements(file: IO[bytes], span: Span) -> Iterator[tuple[int, Span]]:
    """Yield the id of each EBML element, and the span of its content (EBML is the file structure of Matroska).

    If the size of an element is unknown, its span ends at the end of its parent.
    """
    at, end = span
    for _ in range(MAX_PARTS):
        if at >= end:
            return
        file.seek(at)
        header = file.read(12)
        id_length = _vint_length(header[:1])
        size_length = _vint_length(header[id_length : id_length + 1])
        if not id_length or not size_length:
            return
        body = at + id_length + size_length
        size = int.from_bytes(header[id_length : id_length + size_length], "big") & ((1 << 7 * size_length) - 1)
        unknown = size == (1 << 7 * size_length) - 1
        at = end if unknown else body + size
        yield int.from_bytes(header[:id_length], "big"), (body, at)


def _vint_length(first: bytes) -> int:
    """Return the length of an EBML number in bytes, according to its first byte; 0 if this byte is invalid."""
    return 9 - first[0].bit_length() if first and first[0] else 0


def _read_children(file: IO[bytes], span: Span) -> dict[int, bytes]:
    """Return the first 64 bytes of each child of an element, by the id of the child."""
    children = {}
    for kind, (start, end) in walk_elements(file, span):
        file.seek(start)
        children[kind] = file.read(min(end - start, 64))
    return children
