"""Check whether a media file is cut off: it must be as long as the sizes in its own headers say.

The checks decode no pixels or sound, so they take little time even for a large file. A check raises `BrokenMedia` if
the file is broken.
"""

import struct
import zipfile
from collections.abc import Set as AbstractSet
from typing import IO
from xml.parsers import expat

from kie_mcp.media import containers, flac, formats, mpeg_audio

OPEN_RIFF_SIZE = 0x3FFF_F000
"""If a RIFF header states this size or more, the program that wrote the header did not know the file's size yet."""
OPEN_SIZE = 1 << 62
"""If a header states a 64-bit size of this or more, the program that wrote it did not know the size yet."""
FLV_TAGS = (8, 9, 18)
"""The types of an FLV file's tags: sound, picture and metadata."""
MPEG_PACK = 0xBA
"""The type of an MPEG program stream's packet that begins a pack; packets of other data have higher numbers."""
FLAC_TAIL_BYTES = 1 << 20
"""Number of bytes at the end of a FLAC file that are searched for the start of the last frame."""
GIF_TAIL_BYTES = 64
"""Number of bytes at the end of an unusual GIF file that are searched for the end mark, a semicolon."""
NEEDED_BOXES = (b"moov", b"meta", b"moof", b"mdat")
"""Types of boxes without which a player or a decoder cannot show an MP4, MOV, HEIC or AVIF file as a whole."""

JPEG_PIXELS = 0xDA
"""The marker of the JPEG segment after which the compressed pixels follow."""
JPEG_BLOCK_BYTES = 1 << 20
"""Number of bytes that are read in each step of the search for a JPEG's end mark."""
# The error codes of expat that mean that a file ends within an element, a tag, a character or a CDATA section
# (expat.h).
_XML_ENDS_EARLY = (3, 5, 6, 20)


class BrokenMedia(Exception):
    """A media file is broken or cut off; the message begins with a verb, such as `breaks off`."""


def _read_at(file: IO[bytes], at: int, count: int) -> bytes:
    """Read `count` bytes at a position; raise `BrokenMedia` if the file has fewer bytes there."""
    file.seek(at)
    content = file.read(count)
    if len(content) < count:
        raise BrokenMedia("breaks off")
    return content


def _peek(file: IO[bytes], at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count).ljust(count, b"\0")


def _require_end(end: int, size: int) -> None:
    if end > size:
        raise BrokenMedia("breaks off")


def _require_parts(names: AbstractSet[object], found: AbstractSet[object], what: str) -> None:
    if not names <= found:
        raise BrokenMedia(f"has no {what}")


def _require_in_tail(file: IO[bytes], size: int, mark: bytes, tail_bytes: int = 1024) -> None:
    """Check that a mark is near the end of a file; some programs write more bytes after the mark."""
    at = max(size - tail_bytes, 0)
    if mark not in _read_at(file, at, size - at):
        raise BrokenMedia("breaks off")


def check_boxes(file: IO[bytes], size: int) -> None:
    """Check an MP4, MOV, HEIC or AVIF file: all needed boxes must be complete, and an index and media data must exist.

    Behind these boxes, some programs write other data, such as an ID3 tag or XMP, which look like an incomplete box.
    """
    boxes = list(containers.walk_boxes(file, (0, size)))
    # Clips and sounds have their index in the box `moov`, and pictures in the box `meta`.
    found = {name for name, _ in boxes}
    has_all = bool(found & {b"moov", b"meta"}) and b"mdat" in found
    if boxes and (not has_all or boxes[-1][0] in NEEDED_BOXES):
        _require_end(boxes[-1][1][1], size)
    if not has_all:
        raise BrokenMedia("has no index or no media data")


def check_ebml(file: IO[bytes], size: int) -> None:
    """Check a WebM or Matroska file: all elements must be complete; tracks and a cluster of media data must exist."""
    segment = next((span for id_, span in containers.walk_elements(file, (0, size)) if id_ == containers.SEGMENT), None)
    if not segment:
        raise BrokenMedia("has no segment")
    _require_end(segment[1], size)
    elements = list(containers.walk_elements(file, segment))
    found = {id_ for id_, _ in elements}
    _require_parts({containers.TRACKS, containers.CLUSTER}, found, "tracks or no media data")
    end = elements[-1][1][1]
    _require_end(end, size)
    if end < segment[1]:
        raise BrokenMedia("is garbled")


