"""Checks of containers (MP4, WebM, WAV, Ogg and others): does the file hold as many bytes as its own sizes say?

A check reads headers only, so that the size of a file does not matter. It raises `BrokenMedia` for a broken file.
"""

import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import IO

OPEN_RIFF_SIZE = 0x7FFF_F000
"""RIFF sizes from here on are those of programs that did not know the size when they wrote the header."""
FLAC_TAIL_BYTES = 1 << 20
"""Number of bytes at the end of a FLAC file in which its last frame begins."""
GIF_TAIL_BYTES = 64
"""Number of bytes at the end of a GIF file in which its last byte is looked for."""
MP3_LEAD_BYTES = 1 << 16
"""Number of bytes after the tag of an MP3 file in which its first frame is looked for."""


class BrokenMedia(Exception):
    """A media file is not whole; the message is a predicate, such as `breaks off`."""


def _read_at(file: IO[bytes], at: int, count: int) -> bytes:
    """Read bytes at a position; raise `BrokenMedia` when the file has fewer."""
    file.seek(at)
    content = file.read(count)
    if len(content) < count:
        raise BrokenMedia("breaks off")
    return content


def _require_end(end: int, size: int) -> None:
    if end > size:
        raise BrokenMedia("breaks off")


def _require_parts(names: set[bytes], found: set[bytes], what: str) -> None:
    if not names <= found:
        raise BrokenMedia(f"has no {what}")


def _require_in_tail(file: IO[bytes], size: int, mark: bytes, tail_bytes: int = 1024) -> None:
    """Require a mark near the end of a file; some programs write more behind it."""
    at = max(size - tail_bytes, 0)
    if mark not in _read_at(file, at, size - at):
        raise BrokenMedia("breaks off")


def check_boxes(file: IO[bytes], size: int) -> None:
    """Check an MP4, MOV, HEIC or AVIF file: all boxes are whole, and index and media data are there."""
    found = set(_box_names(file, size))
    # The index of a clip or sound is `moov`, and that of a picture is `meta`.
    if not found & {b"moov", b"meta"} or b"mdat" not in found:
        raise BrokenMedia("has no index or no media data")


