"""Detect the MIME type of a media file by its content, and map MIME types to file extensions.

The extension of a file is often wrong, and KIE relies on the extension, so the type is detected by the content. Anybody
can open an upload, so only media files may be uploaded. A magic number alone does not make a file a media file: the
file must also have the structure of the format.

This module does not use a library (puremagic, filetype), because these libraries do not read the tracks of a container:
they detect a voice memo in MP4 or WebM as a video, and a HEIC picture as an MP4.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from os import SEEK_END
from typing import IO

from kie_mcp.media import containers, mpeg_audio

HEAD_BYTES = 65_536
"""Number of bytes at a file's start that `detect_mime_type()` reads, or that callers pass instead of an open file."""
MAGIC_BYTES = 32
"""Number of bytes at the start of a file that may contain a magic number."""

EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/heic": "heic",
    "image/avif": "avif",
    "image/jp2": "jp2",
    "image/jxl": "jxl",
    "image/x-icon": "ico",
    "image/x-portable-anymap": "ppm",
    "image/x-tga": "tga",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/3gpp": "3gp",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
    "video/x-ms-wmv": "wmv",
    "video/x-flv": "flv",
    "video/mpeg": "mpg",
    "video/mp2t": "ts",
    "video/ogg": "ogv",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/3gpp": "3ga",
    "audio/quicktime": "qta",
    "audio/webm": "weba",
    "audio/x-matroska": "mka",
    "audio/x-ms-wma": "wma",
    "audio/aac": "aac",
    "audio/ac3": "ac3",
    "audio/eac3": "eac3",
    "audio/aiff": "aiff",
    "audio/x-caf": "caf",
    "audio/amr": "amr",
    "audio/amr-wb": "awb",
    "audio/basic": "au",
    "audio/x-w64": "w64",
    "audio/midi": "mid",
    "text/plain": "txt",
    "application/json": "json",
}
"""The file extension, without a dot, for each MIME type."""

MIME_TYPES = {extension: mime_type for mime_type, extension in EXTENSIONS.items()} | {
    "jpeg": "image/jpeg",
    "jfif": "image/jpeg",
    "pjpeg": "image/jpeg",
    "pjp": "image/jpeg",
    "tif": "image/tiff",
    "heif": "image/heic",
    "hif": "image/heic",
    "j2k": "image/jp2",
    "jpx": "image/jp2",
    "pgm": "image/x-portable-anymap",
    "pbm": "image/x-portable-anymap",
    "m4v": "video/mp4",
    "qt": "video/quicktime",
    "3g2": "video/3gpp",
    "mpeg": "video/mpeg",
    "vob": "video/mpeg",
    "m2ts": "video/mp2t",
    "mts": "video/mp2t",
    "asf": "video/x-ms-wmv",
    "m4b": "audio/mp4",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "aif": "audio/aiff",
    "aifc": "audio/aiff",
    "rf64": "audio/wav",
}
"""The MIME type for each file extension (without a dot)."""

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")

