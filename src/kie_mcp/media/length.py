"""The length of a clip or of a sound, read from the file's own index."""

import struct
from typing import IO

import mutagen

BROKEN = (mutagen.MutagenError, ArithmeticError, LookupError, TypeError, ValueError, OSError, EOFError, struct.error)
"""What is raised while a broken file is read."""
MOST_BOXES = 1000
"""The most boxes of an MP4 file that are skipped in the search for one."""
BOX_HEADER = struct.Struct(">I4s")
LONG_SIZE = struct.Struct(">Q")
MOVIE_HEADERS = {0: struct.Struct(">12xII"), 1: struct.Struct(">20xIQ")}
"""Time scale and duration in the box `mvhd` of an MP4 file, by the version of the box."""


def measure_seconds(file: IO[bytes]) -> float | None:
    """Return the length of a clip or sound in seconds; None when the file does not tell it.

    Args:
        file: The file; its read position is at the start of the file afterwards.
    """
    lengths = (_read_length(file), _read_movie_length(file))
    file.seek(0)
    # mutagen tells the length of the sound of an MP4 file, which may be shorter than its pictures.
    return max((length for length in lengths if length and 0 < length < float("inf")), default=None)


def _read_length(file: IO[bytes]) -> float | None:
    file.seek(0)
    try:
        info = getattr(mutagen.File(file), "info", None)
    except BROKEN:
        return None
    return getattr(info, "length", None)


def _read_movie_length(file: IO[bytes]) -> float | None:
    """Return the length that an MP4 or QuickTime file names for all its tracks; None for other files."""
    file.seek(0)
    if file.read(8)[4:] != b"ftyp":
        return None
    try:
        file.seek(0)
        _enter_box(file, b"moov")
        _enter_box(file, b"mvhd")
        content = file.read(32)
        scale, duration = MOVIE_HEADERS[content[0]].unpack_from(content)
    except BROKEN:
        return None
    return duration / scale if scale else None


def _enter_box(file: IO[bytes], wanted: bytes) -> None:
    """Move to the content of the next box of this type, among the boxes that follow the read position.

    Raises:
        EOFError: When there is none.
    """
    for _ in range(MOST_BOXES):
        start = file.tell()
        size, name = BOX_HEADER.unpack(file.read(BOX_HEADER.size))
        if size == 1:
            (size,) = LONG_SIZE.unpack(file.read(LONG_SIZE.size))
        if name == wanted:
            return
        if size < BOX_HEADER.size:
            break
        file.seek(start + size)
    raise EOFError
