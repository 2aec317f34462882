"""Measure the length of a clip or sound in seconds.

The length in a file's header may be wrong: it is 0 in a fragmented MP4 file, and about a day in a WAV file that was
written to a pipe. Prices and limits depend on the length, so a doubtful length counts as unknown (None).
"""

import struct
from collections.abc import Iterator
from os import SEEK_END
from typing import IO

import mutagen

from kie_mcp.media import containers, ffmpeg, formats, mpeg_audio

MAX_SECONDS = 86_400
"""Longest plausible length in a header, in seconds; a longer length is regarded as wrong."""
MIN_BYTES_PER_SECOND = 20
"""Minimum plausible size of a file, in bytes for each second; for a smaller file, the length is regarded as wrong.

Even speech codecs need 80 bytes for each second.
"""

_PCM_CODECS = (1, 3, 6, 7, 0xFFFE)
"""Numbers of the WAV codecs whose samples have a fixed size: integers, floats, A-law, mu-law, extensible."""
_MUTAGEN_TYPES = (
    "audio/ogg",
    "audio/flac",
    "audio/aiff",
    "audio/x-ms-wma",
    "video/x-ms-wmv",
    "audio/ac3",
    "audio/eac3",
)
"""MIME types that mutagen measures correctly.

For files of other types, mutagen may wrongly detect an MP3, or measure only the sound of a clip.
"""
_OGG_TYPES = ("audio/ogg", "video/ogg")
_DECODED_TYPES = ("video/mp2t", "video/mpeg", *_OGG_TYPES)
"""MIME types of files that ffmpeg decodes completely to measure them.

Their headers may state only the length of the first of several joined files.
"""
_PLAYED_IN_PART = ("audio/wav", "audio/flac")
"""MIME types for which ffmpeg may decode only the first of several joined files.

So ffmpeg is not used to measure joined files of these types.
"""
_SEARCH_BYTES = 1 << 20
"""Number of bytes that are read in each step of the search for the start of another joined file."""
_MOVIE_TIMES = {0: struct.Struct(">12xII"), 1: struct.Struct(">20xIQ")}
"""For each version of the box `mvhd` in an MP4 file, the struct that reads the time scale and the duration."""
_ISO_TYPES = {f"{kind}/{subtype}" for kind in ("audio", "video") for subtype in ("mp4", "quicktime", "3gpp")}


def measure_seconds(file: IO[bytes], mime_type: str = "") -> float | None:
    """Measure the length of a clip or sound; the measurement may take many seconds, so call this function in a thread.

    Args:
        file: The open file; its read position is at the start afterwards. If the headers do not contain the length,
            ffmpeg measures the file, provided that the file is on disk and ffmpeg is installed.
        mime_type: The MIME type from `formats.detect_mime_type()`; if empty, this function detects it.

    Returns:
        The length in seconds, or None if it is unknown.
    """
    mime_type = mime_type or formats.detect_mime_type(file) or ""
    size = file.seek(0, SEEK_END)
    try:
        for seconds in _measures(file, size, mime_type):
            if seconds and 0 < seconds <= min(MAX_SECONDS, size / MIN_BYTES_PER_SECOND):
                return seconds
    # Any error means that the length is unknown: a broken number in a file may raise any error here or in a library.
    except Exception:  # noqa: BLE001
        return None
    finally:
        file.seek(0)
    return None


def _measures(file: IO[bytes], size: int, mime_type: str) -> Iterator[float | None]:
    """Yield the length in seconds by several methods, the most reliable method first; None if a method fails."""
    # MIDI contains notes and no sound, so ffmpeg cannot decode it.
    program = ffmpeg.find_ffmpeg() if mime_type != "audio/midi" and ffmpeg.can_read(file) else None
    # If the file is fragmented or consists of joined files, its headers may have only the length of the first part.
    partial = _is_partial(file, size, mime_type)
    match mime_type:
        case "audio/wav":
            yield _measure_wav(file, size)
        case mpeg_audio.MPEG | mpeg_audio.AAC:
            found = mpeg_audio.find_first_frame(file, mpeg_audio.skip_id3(file))
            yield mpeg_audio.measure_frames(file, found[0], size) if found else None
        case "video/webm" | "video/x-matroska" | "audio/webm" | "audio/x-matroska":
            headers = containers.read_matroska(file, size)
            yield headers.seconds if headers else None
        case _ if mime_type in _ISO_TYPES and program and not partial:
            # An edit list says which parts of a file players skip, and only ffmpeg takes it into account.
            yield ffmpeg.read_duration(program, file, decode=False)
    if mime_type in _ISO_TYPES and not partial:
        yield _measure_movie(file, size)
    if mime_type in _MUTAGEN_TYPES and not partial:
        yield _ask_mutagen(file)
    if program and not (partial and mime_type in _PLAYED_IN_PART):
        if not partial and mime_type not in _DECODED_TYPES:
            yield ffmpeg.read_duration(program, file, decode=False)
        yield ffmpeg.read_duration(program, file, decode=True)