def check_riff(file: IO[bytes], size: int) -> None:
    """Check that a WebP, AVI or WAV file is as long as its header says."""
    magic, length = struct.unpack("<4sI", _read_at(file, 0, 8))
    if magic in (b"RF64", b"BW64") and _peek(file, 12, 4) == b"ds64":
        _require_end(_read_open_size(file, 20, "<") + 8 - 1, size)
        return
    # The size in the header may be 1 too large, because some programs count the padding byte at the end but do not
    # write it, or 8 too large, because some programs also count the 8 bytes before it.
    if length < OPEN_RIFF_SIZE:
        _require_end(length, size)


def check_wav(file: IO[bytes], size: int) -> None:
    """Check that a WAV file has a format and all its samples."""
    check_riff(file, size)
    found = set[bytes]()
    for name, (begin, end) in containers.walk_chunks(file, (12, size)):
        found.add(name)
        if name == b"data":
            if end - begin < OPEN_RIFF_SIZE:
                _require_end(end, size)
            break
    _require_parts({b"fmt ", b"data"}, found, "format or no samples")


def _read_open_size(file: IO[bytes], at: int, order: str) -> int:
    """Return a 64-bit size in a header; 0 if the program that wrote the header did not know the size yet."""
    (length,) = struct.unpack(f"{order}Q", _read_at(file, at, 8))
    return 0 if length >= OPEN_SIZE else int(length)


def check_w64(file: IO[bytes], size: int) -> None:
    """Check that a W64 file is as long as its header says."""
    _require_end(_read_open_size(file, 16, "<"), size)


def check_caf(file: IO[bytes], size: int) -> None:
    """Check that all chunks of a CAF file are complete, and that one of them has samples."""
    at, found = 8, set[bytes]()
    while at + 12 <= size:
        name, length = _read_at(file, at, 4), _read_open_size(file, at + 4, ">")
        found.add(name)
        if name == b"data" and not length:
            break
        at += 12 + length
        _require_end(at, size)
    _require_parts({b"data"}, found, "samples")


def check_au(file: IO[bytes], size: int) -> None:
    """Check that an AU file has as many samples as its header says."""
    begin, length = struct.unpack(">II", _read_at(file, 4, 8))
    _require_end(begin + (0 if length == 0xFFFF_FFFF else length), size)


def check_asf(file: IO[bytes], size: int) -> None:
    """Check that a WMV or WMA file has all its media data; they follow the header (ASF, section 3)."""
    header = _read_open_size(file, 16, "<")
    _require_end(header + 24, size)
    _require_end(header + _read_open_size(file, header + 16, "<"), size)


def check_flv(file: IO[bytes], size: int) -> None:
    """Check that the last tag of an FLV file is complete (Adobe's specification of FLV, annex E)."""
    at = 13
    while at < size and _peek(file, at, 1)[0] & 0x1F in FLV_TAGS:
        at += 15 + int.from_bytes(_read_at(file, at, 11)[1:4], "big")
        # Some programs leave out the size behind the last tag, which has 4 bytes.
        _require_end(at - 4, size)


def check_program_stream(file: IO[bytes], size: int) -> None:
    """Check that the last packet of an MPG or VOB file is complete (ISO/IEC 13818-1); the rest is not checked."""
    at = 0
    while at < size and (header := _peek(file, at, 14))[:3] == b"\0\0\1" and header[3] >= MPEG_PACK:
        if header[3] == MPEG_PACK:
            at += 12 if header[4] >> 6 == 0 else 14 + (header[13] & 7)
        else:
            at += 6 + int.from_bytes(header[4:6], "big")
        _require_end(at, size)


def check_transport_stream(file: IO[bytes], size: int) -> None:
    """Check that the last packet of a TS or M2TS file is complete; a packet has 188 bytes, or 192 with a time stamp."""
    if size % (188 if _peek(file, 0, 1) == b"\x47" else 192):
        raise BrokenMedia("breaks off")