def _box_names(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the type of each box at the top level (ISO/IEC 14496-12)."""
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        if not header.strip(b"\0"):
            # Some programs fill the end of a file with zeros.
            return
        if len(header) < 8:
            raise BrokenMedia("breaks off")
        length, name = struct.unpack(">I4s", header[:8])
        if length == 1:
            (length,) = struct.unpack(">Q", _read_at(file, at + 8, 8))
        # A length of 0 means that the box goes to the end of the file.
        length = length or size - at
        if length < 8:
            return
        _require_end(at + length, size)
        yield name
        at += length


def check_ebml(file: IO[bytes], size: int) -> None:
    """Check a WebM or Matroska file: all parts are whole, and there are tracks and a cluster of media data."""
    _, begin, length = _read_element(file, 0)
    id_, at, length = _read_element(file, begin + (length or 0))
    if id_ != b"\x18\x53\x80\x67":
        raise BrokenMedia("has no segment")
    end = size if length is None else at + length
    _require_end(end, size)
    found = set[bytes]()
    while at < end:
        id_, begin, length = _read_element(file, at)
        found.add(id_)
        if length is None:
            # A live stream states no length of its clusters.
            break
        at = begin + length
        _require_end(at, size)
    _require_parts({b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"}, found, "tracks or no media data")


def _read_element(file: IO[bytes], at: int) -> tuple[bytes, int, int | None]:
    """Return an EBML element's id, where its content begins, and its length; None for an unknown length (RFC 8794)."""
    (first,) = _read_at(file, at, 1)
    id_bytes = 9 - first.bit_length()
    if id_bytes > 4:
        raise BrokenMedia("is garbled")
    id_ = _read_at(file, at, id_bytes)
    (first,) = _read_at(file, at + id_bytes, 1)
    length_bytes = 9 - first.bit_length()
    if length_bytes > 8:
        raise BrokenMedia("is garbled")
    number = int.from_bytes(_read_at(file, at + id_bytes, length_bytes), "big") & ((1 << 7 * length_bytes) - 1)
    unknown = number == (1 << 7 * length_bytes) - 1
    return id_, at + id_bytes + length_bytes, None if unknown else number


def check_riff(file: IO[bytes], size: int) -> None:
    """Check a WebP, AVI or WAV file by the size in its header."""
    (length,) = struct.unpack("<I", _read_at(file, 4, 4))
    # Some programs count the padding byte at the end and do not write it.
    if length < OPEN_RIFF_SIZE:
        _require_end(length + 8 - 1, size)


def check_wav(file: IO[bytes], size: int) -> None:
    """Check a WAV file: its format and its samples are there."""
    check_riff(file, size)
    at, found = 12, set[bytes]()
    while at + 8 <= size:
        name, length = struct.unpack("<4sI", _read_at(file, at, 8))
        found.add(name)
        if name == b"data":
            if length < OPEN_RIFF_SIZE:
                _require_end(at + 8 + length, size)
            break
        at += 8 + length + length % 2
    _require_parts({b"fmt ", b"data"}, found, "format or no samples")


def check_aiff(file: IO[bytes], size: int) -> None:
    """Check an AIFF file by the size in its header."""
    _require_end(8 + struct.unpack(">I", _read_at(file, 4, 4))[0], size)


def check_glb(file: IO[bytes], size: int) -> None:
    """Check a 3D model in one file (glTF 2.0) by the size in its header."""
    _require_end(struct.unpack("<I", _read_at(file, 8, 4))[0], size)


def check_zip(file: IO[bytes], size: int) -> None:  # noqa: ARG001 - every check takes the size
    """Check that a ZIP has its index, which is at the end of the file."""
    if not zipfile.is_zipfile(file):
        raise BrokenMedia("breaks off")


def check_svg(file: IO[bytes], size: int) -> None:
    """Check that the drawing in an SVG is closed."""
    _require_in_tail(file, size, b"</svg>")


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


def check_gif(file: IO[bytes], size: int) -> None:
    """Check that a GIF has its last byte, a semicolon."""
    _require_in_tail(file, size, b";", GIF_TAIL_BYTES)


def check_tiff(file: IO[bytes], size: int) -> None:
    """Check that the directory of a TIFF, which may be at the end of the file, is there."""
    order = ">" if _read_at(file, 0, 2) == b"MM" else "<"
    (directory,) = struct.unpack(f"{order}I", _read_at(file, 4, 4))
    (entries,) = struct.unpack(f"{order}H", _read_at(file, directory, 2))
    _require_end(directory + 2 + 12 * entries, size)


def check_midi(file: IO[bytes], size: int) -> None:
    """Check that a MIDI file has as many tracks as its header says."""
    tracks, at = struct.unpack(">H", _read_at(file, 10, 2))[0], 0
    while tracks >= 0:
        name, length = struct.unpack(">4sI", _read_at(file, at, 8))
        tracks -= name in (b"MThd", b"MTrk")
        at += 8 + length
        _require_end(at, size)


def check_ogg(file: IO[bytes], size: int) -> None:
    """Check that the pages of an Ogg file are whole (RFC 3533)."""
    at = 0
    while at < size:
        header = _read_at(file, at, 27)
        if header[:4] != b"OggS":
            raise BrokenMedia("is garbled")
        segments = _read_at(file, at + 27, header[26])
        at += 27 + len(segments) + sum(segments)
        _require_end(at, size)


def check_flac(file: IO[bytes], size: int) -> None:
    """Check that a FLAC file has as many samples as its header says (RFC 9639)."""
    at, last, total, block = 4, False, 0, 0
    while not last:
        header = _read_at(file, at, 4)
        last, kind, length = bool(header[0] & 0x80), header[0] & 0x7F, int.from_bytes(header[1:], "big")
        if kind == 0:
            info = _read_at(file, at + 4, 18)
            block, total = struct.unpack(">H", info[2:4])[0], int.from_bytes(info[10:18], "big") & 0xF_FFFF_FFFF
        at += 4 + length
        _require_end(at, size)
    begin = max(at, size - FLAC_TAIL_BYTES)
    last_sample = max(_flac_frames(_read_at(file, begin, size - begin), block), default=-1)
    if last_sample < 0 or last_sample + block < total:
        raise BrokenMedia("breaks off")


def _flac_frames(content: bytes, block: int) -> Iterator[int]:
    """Yield the number of the first sample of each frame in a part of a FLAC file; `block` is in samples per frame."""
    for sync, samples_per_number in ((b"\xff\xf8", block), (b"\xff\xf9", 1)):
        at = content.find(sync)
        while at >= 0:
            header = content[at : at + 16]
            if (number := _flac_frame_number(header)) is not None:
                yield number * samples_per_number
            at = content.find(sync, at + 2)


def _flac_frame_number(header: bytes) -> int | None:
    """Return the number in the header of a FLAC frame; None for bytes that only look like a header."""
    if len(header) < 16:
        return None
    # The number is coded as UTF-8 codes a character, in up to seven bytes.
    ones = 8 - (header[4] ^ 0xFF).bit_length()
    if ones in (1, 8):
        return None
    number, end = header[4] & (0x7F >> ones), 4 + max(ones, 1)
    for each in header[5:end]:
        number = number << 6 | each & 0x3F
    end += {6: 1, 7: 2}.get(header[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(header[2] & 0x0F, 0)
    return number if _crc8(header[:end]) == header[end] else None


def _crc8(content: bytes) -> int:
    value = 0
    for each in content:
        value ^= each
        for _ in range(8):
            value = (value << 1 ^ (0x107 if value & 0x80 else 0)) & 0x1FF
    return value


def check_mp3(file: IO[bytes], size: int) -> None:
    """Check that the last frame of an MP3 file is whole, and that there are as many bytes as a Xing header says."""
    at = _end_of_id3(file)
    _require_end(at, size)
    lead = _read_at(file, at, min(MP3_LEAD_BYTES, size - at))
    # Some programs write zeros or an encoder's remarks between the tag and the sound.
    begin = next((place for place in range(len(lead)) if _begins_mp3(lead, place)), len(lead))
    at += begin
    _check_frames(file, at, size, _mp3_frame_bytes)
    first = lead[begin : begin + 1024]
    for name in (b"Xing", b"Info"):
        place = first.find(name, 4, 200)
        if place >= 0 and first[place + 7] & 3 == 3:
            (length,) = struct.unpack(">I", first[place + 12 : place + 16])
            # Some programs do not count the frame with this header.
            _require_end(at + length, size)


def _begins_mp3(content: bytes, at: int) -> bool:
    """Whether a frame begins here, followed by another one or by the end of the content."""
    length = _mp3_frame_bytes(content[at : at + 4].ljust(4, b"\0")) if content[at] == 0xFF else 0
    after = content[at + length : at + length + 4]
    return bool(length) and (len(after) < 4 or bool(_mp3_frame_bytes(after)) or after[:3] in (b"TAG", b"APE"))


def check_aac(file: IO[bytes], size: int) -> None:
    """Check that the last frame of an AAC file (ADTS) is whole."""
    _check_frames(file, 0, size, _aac_frame_bytes)


def _end_of_id3(file: IO[bytes]) -> int:
    """Return the position after the tag at the beginning of an MP3 file; 0 when there is no tag."""
    header = _read_at(file, 0, 10)
    if header[:3] != b"ID3":
        return 0
    length = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
    return 10 + length + (10 if header[5] & 0x10 else 0)


def _check_frames(file: IO[bytes], at: int, size: int, frame_bytes: Callable[[bytes], int]) -> None:
    """Follow the frames of a sound from one header to the next; what comes after the last frame is no frame."""
    count = 0
    while at < size:
        file.seek(at)
        header = file.read(8)
        length = frame_bytes(header.ljust(8, b"\0"))
        if not length:
            break
        _require_end(at + length, size)
        at, count = at + length, count + 1
    if not count:
        raise BrokenMedia("has no sound")


_MP3_KBPS = {
    # By MPEG version (1, or 2 and 2.5) and layer.
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_HZ = (44100, 48000, 32000)


def _mp3_frame_bytes(header: bytes) -> int:
    """Return the length of an MPEG audio frame of layer II or III by its header; 0 when it is no such header."""
    version_bits, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    kbps_index, hz_index = header[2] >> 4, header[2] >> 2 & 3
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0 or version_bits == 1 or layer not in (2, 3):
        return 0
    if kbps_index in (0, 15) or hz_index == 3:
        return 0
    version = 1 if version_bits == 3 else 2
    hz = _MP3_HZ[hz_index] // {3: 1, 2: 2, 0: 4}[version_bits]
    samples = 576 if version == 2 and layer == 3 else 1152
    return samples // 8 * _MP3_KBPS[version, layer][kbps_index] * 1000 // hz + (header[2] >> 1 & 1)


def _aac_frame_bytes(header: bytes) -> int:
    """Return the length of an ADTS frame by its header; 0 when it is no such header."""
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    return (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