def _is_partial(file: IO[bytes], size: int, mime_type: str) -> bool:
    """Return whether the headers may state only a part of the length: the file is a fragmented MP4, or joined files."""
    if mime_type in _ISO_TYPES:
        return containers.find_box(file, (0, size), b"moov", b"mvex") is not None
    if mime_type == "audio/wav":
        return any(kind == b"RIFF" for kind, _ in containers.walk_chunks(file, (12, size)))
    if mime_type == "audio/flac":
        return _find_again(file, b"fLaC")
    return mime_type in _OGG_TYPES and _is_chained(file)


def _find_again(file: IO[bytes], mark: bytes) -> bool:
    """Return whether the bytes `mark` occur more than once in a file."""
    file.seek(0)
    count, rest = 0, b""
    while block := file.read(_SEARCH_BYTES):
        count += (rest + block).count(mark)
        rest = block[1 - len(mark) :]
    return count > 1


def _is_chained(file: IO[bytes]) -> bool:
    """Return whether an Ogg file consists of joined files: then a stream begins after the first page with content."""
    at, playing = 0, False
    while True:
        file.seek(at)
        header = file.read(27)
        if len(header) < 27 or header[:4] != b"OggS":
            return False
        first = bool(header[5] & 2)
        if first and playing:
            return True
        playing = playing or not first
        at += 27 + header[26] + sum(file.read(header[26]))


def _ask_mutagen(file: IO[bytes]) -> float | None:
    file.seek(0)
    try:
        return float(mutagen.File(file).info.length)
    # Any error means that mutagen cannot measure the file: mutagen does not document its errors for broken files.
    except Exception:  # noqa: BLE001
        return None


def _measure_movie(file: IO[bytes], size: int) -> float | None:
    """Return the length of an MP4 or MOV file from its headers; mutagen would return only the length of the sound."""
    header = containers.find_box(file, (0, size), b"moov", b"mvhd")
    if not header:
        return None
    file.seek(header[0])
    content = file.read(32).ljust(32, b"\0")
    scale, duration = _MOVIE_TIMES.get(content[0], _MOVIE_TIMES[0]).unpack_from(content)
    return duration / scale if scale else None


def _measure_wav(file: IO[bytes], size: int) -> float | None:
    """Return the length of a WAV file in seconds, from the samples that really exist; 0 or None if it is unknown."""
    samples, (codec, rate, per_second, block) = 0, (0, 0, 0, 0)
    measured: float | None = None
    for kind, (start, end) in containers.walk_chunks(file, (12, size)):
        file.seek(start)
        if kind == b"fmt ":
            codec, _, rate, per_second, block = struct.unpack("<HHIIH", file.read(14).ljust(14, b"\0"))
        if kind == b"fact":
            samples = int.from_bytes(file.read(4), "little")
        if kind == b"data" and measured is None:
            by_bytes = (min(end, size) - start) / per_second if per_second else 0
            by_samples = samples / rate if rate and end <= size else 0
            fixed = codec in _PCM_CODECS and per_second == rate * block
            # The length of compressed sound is computed from the number of samples, because the byte rate in the header
            # is often too high or 0. If the byte rate gives a length over 10 % longer, the two contradict each other,
            # and the length is unknown (0).
            measured = by_bytes if fixed else by_samples if by_bytes <= by_samples * 1.1 else 0
        elif kind in (b"data", b"RIFF"):
            return None
    return measured