# Byte patterns, in which `.` is any byte. They are long enough not to match other files by chance.
_PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), mime_type)
    for pattern, mime_type in (
        (rb"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "image/png"),
        (rb"GIF8[79]a.{4}[\0-\xff]{3}", "image/gif"),
        (rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", "image/bmp"),
        (rb"(II\+\0\x08\0\0\0|MM\0\+\0\x08\0\0)", "image/tiff"),
        (rb"(\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51)", "image/jp2"),
        (rb"(\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a[^\t\n\r -~])", "image/jxl"),
        (rb"\0\0\x01\0[\x01-\x40]\0.{3}\0[\0\x01]\0[\0-\x20]\0", "image/x-icon"),
        (rb"RIFF.{4}WEBPVP8[ LX]", "image/webp"),
        (rb"(RIFF|RF64|BW64).{4}WAVE(?=[ -~]{4})", "audio/wav"),
        (rb"RIFF.{4}AVI LIST", "video/x-msvideo"),
        (rb"FORM.{4}AIF[FC](?=[ -~]{4})", "audio/aiff"),
        (rb"caff\0\x01\0\0desc", "audio/x-caf"),
        (rb"\.snd\0\0..\S.{3}\0\0\0[\x01-\x1c]\0.{3}\0\0\0", "audio/basic"),
        (re.escape(_W64), "audio/x-w64"),
        (rb"#!AMR\n[\x04-\x7c]", "audio/amr"),
        (rb"#!AMR-WB\n[\x04-\x7c]", "audio/amr-wb"),
        (rb"fLaC[\0\x80]\0\0\x22", "audio/flac"),
        (rb"MThd\0\0\0\x06\0[\0-\x02]", "audio/midi"),
        (rb"FLV\x01[\x01\4\5]\0\0\0\x09", "video/x-flv"),
        (rb"\0\0\x01(\xba[\x20-\x2f\x40-\x7f]|\xb3.{3}[\x10-\xff])", "video/mpeg"),
        (rb"(?:\x47.{187}){2}\x47", "video/mp2t"),
        (rb".{4}(?:\x47.{191}){2}\x47", "video/mp2t"),
    )
)
# The beginnings of ZIP, RAR and tar archives. An archive that contains sounds must not be detected as a sound.
_ARCHIVE = re.compile(rb"PK\x03\x04|Rar!|.{257}ustar", re.DOTALL)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_SOUND_BRANDS = {b"M4A ", b"M4B ", b"M4P "}
_MOVIE_BOXES = {b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"meta", b"pdin", b"moof", b"sidx"}
# For each code in the header of a frame, the bit rate in kbit/s (ATSC A/52). A frame has 1536 samples.
_AC3_BIT_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_OGG_VIDEO = (b"\x80theora", b"BBCD\0")
_OGG_AUDIO = (b"\1vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")


@dataclass(frozen=True, slots=True)
class _Source:
    """The file whose type is to be detected."""

    file: IO[bytes]
    head: bytes
    size: int
    is_whole: bool
    """False if only the first bytes of the file are known."""


def detect_mime_type(content: IO[bytes] | bytes) -> str | None:
    """Detect the MIME type of a media file.

    Args:
        content: The open file, which is rewound afterwards; or the first HEAD_BYTES bytes of the file. If the
            headers of an MP4 are not in these bytes, the MP4 is detected as a video, even if it contains only sound.

    Returns:
        The MIME type, or None if the content is no known media format.
    """
    file = BytesIO(content) if isinstance(content, bytes) else content
    size = file.seek(0, SEEK_END)
    file.seek(0)
    source = _Source(file, file.read(HEAD_BYTES), size, is_whole=not isinstance(content, bytes) or size < HEAD_BYTES)
    try:
        return None if _is_text(source.head) else next(filter(None, (detect(source) for detect in _DETECTORS)), None)
    finally:
        file.seek(0)


def _is_text(head: bytes) -> bool:
    """Return whether a file is a text: unlike media, it has no control characters after the first MAGIC_BYTES bytes."""
    rest = head[MAGIC_BYTES:]
    return bool(rest) and not re.search(rb"[\0-\x08\x0e-\x1f]", rest)


def _match_pattern(source: _Source) -> str | None:
    return next((mime_type for pattern, mime_type in _PATTERNS if pattern.match(source.head)), None)


def _detect_jpeg(source: _Source) -> str | None:
    """Detect JPEG by its chain of segments up to the segment with the picture's size."""
    head, at = source.head, 2
    if not head.startswith(b"\xff\xd8\xff"):
        return None
    while at + 4 <= len(head):
        if head[at] != 0xFF or head[at + 1] < 0xC0:
            return None
        # The segments C0 to CF (SOF) contain the picture's size, except C4, C8 and CC.
        if head[at + 1] <= 0xCF and head[at + 1] not in (0xC4, 0xC8, 0xCC):
            return "image/jpeg"
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return "image/jpeg" if at < source.size or not source.is_whole else None


def _detect_tiff(source: _Source) -> str | None:
    """Detect TIFF by the number of entries in its first directory, which may be at any place in the file."""
    if source.head[:4] not in (b"II*\0", b"MM\0*"):
        return None
    order = "<" if source.head.startswith(b"I") else ">"
    (at,) = struct.unpack(f"{order}I", source.head[4:8].ljust(4, b"\0"))
    source.file.seek(at)
    entries = source.file.read(2)
    if len(entries) < 2:
        return None if source.is_whole else "image/tiff"
    return "image/tiff" if at >= 8 and 1 <= struct.unpack(f"{order}H", entries)[0] <= 1000 else None


def _detect_anymap(source: _Source) -> str | None:
    """Detect a binary PBM, PGM or PPM file: the file must have exactly the size that follows from its text header."""
    found = re.match(rb"P([456])\s+(?:#.*\n\s*)*(\d{1,6})\s+(\d{1,6})(?:\s+(\d{1,5}))?\s", source.head)
    if not found or (found[1] == b"4") == (found[4] is not None):
        return None
    width, height = int(found[2]), int(found[3])
    row = (width + 7) // 8 if found[1] == b"4" else width * (3 if found[1] == b"6" else 1)
    pixels = row * height * (2 if int(found[4] or 1) > 255 else 1)
    return "image/x-portable-anymap" if found.end() + pixels == source.size or not source.is_whole else None


def _detect_tga(source: _Source) -> str | None:
    source.file.seek(max(source.size - 18, 0))
    return "image/x-tga" if source.file.read() == b"TRUEVISION-XFILE.\0" else None


def _detect_iso_media(source: _Source) -> str | None:
    """Detect MP4, MOV and 3GP by their brand and tracks, and HEIF and AVIF by their brand."""
    boxes = containers.walk_boxes(source.file, (0, source.size))
    kind, (start, end) = next(boxes, (b"", (0, 0)))
    if kind != b"ftyp":
        # Old QuickTime files have no box `ftyp` with brands, so they are detected by their other boxes.
        is_movie = kind in _MOVIE_BOXES and (kind == b"moov" or any(each == b"moov" for each, _ in boxes))
        return _name_movie(source, b"qt  ") if is_movie else None
    brands = source.head[start : min(end, start + 400)]
    major, compatible = brands[:4], {brands[at : at + 4] for at in range(8, len(brands), 4)}
    if major in (b"avif", b"avis") or (major in (b"mif1", b"msf1", b"miaf") and compatible & {b"avif", b"avis"}):
        return "image/avif"
    if major in _HEIF_BRANDS:
        return "image/heic"
    following, _ = next(boxes, (b"moov", None))
    is_heif = major == b"miaf" or bool(compatible & _HEIF_BRANDS)
    if is_heif and following == b"meta" and all(kind != b"moov" for kind, _ in boxes):
        # A picture whose first brand says less than the others, such as `miaf`.
        return "image/heic"
    # Canon's raw pictures, with the brand `crx `, are no clips.
    return _name_movie(source, major) if following in _MOVIE_BOXES and major != b"crx " else None


def _name_movie(source: _Source, brand: bytes) -> str:
    subtype = "quicktime" if brand == b"qt  " else "3gpp" if brand.startswith((b"3gp", b"3g2")) else "mp4"
    handlers = containers.find_handlers(source.file, source.size)
    has_picture = b"vide" in handlers or not handlers
    return f"video/{subtype}" if has_picture and brand not in _SOUND_BRANDS else f"audio/{subtype}"


def _detect_matroska(source: _Source) -> str | None:
    found = containers.read_matroska(source.file, source.size) if source.head.startswith(b"\x1aE\xdf\xa3") else None
    if not found:
        return None
    kind = "audio" if found.track_types == {2} else "video"
    return f"{kind}/webm" if found.doc_type == "webm" else f"{kind}/x-matroska"


def _detect_asf(source: _Source) -> str | None:
    kinds = containers.asf_kinds(source.head) if source.head.startswith(_ASF) else set()
    return "video/x-ms-wmv" if "video" in kinds else "audio/x-ms-wma" if kinds else None


def _detect_ogg(source: _Source) -> str | None:
    """Detect Ogg by the name of the codec at the start of the first page of each stream."""
    if not source.head.startswith(b"OggS\0"):
        return None
    start = source.head[:4096]
    if any(codec in start for codec in _OGG_VIDEO):
        return "video/ogg"
    return "audio/ogg" if any(codec in start for codec in _OGG_AUDIO) else None


def _detect_ac3(source: _Source) -> str | None:
    """Detect AC-3 and E-AC-3 by two sync words that are exactly one frame apart."""
    size, mime_type = measure_ac3_frame(source.head[:8])
    return mime_type if size and source.head[size : size + 2] == b"\x0b\x77" else None


def measure_ac3_frame(header: bytes) -> tuple[int, str]:
    """Return the size in bytes and the MIME type of the AC-3 or E-AC-3 frame with this header of 8 bytes; 0 if none."""
    if not header.startswith(b"\x0b\x77") or len(header) < 8:
        return 0, ""
    if header[5] >> 3 > 10:
        return 2 * ((header[2] & 7) << 8 | header[3]) + 2, "audio/eac3"
    rate = _AC3_BIT_RATES[(header[4] & 0x3F) >> 1] if header[4] & 0x3F < 2 * len(_AC3_BIT_RATES) else 0
    return 2 * (rate * 2, rate * 320 // 147 + (header[4] & 1), rate * 3, 0)[header[4] >> 6], "audio/ac3"


def _detect_frames(source: _Source) -> str | None:
    """Detect MP3 and AAC frames, also after tags, after padding, or after an incomplete first frame."""
    start = mpeg_audio.skip_id3(source.file)
    if start >= source.size and not source.is_whole:
        return mpeg_audio.MPEG
    source.file.seek(start)
    if start and source.file.read(4) == b"fLaC":
        return "audio/flac"
    found = mpeg_audio.find_first_frame(source.file, start)
    if not found or _ARCHIVE.match(source.head):
        return None
    source.file.seek(start)
    before = source.file.read(found[0] - start).strip(b"\0")
    # Zeros, an incomplete frame, or a header frame with the file's length may precede the first complete frame.
    return found[1] if len(before) <= mpeg_audio.MAX_FRAME_BYTES else None


_DETECTORS: tuple[Callable[[_Source], str | None], ...] = (
    _match_pattern,
    _detect_jpeg,
    _detect_tiff,
    _detect_iso_media,
    _detect_matroska,
    _detect_asf,
    _detect_ogg,
    _detect_ac3,
    _detect_anymap,
    _detect_tga,
    _detect_frames,
)
