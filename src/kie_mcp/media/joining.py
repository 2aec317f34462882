"""Join sounds into one file: MP3 or WAV files without encoding them again, other sounds with ffmpeg (if installed)."""

import shutil
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import anyio
import anyio.to_thread

from kie_mcp.media import containers, ffmpeg, formats, mpeg_audio
from kie_mcp.media.clips import ENCODERS, WITHOUT_METADATA

WAV = "audio/wav"
_DECODED = ("-map", "0:a:0", "-ac", "2", "-ar", "44100", "-c:a", "pcm_s16le")
"""Options with which ffmpeg decodes sounds of any format to WAV files that can be joined."""
_MONO = 3
_HEADER_MARKS = (b"Xing", b"Info", b"VBRI")
"""Byte strings that mark a header frame. Some MP3 files begin with one; it states the length, and has no sound."""
_LENGTH_FIELDS = 0x3
"""Flags for a Xing header with two fields: the number of frames and the number of bytes."""
_SAMPLE_CODECS = (1, 3, 6, 7, 0xFFFE)
"""Numbers of the WAV codecs whose samples can be joined: integers, floats, A-law, mu-law, extensible."""
_LARGEST_WAV = 2**32 - 1000


async def join_sounds(paths: Sequence[Path], target: IO[bytes]) -> str:
    """Join sounds into one file in the given order, and return its MIME type.

    The same sounds always give the same bytes. Sounds are encoded again if their formats differ, or if they are neither
    MP3 nor WAV.

    Args:
        paths: The files to join, in this order.
        target: An open, empty file, to which the joined sounds are written.

    Returns:
        The MIME type; empty if the sounds need ffmpeg, and ffmpeg is not installed or fails.

    Raises:
        OSError: A file cannot be read or written.
        InvalidCall: ffmpeg cannot be started, or does not finish in time.
    """
    if mime_type := await anyio.to_thread.run_sync(_join_unchanged, paths, target):
        return mime_type
    program = ffmpeg.find_ffmpeg()
    return await _join_encoded(program, paths, target) if program else ""


def _join_unchanged(paths: Sequence[Path], target: IO[bytes]) -> str:
    """Join the sounds without encoding them again; if that is impossible, leave `target` empty and return ""."""
    try:
        match {_detect(path) for path in paths}:
            case types if types == {mpeg_audio.MPEG}:
                _join_mp3(paths, target)
                return mpeg_audio.MPEG
            case types if types == {WAV}:
                _join_wav(paths, target)
                return WAV
    except ValueError:
        target.seek(0)
        target.truncate()
    return ""


def _detect(path: Path) -> str | None:
    with path.open("rb") as file:
        return formats.detect_mime_type(file)


def _join_mp3(paths: Sequence[Path], target: IO[bytes]) -> None:
    """Write one header frame with the number of all frames, and then the frames of all files.

    Raises:
        ValueError: The files have different sample rates or channels, or a file has no frames.
    """
    header, stream, frames = b"", None, 0
    for path in paths:
        with path.open("rb") as file:
            for frame in _sound_frames(file):
                if not frames:
                    header, stream = frame[:4], _describe_stream(frame)
                    target.write(_build_length_frame(header, 0, 0))
                if _describe_stream(frame) != stream:
                    raise ValueError("different streams")
                target.write(frame)
                frames += 1
    if not frames:
        raise ValueError("no frames")
    size = target.tell()
    target.seek(0)
    target.write(_build_length_frame(header, frames, size))