def check_ac3(file: IO[bytes], size: int) -> None:
    """Check that the last frame of an AC-3 or E-AC-3 file is complete."""
    at = 0
    while at < size and (frame := formats.measure_ac3_frame(_peek(file, at, 8))[0]):
        at += frame
        _require_end(at, size)


def check_icon(file: IO[bytes], size: int) -> None:
    """Check that all pictures in an ICO file are complete."""
    (count,) = struct.unpack("<H", _read_at(file, 4, 2))
    for number in range(count):
        length, begin = struct.unpack("<II", _read_at(file, 14 + 16 * number, 8))
        _require_end(begin + length, size)


def check_aiff(file: IO[bytes], size: int) -> None:
    """Check that an AIFF file is as long as its header says."""
    _require_end(8 + struct.unpack(">I", _read_at(file, 4, 4))[0], size)


def check_glb(file: IO[bytes], size: int) -> None:
    """Check that a 3D model in a GLB file (binary glTF 2.0) is as long as its header says."""
    _require_end(struct.unpack("<I", _read_at(file, 8, 4))[0], size)


def check_zip(file: IO[bytes], size: int) -> None:  # noqa: ARG001 - every check takes the size
    """Check that a ZIP has its index, which is at the end of the file."""
    if not zipfile.is_zipfile(file):
        raise BrokenMedia("breaks off")


def check_svg(file: IO[bytes], size: int) -> None:  # noqa: ARG001 - every check takes the size
    """Check that an SVG does not end inside an element; other XML errors are ignored."""
    file.seek(0)
    try:
        expat.ParserCreate().ParseFile(file)
    except expat.ExpatError as error:
        if error.code in _XML_ENDS_EARLY:
            raise BrokenMedia("breaks off") from None


def check_pdf(file: IO[bytes], size: int) -> None:
    """Check that a PDF has its end mark."""
    _require_in_tail(file, size, b"%%EOF")


def check_png(file: IO[bytes], size: int) -> None:
    """Check that a PNG has all chunks up to its end (`IEND`)."""
    at, name = 8, b""
    while name != b"IEND":
        length, name = struct.unpack(">I4s", _read_at(file, at, 8))
        at += 12 + length
        _require_end(at, size)


def check_jpeg(file: IO[bytes], size: int) -> None:
    """Check that a JPEG has an end mark after its header segments.

    Compressed pixels never contain the end mark. A thumbnail has an end mark too, but a thumbnail is inside a header
    segment, and the header segments are skipped.
    """
    at = 2
    while (header := _read_at(file, at, 4))[1] != JPEG_PIXELS:
        if header[0] != 0xFF:
            # The segments are unusual, but Pillow may be able to read them. So the file passes this check.
            return
        # Any number of filling bytes (0xFF) may precede a marker, so they are skipped one by one.
        at += 1 if header[1] == 0xFF else 2 + int.from_bytes(header[2:], "big")
    for begin in range(at, size, JPEG_BLOCK_BYTES):
        if b"\xff\xd9" in _peek(file, begin, JPEG_BLOCK_BYTES + 1):
            return
    raise BrokenMedia("breaks off")


def check_gif(file: IO[bytes], size: int) -> None:
    """Check that a GIF has all its blocks up to its end mark, a semicolon; some programs write more bytes after it."""
    at = 13 + _count_color_bytes(_read_at(file, 10, 1)[0])
    while (mark := _read_at(file, at, 1)) != b";":
        if mark == b",":
            at += 11 + _count_color_bytes(_read_at(file, at + 9, 1)[0])
        elif mark == b"!":
            at += 2
        else:
            # Some programs write zeros between two blocks. Pillow skips them when it decodes the picture.
            _require_in_tail(file, size, b";", GIF_TAIL_BYTES)
            return
        while length := _read_at(file, at, 1)[0]:
            at += 1 + length
        at += 1


