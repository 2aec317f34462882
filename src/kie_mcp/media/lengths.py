"""Measure the length of a clip or sound in seconds.

The length in a file's header may be wrong: it is 0 in a fragmented MP4 file, and about a day in a WAV file that was
written to a pipe. The length decides about prices and limits, so a doubtful length counts as unknown (None).
"""

import struct
from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from typing import IO

import mutagen

from kie_mcp.media import containers, ffmpeg, formats, mpeg_audio

MAX_SECONDS = 86_400
"""Longest length, in seconds, that is accepted from a header; a longer one counts as wrong."""
MIN_BYTES_PER_SECOND = 20
"""Fewest bytes per second of a plausible file; speech codecs with the lowest bit rates need 80 bytes per second."""

_PCM_CODECS = (1, 3, 6, 7, 0xFFFE)
"""Numbers of WAV codecs whose samples have a fixed size: integers, floats, A-law, mu-law, extensible."""
_MUTAGEN_TYPES = ("ogg", "flac", "aiff", "mp4", "quicktime", "3gpp", "x-ms-wma", "x-ms-wmv", "ac3", "eac3")
"""MIME subtypes of files that mutagen measures correctly; it mistakes some files of other types for MP3."""
_MOVIE_TIMES = {0: struct.Struct(">12xII"), 1: struct.Struct(">20xIQ")}
"""For each version of the box `mvhd` in an MP4 file, the struct that reads the time scale and the duration."""
_ISO_TYPES = {f"{kind}/{subtype}" for kind in ("audio", "video") for subtype in ("mp4", "quicktime", "3gpp")}


def measure_seconds(file: IO[bytes], mime_type: str = "") -> float | None:
    """Measure the length of a clip or sound; this may take many seconds, so call this function in a thread.

    Args:
        file: The open file; its read position is at the start afterwards. If the headers do not contain the length, a
            file on disk is measured by ffmpeg, if ffmpeg is installed.
        mime_type: The MIME type from `formats.detect_mime_type()`; if empty, this function detects it.

    Returns:
        The length in seconds, or None if it is unknown.
    """
    mime_type = mime_type or formats.detect_mime_type(file) or ""
    size = file.seek(0, SEEK_END)
    path = Path(file.name) if isinstance(getattr(file, "name", None), str) else None
    for seconds in _measures(file, size, mime_type, path):
        if seconds and 0 < seconds <= min(MAX_SECONDS, size / MIN_BYTES_PER_SECOND):
            file.seek(0)
            return seconds
    file.seek(0)
    return None


def _measures(file: IO[bytes], size: int, mime_type: str, path: Path | None) -> Iterator[float | None]:
    """Yield lengths in seconds from different methods, the most reliable method first; None if a method fails."""
    program = ffmpeg.find_ffmpeg() if path else None
    match mime_type:
        case "audio/wav":
            yield _measure_wav(file, size)
        case mpeg_audio.MPEG | mpeg_audio.AAC:
            found = mpeg_audio.find_first_frame(file, mpeg_audio.skip_id3(file))
            yield mpeg_audio.measure_frames(file, found[0]) if found else None
        case "video/webm" | "video/x-matroska" | "audio/webm" | "audio/x-matroska":
            headers = containers.read_matroska(file, size)
            yield headers.seconds if headers else None
        case _ if mime_type in _ISO_TYPES and program and path:
            # Only ffmpeg handles edit lists (parts that players skip) and fragments of MP4 files correctly.
            yield ffmpeg.read_duration(program, path, decode=False)
    if mime_type in _ISO_TYPES:
        yield _measure_movie(file, size)
    if mime_type.partition("/")[2] in _MUTAGEN_TYPES:
        yield _ask_mutagen(file)
    if program and path:
        yield ffmpeg.read_duration(program, path, decode=False)
        yield ffmpeg.read_duration(program, path, decode=True)


def _ask_mutagen(file: IO[bytes]) -> float | None:
    file.seek(0)
    try:
        info = getattr(mutagen.File(file), "info", None)
    # Mutagen does not document which errors broken files raise.
    except Exception:  # noqa: BLE001
        return None
    return float(getattr(info, "length", 0) or 0)


def _measure_movie(file: IO[bytes], size: int) -> float | None:
    """Return the length of a whole MP4 or MOV file, from its headers; mutagen would return only the sound's length."""
    header = containers.find_box(file, (0, size), b"moov", b"mvhd")
    if not header:
        return None
    file.seek(header[0])
    content = file.read(32).ljust(32, b"\0")
    scale, duration = _MOVIE_TIMES.get(content[0], _MOVIE_TIMES[0]).unpack_from(content)
    return duration / scale if scale else None


def _measure_wav(file: IO[bytes], size: int) -> float | None:
    """Return the length in seconds of a WAV file, from the samples that it really contains; its header may be wrong."""
    samples, (codec, rate, block) = 0, (0, 0, 0)
    for kind, (start, end) in containers.walk_chunks(file, (12, size)):
        file.seek(start)
        if kind == b"fmt ":
            codec, _, rate, _, block = struct.unpack("<HHIIH", file.read(14).ljust(14, b"\0"))
        if kind == b"fact":
            samples = int.from_bytes(file.read(4), "little")
        if kind == b"data":
            there = min(end, size) - start
            if codec in _PCM_CODECS:
                return there / (rate * block) if rate and block else None
            return samples / rate if rate and end <= size else None
    return None