def _sound_frames(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the frames of an MP3 file that contain sound; skip a header frame, tags and damaged bytes.

    Raises:
        ValueError: The file has no frames.
    """
    found = mpeg_audio.find_first_frame(file, mpeg_audio.skip_id3(file))
    if not found:
        raise ValueError("no frames")
    at, is_first = found[0], True
    while True:
        file.seek(at)
        parsed = mpeg_audio.parse_frame(file.read(mpeg_audio.HEADER_BYTES))
        if not parsed:
            found = mpeg_audio.find_first_frame(file, at)
            if not found:
                return
            at = found[0]
            continue
        file.seek(at)
        frame = file.read(parsed.size)
        if len(frame) == parsed.size and not (is_first and any(mark in frame[:60] for mark in _HEADER_MARKS)):
            yield frame
        at, is_first = at + parsed.size, False


def _describe_stream(frame: bytes) -> tuple[object, bool]:
    """Return what all frames of an MP3 file have in common: MIME type, version, layer, sample rate, and mono or not."""
    parsed = mpeg_audio.parse_frame(frame)
    return parsed and parsed.stream, frame[3] >> 6 == _MONO


def _build_length_frame(header: bytes, frames: int, size: int) -> bytes:
    """Build a frame with a Xing header, which tells players how long the file is.

    Args:
        header: The first four bytes of a frame of the file.
        frames: Number of frames with sound.
        size: Size of the file in bytes.
    """
    is_mono, is_mpeg1 = header[3] >> 6 == _MONO, header[1] >> 3 & 3 == 3
    place = (21 if is_mono else 36) if is_mpeg1 else (13 if is_mono else 21)
    fields = b"Xing" + struct.pack(">III", _LENGTH_FIELDS, frames, size)
    # The loop finds the lowest bit rate at which a frame is large enough for `fields`. `| 1` sets the bit that means
    # that the frame has no checksum.
    for bit_rate in range(1, 15):
        start = bytes([header[0], header[1] | 1, bit_rate << 4 | header[2] & 0x0D, header[3]])
        parsed = mpeg_audio.parse_frame(start.ljust(mpeg_audio.HEADER_BYTES, b"\0"))
        if parsed and parsed.size >= place + len(fields):
            return (start.ljust(place, b"\0") + fields).ljust(parsed.size, b"\0")
    raise ValueError("no frame has room for the header")


def _join_wav(paths: Sequence[Path], target: IO[bytes]) -> None:
    """Write the samples of all files after one header.

    Raises:
        ValueError: The files have different formats, or are too large for one WAV file.
    """
    layouts = [_read_wav(path) for path in paths]
    form, (size, block) = layouts[0][0], (0, int.from_bytes(layouts[0][0][12:14], "little"))
    if any(each[0] != form for each in layouts) or not block:
        raise ValueError("different formats")
    target.write(b"\0" * (20 + len(form) + 8))
    for path, (_, (start, end)) in zip(paths, layouts, strict=True):
        with path.open("rb") as file:
            file.seek(start)
            left = (end - start) // block * block
            size += left
            while left and (piece := file.read(min(left, 1 << 20))):
                target.write(piece)
                left -= len(piece)
    if size > _LARGEST_WAV:
        raise ValueError("too large")
    target.write(b"\0" * (size % 2))
    riff = struct.pack("<4sI4s4sI", b"RIFF", target.tell() - 8, b"WAVE", b"fmt ", len(form))
    target.seek(0)
    target.write(riff + form + struct.pack("<4sI", b"data", size))


def _read_wav(path: Path) -> tuple[bytes, containers.Span]:
    """Return the chunk `fmt ` of a WAV file, and the span of its samples, without samples beyond the end of the file.

    Raises:
        ValueError: The file has no samples, or samples that cannot be joined without decoding.
    """
    size, form, samples = path.stat().st_size, b"", None
    with path.open("rb") as file:
        for kind, (start, end) in containers.walk_chunks(file, (12, size)):
            if kind == b"fmt ":
                file.seek(start)
                form = file.read(end - start)
            elif kind == b"data":
                # Size 0: the program that wrote the header did not know yet how much would follow.
                samples = (start, min(end, size) if end > start else size)
                break
    if not samples or int.from_bytes(form[:2], "little") not in _SAMPLE_CODECS or len(form) % 2:
        raise ValueError("no samples")
    return form, samples


async def _join_encoded(program: str, paths: Sequence[Path], target: IO[bytes]) -> str:
    """Decode the sounds, join them, and encode them in the first sound's format; return "" if ffmpeg fails."""
    first = await anyio.to_thread.run_sync(_detect, paths[0])
    mime_type = first if first in ENCODERS else mpeg_audio.MPEG
    with tempfile.TemporaryDirectory(prefix="kie-mcp-") as folder:
        decoded = [Path(folder, f"{number}.wav") for number, _ in enumerate(paths)]
        for path, wav in zip(paths, decoded, strict=True):
            if not await ffmpeg.convert(program, path, wav, _DECODED):
                return ""
        joined, encoded = Path(folder, "joined.wav"), Path(folder, f"encoded.{formats.EXTENSIONS[mime_type]}")
        await anyio.to_thread.run_sync(_join_to, decoded, joined)
        if not await ffmpeg.convert(program, joined, encoded, (*ENCODERS[mime_type], *WITHOUT_METADATA)):
            return ""
        await anyio.to_thread.run_sync(_copy, encoded, target)
    return mime_type


def _join_to(paths: Sequence[Path], target: Path) -> None:
    with target.open("wb") as file:
        _join_wav(paths, file)


def _copy(path: Path, target: IO[bytes]) -> None:
    with path.open("rb") as file:
        shutil.copyfileobj(file, target)
