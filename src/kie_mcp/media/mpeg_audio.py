"""Streams of MP2, MP3 and AAC (ADTS) frames: find the first frame, and add up the durations of all frames.

These streams have no index. The lengths of all frames are added up, because an estimate from the first frame's bit rate
is wrong if the bit rate varies.
"""

import re
from dataclasses import dataclass
from typing import IO

MPEG, AAC = "audio/mpeg", "audio/aac"
SEARCH_BYTES = 1_000_000
"""Maximum number of bytes, such as padding or an incomplete frame, that may precede the first complete frame."""
FRAMES_FOR_CERTAINTY = 3
"""Number of consecutive frames that prove a stream; any file may contain a single sync word by chance."""
HEADER_BYTES = 7
MAX_FRAME_BYTES = 8191
"""Size in bytes of the largest frame: an AAC header stores the size in 13 bits."""

# Bit rates in kbit/s (ISO/IEC 11172-3 and 13818-3). A key is a pair: whether the frame is MPEG-1, and the layer.
_BIT_RATES = {
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = (44100, 48000, 32000)
_RATE_DIVISORS = {3: 1, 2: 2, 0: 4}  # keys: the version bits of MPEG-1, MPEG-2 and MPEG-2.5
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its size, its duration, and the properties that all frames of a stream share."""

    size: int
    """Size in bytes, including the header."""
    seconds: float
    stream: tuple[str, int, int]
    """MIME type; version and layer as one number; sample rate in hertz."""


def parse_frame(header: bytes) -> Frame | None:
    """Parse the header of a frame; return None if the bytes are not a header."""
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    if header[1] & 0xF6 == 0xF0:
        return _parse_adts(header)
    # MPEG layer I is refused: nobody uses it, and UTF-16 text may begin with the same bytes.
    version, layer, divisor = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), _RATE_DIVISORS.get(header[1] >> 3 & 3)
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if divisor is None or layer not in (2, 3) or rate == 3 or bit_rate in (0, 15):
        return None
    hertz = _SAMPLE_RATES[rate] // divisor
    samples = 576 if layer == 3 and version != 3 else 1152
    size = samples // 8 * _BIT_RATES[version == 3, layer][bit_rate - 1] * 1000 // hertz + (header[2] >> 1 & 1)
    return Frame(size, samples / hertz, (MPEG, version * 4 + layer, hertz))


def skip_id3(file: IO[bytes]) -> int:
    """Return the position in bytes after the ID3v2 tags at the start of a file; 0 if there is no tag."""
    at = 0
    while True:
        file.seek(at)
        tag = file.read(10)
        if not re.fullmatch(rb"ID3[\x02-\x04].{2}[\0-\x7f]{4}", tag, re.DOTALL):
            return at
        footer = 10 if tag[5] & 0x10 else 0
        at += 10 + footer + sum(each << 7 * place for place, each in enumerate(reversed(tag[6:])))


def find_first_frame(file: IO[bytes], start: int = 0) -> tuple[int, str] | None:
    """Find the first complete frame of a stream.

    Args:
        file: The open file; its read position changes.
        start: Position in bytes at which the search begins.

    Returns:
        The frame's position and the stream's MIME type; None if no stream begins in the next SEARCH_BYTES bytes.
    """
    file.seek(start)
    block = file.read(SEARCH_BYTES)
    at = block.find(b"\xff")
    while at != -1:
        if found := _parse_stream(file, start + at, block[at : at + HEADER_BYTES]):
            return start + at, found
        at = block.find(b"\xff", at + 1)
    return None


def measure_frames(file: IO[bytes], start: int, size: int) -> float | None:
    """Return the length of all frames together, in seconds; damaged bytes are skipped.

    Args:
        file: The open file; its read position changes.
        start: Position of the first frame, in bytes.
        size: Size of the file in bytes.

    Returns:
        The length; None if more than SEARCH_BYTES bytes follow the last frame, because more frames may be in them.
    """
    seconds, at = 0.0, start
    while True:
        file.seek(at)
        frame = parse_frame(file.read(HEADER_BYTES))
        if frame:
            seconds += frame.seconds
            at += frame.size
        elif found := find_first_frame(file, at):
            at = found[0]
        else:
            return seconds if size - at <= SEARCH_BYTES else None


def _parse_adts(header: bytes) -> Frame | None:
    rate, size = header[2] >> 2 & 0xF, (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if rate >= len(_ADTS_RATES) or size < 8:
        return None
    blocks = 1 + (header[6] & 3)
    return Frame(size, blocks * 1024 / _ADTS_RATES[rate], (AAC, header[2] >> 6, _ADTS_RATES[rate]))


def _parse_stream(file: IO[bytes], at: int, header: bytes) -> str | None:
    """Return the MIME type of the stream at a position; None for fewer than FRAMES_FOR_CERTAINTY consecutive frames."""
    first = frame = parse_frame(header)
    for _ in range(FRAMES_FOR_CERTAINTY - 1):
        if not first or not frame or frame.stream != first.stream:
            return None
        at += frame.size
        file.seek(at)
        frame = parse_frame(file.read(HEADER_BYTES))
    return first.stream[0] if first and frame and frame.stream == first.stream else None
