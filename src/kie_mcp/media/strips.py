"""Decode a PNG or HEIC picture a few rows at a time, so that Pillow never holds the whole picture in memory."""

import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import IO

import PIL.Image

ROWS = 64
"""Number of rows of a strip. It is also the largest factor by which a strip can be scaled down."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK_BYTES = 1 << 16
_CHANNELS = {(8, 0): 1, (8, 2): 3, (8, 3): 1, (8, 4): 2, (8, 6): 4, (16, 0): 2}
"""Bytes per pixel, by bit depth and colour type of a PNG; other types of PNG cannot be decoded in strips.

Pillow can return the pixels unchanged only for these types.
"""

Convert = Callable[[PIL.Image.Image], PIL.Image.Image]


def find_strips(image: PIL.Image.Image, file: IO[bytes]) -> Iterator[PIL.Image.Image] | None:
    """Return an open picture as strips (pictures of at most ROWS rows); None if it cannot be decoded in strips.

    Args:
        image: The open picture; it must not have been decoded yet.
        file: The picture's file; reading the strips changes its read position.
    """
    if image.format == "HEIF":
        return _read_heif_strips(image)
    file.seek(len(_SIGNATURE))
    header = file.read(25)
    if image.format != "PNG" or len(header) < 25 or header[4:8] != b"IHDR":
        return None
    depth, colour, interlaced = header[16], header[17], header[20]
    return None if interlaced or (depth, colour) not in _CHANNELS else _read_png_strips(image, file)


def join_strips(
    strips: Iterator[PIL.Image.Image], size: tuple[int, int], factor: int, convert: Convert
) -> PIL.Image.Image:
    """Scale strips down and join them to one picture.

    Args:
        strips: The strips of a picture.
        size: Width and height of the whole picture in pixels, before it is scaled down.
        factor: The number by which width and height are divided: a power of 2, at most ROWS.
        convert: A function that converts each strip to the mode of the new picture.

    Raises:
        OSError: The picture is broken or cut off.
    """
    joined, top = None, 0
    for strip in strips:
        smaller = convert(strip).reduce(factor)
        if joined is None:
            joined = PIL.Image.new(smaller.mode, (math.ceil(size[0] / factor), math.ceil(size[1] / factor)))
        joined.paste(smaller, (0, top))
        top += smaller.height
    if joined is None or top < joined.height:
        raise OSError("image file is truncated")
    return joined


def _read_heif_strips(image: PIL.Image.Image) -> Iterator[PIL.Image.Image]:
    """Yield the strips of a HEIC picture; a copy of the whole picture in Pillow would take 4 more bytes per pixel."""
    # A private attribute of pi-heif is used, because opening the file again would hold a second copy of the picture.
    picture = image._heif_file[image.tell()]  # type: ignore[attr-defined]  # noqa: SLF001
    pixels = memoryview(picture.data)
    # The size of the decoded picture is used, because the size in the header may be different.
    width, height = picture.size
    for top in range(0, height, ROWS):
        rows = min(ROWS, height - top)
        part = pixels[top * picture.stride : (top + rows) * picture.stride]
        yield PIL.Image.frombuffer(picture.mode, (width, rows), bytes(part), "raw", picture.mode, picture.stride, 1)


def _read_png_strips(image: PIL.Image.Image, file: IO[bytes]) -> Iterator[PIL.Image.Image]:
    """Yield the strips of a PNG; Pillow decodes each strip as a small PNG file.

    A PNG stores each row as the difference from the row above. So each small file begins with the last row of the
    previous strip, and this extra row is cut off afterwards.
    """
    file.seek(16)
    header, shared = file.read(13), bytearray()
    row_bytes = 1 + image.width * _CHANNELS[header[8], header[9]]
    above = bytes(row_bytes)
    file.seek(4, os.SEEK_CUR)
    for rows in _unpack_rows(_read_packed_pixels(file, shared), row_bytes, image.height):
        strip = _decode_rows(header, bytes(shared), above + rows, image.width, 1 + len(rows) // row_bytes)
        last_row = strip.crop((0, strip.height - 1, strip.width, strip.height))
        # The byte before a row is the row's filter type, which says how the row depends on the row above. 0 means no
        # dependence.
        above = b"\0" + last_row.tobytes("raw", "I;16B" if strip.mode == "I;16" else strip.mode)
        yield strip.crop((0, 1, strip.width, strip.height))


def _unpack_rows(packed: Iterator[bytes], row_bytes: int, height: int) -> Iterator[bytes]:
    """Yield the decompressed bytes of a PNG's pixels, ROWS rows at a time."""
    unpacker, rows = zlib.decompressobj(), bytearray()
    for piece in packed:
        rest = piece
        while rest and not unpacker.eof and height:
            wanted = min(ROWS, height) * row_bytes
            rows += unpacker.decompress(rest, wanted - len(rows))
            rest = unpacker.unconsumed_tail
            if len(rows) == wanted:
                yield bytes(rows)
                height -= wanted // row_bytes
                rows.clear()


def _decode_rows(header: bytes, shared: bytes, rows: bytes, width: int, height: int) -> PIL.Image.Image:
    chunks = (
        _pack_chunk(b"IHDR", struct.pack(">II", width, height) + header[8:]),
        shared,
        _pack_chunk(b"IDAT", zlib.compress(rows, 0)),
        _pack_chunk(b"IEND", b""),
    )
    strip = PIL.Image.open(BytesIO(_SIGNATURE + b"".join(chunks)))
    strip.load()
    return strip


def _pack_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _read_packed_pixels(file: IO[bytes], shared: bytearray) -> Iterator[bytes]:
    """Append the palette and transparency of a PNG to `shared`, then yield its compressed pixels in pieces.

    Raises:
        OSError: The file is cut off, or a checksum is wrong.
    """
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", _read_exactly(file, 8))
        if kind not in (b"PLTE", b"tRNS", b"IDAT"):
            file.seek(length + 4, os.SEEK_CUR)
            continue
        checksum = zlib.crc32(kind)
        while length:
            piece = _read_exactly(file, min(length, _BLOCK_BYTES))
            checksum = zlib.crc32(piece, checksum)
            length -= len(piece)
            if kind == b"IDAT":
                yield piece
            else:
                shared += _pack_chunk(kind, piece)
        if _read_exactly(file, 4) != struct.pack(">I", checksum):
            raise OSError("broken PNG file (a checksum is wrong)")


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise OSError("image file is truncated")
    return content
