"""Find the frames of a FLAC file by their headers (RFC 9639, section 9.1)."""

from collections.abc import Iterator


def find_samples(content: bytes, block: int) -> Iterator[int]:
    """Yield the number of the first sample of each frame in a part of a FLAC file.

    `block` is the number of samples in a frame.
    """
    for sync, samples_per_number in ((b"\xff\xf8", block), (b"\xff\xf9", 1)):
        at = content.find(sync)
        while at >= 0:
            header = content[at : at + 16]
            if (number := _read_number(header)) is not None:
                yield number * samples_per_number
            at = content.find(sync, at + 2)


def _read_number(header: bytes) -> int | None:
    """Return the frame's or sample's number from a FLAC frame's header; None if the bytes only look like a header."""
    if len(header) < 16:
        return None
    # The number is encoded like a character in UTF-8, but may have up to seven bytes.
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