def _count_color_bytes(flags: int) -> int:
    """Return the size of a GIF's colour table in bytes, which the flags before it state; 0 if there is no table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def check_tiff(file: IO[bytes], size: int) -> None:
    """Check that the first directory of a TIFF is complete; this directory may be anywhere in the file."""
    head = _read_at(file, 0, 16)
    order = ">" if head.startswith(b"MM") else "<"
    # BigTIFF, the variant for files above 4 GB, has 8-byte positions.
    is_big = b"+" in head[2:4]
    place, count, entry_bytes = (head[8:16], "Q", 20) if is_big else (head[4:8], "H", 12)
    (directory,) = struct.unpack(f"{order}{'Q' if is_big else 'I'}", place)
    (entries,) = struct.unpack(f"{order}{count}", _read_at(file, directory, struct.calcsize(count)))
    _require_end(directory + struct.calcsize(count) + entry_bytes * entries, size)


def check_midi(file: IO[bytes], size: int) -> None:
    """Check that a MIDI file has as many tracks as its header says."""
    tracks, at = struct.unpack(">H", _read_at(file, 10, 2))[0], 0
    while tracks >= 0:
        name, length = struct.unpack(">4sI", _read_at(file, at, 8))
        tracks -= name in (b"MThd", b"MTrk")
        at += 8 + length
        _require_end(at, size)


def check_ogg(file: IO[bytes], size: int) -> None:
    """Check that the pages of an Ogg file are complete (RFC 3533)."""
    at, ended = 0, False
    while at < size:
        if at and _is_padding_or_tag(_peek(file, at, 10), ended=ended):
            return
        header = _read_at(file, at, 27)
        if header[:4] != b"OggS":
            raise BrokenMedia("is garbled")
        ended = bool(header[5] & 4)
        segments = _read_at(file, at + 27, header[26])
        at += 27 + len(segments) + sum(segments)
        _require_end(at, size)


def _is_padding_or_tag(following: bytes, *, ended: bool) -> bool:
    """Return whether the pages end here: zeros or a tag follow, or the stream has ended and no other page follows."""
    if following.startswith(b"OggS"):
        return False
    return ended or following.startswith((b"TAG", b"ID3", b"APETAGEX")) or not following.strip(b"\0")


def check_flac(file: IO[bytes], size: int) -> None:
    """Check that a FLAC file has as many samples as its header says (RFC 9639)."""
    at, last, total, block = mpeg_audio.skip_id3(file) + 4, False, 0, 0
    while not last:
        header = _read_at(file, at, 4)
        last, kind, length = bool(header[0] & 0x80), header[0] & 0x7F, int.from_bytes(header[1:], "big")
        if kind == 0:
            info = _read_at(file, at + 4, 18)
            block, total = struct.unpack(">H", info[2:4])[0], int.from_bytes(info[10:18], "big") & 0xF_FFFF_FFFF
        at += 4 + length
        _require_end(at, size)
    begin = max(at, size - FLAC_TAIL_BYTES)
    last_sample = max(flac.find_samples(_read_at(file, begin, size - begin), block), default=-1)
    if last_sample < 0 or last_sample + block < total:
        raise BrokenMedia("breaks off")


def check_frames(file: IO[bytes], size: int) -> None:
    """Check that an MP3 or AAC file has a complete last frame, and is as long as its Xing header (if any) says."""
    begin = mpeg_audio.skip_id3(file)
    _require_end(begin, size)
    # Some programs write zeros or comments between the ID3 tag and the first frame.
    found = mpeg_audio.find_first_frame(file, begin)
    if not found:
        raise BrokenMedia("has no sound")
    begin, at = found[0], found[0]
    # The loop ends at the first bytes that are not a frame, for example a tag after the last frame.
    while at < size and (frame := mpeg_audio.parse_frame(_peek(file, at, mpeg_audio.HEADER_BYTES))):
        at += frame.size
        _require_end(at, size)
    first = _peek(file, begin, 1024)
    for name in (b"Xing", b"Info"):
        place = first.find(name, 4, 200)
        if place >= 0 and first[place + 7] & 3 == 3:
            (length,) = struct.unpack(">I", first[place + 12 : place + 16])
            # The file may be longer than its header says: some programs do not count the frame that holds the header.
            _require_end(begin + length, size)
