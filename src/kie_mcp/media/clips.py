"""Convert clips (videos) and sounds with ffmpeg to a format that a model accepts, and remove their metadata."""

import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from kie_mcp.catalog.fields import Limits
from kie_mcp.media import ffmpeg, formats
from kie_mcp.media.content import Content
from kie_mcp.media.fit import Fitted

USUAL_FORMATS = {"video": ("mp4", "quicktime"), "audio": ("mpeg", "wav", "mp4", "aac", "ogg", "flac")}
"""For each medium, the MIME subtypes that a model probably accepts; used if KIE lists no formats for the model."""
COPIED_CODECS = ("h264", "hevc", "aac", "mp3")
"""Codecs that every model can read in an MP4 file; streams with other codecs are encoded again."""
ENCODERS = {
    "audio/mpeg": ("-c:a", "libmp3lame", "-q:a", "2"),
    "audio/wav": ("-c:a", "pcm_s16le"),
    "audio/mp4": ("-c:a", "aac", "-b:a", "192k"),
    "audio/aac": ("-c:a", "aac", "-b:a", "192k", "-f", "adts"),
    "audio/ogg": ("-c:a", "libvorbis", "-q:a", "6"),
    "audio/flac": ("-c:a", "flac"),
}
"""For each MIME type, the options with which ffmpeg encodes audio; the preferred MIME types come first."""
# With `bitexact`, two conversions of one file give equal files, which are uploaded only once. Otherwise, ffmpeg would
# write its name and random numbers into the file.
WITHOUT_METADATA = ("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-id3v2_version", "0")
MUXER_OPTIONS = {
    "audio/webm": ("-f", "webm"),
    "audio/quicktime": ("-f", "mov"),
    "audio/3gpp": ("-f", "3gp"),
    "audio/amr-wb": ("-f", "amr"),
    "audio/aiff": ("-id3v2_version", "4"),
}
"""For each MIME type, further options for ffmpeg's muxer.

ffmpeg does not know the extensions of the first four types. For AIFF, it refuses the version 0 in `WITHOUT_METADATA`,
but writes no ID3 tag anyway.
"""
FRUGAL_H264 = (
    *("-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-crf", "20"),
    *("-x264-params", "ref=1:threads=1:subme=0:weightp=0"),
)
"""Options for H.264 that need the least memory, on any number of processors.

By default, the encoder holds 50 frames in memory, which take 750 MB for a clip of 3840x2160.
"""
EVEN_SIDES = ("-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2", "-pix_fmt", "yuv420p")
"""Options that make width and height even, because H.264 stores one colour sample for each 2 x 2 pixels."""


@asynccontextmanager
async def fit_clip(content: Content, limits: Limits, *, keep_metadata: bool = False) -> AsyncIterator[Fitted]:
    """Convert a clip or sound to a format that a model accepts; without ffmpeg, the file stays unchanged.

    Args:
        content: The clip or sound.
        limits: The limits of the model's field that takes the file.
        keep_metadata: True to keep metadata, such as the location, in the file.

    Yields:
        The converted file; it is deleted when the `with` block ends.

    Raises:
        ValueError: The file is broken; the message begins with a verb, such as `is broken or cut off`.
        InvalidCall: ffmpeg cannot be started, or does not finish in time.
    """
    target_type = choose_type(content.mime_type, limits)
    program = ffmpeg.find_ffmpeg()
    if not program or (keep_metadata and target_type == content.mime_type):
        yield Fitted(content)
        return
    with tempfile.TemporaryDirectory(prefix="kie-mcp-") as folder:
        source = await anyio.to_thread.run_sync(_place_on_disk, content, Path(folder))
        streams = await ffmpeg.read_streams(program, source)
        if not streams.video and not streams.audio:
            raise ValueError("is broken or cut off: neither picture nor sound was found in it")
        target = Path(folder, f"fitted.{formats.EXTENSIONS[target_type]}")
        options = _choose_options(content.mime_type, target_type, streams)
        kept = () if keep_metadata else WITHOUT_METADATA
        if not await ffmpeg.convert(program, source, target, (*options, *kept, *MUXER_OPTIONS.get(target_type, ()))):
            raise ValueError("is broken or cut off, or ffmpeg here lacks its codec")
        size = (await anyio.Path(target).stat()).st_size
        with await anyio.to_thread.run_sync(target.open, "rb") as file:
            name = str(Path(content.name).with_suffix(target.suffix))
            fitted = replace(content, file=file, name=name, mime_type=target_type, size=size)
            yield Fitted(fitted, _describe(content, fitted, "" if keep_metadata else _name_metadata(streams.log)))


def choose_type(mime_type: str, limits: Limits) -> str:
    """Return the MIME type to which a file must be converted; this is the file's own type if the model accepts it."""
    medium, _, subtype = mime_type.partition("/")
    named = tuple(each for each in limits.formats.split() if f"{medium}/{each}" in formats.EXTENSIONS)
    accepted = named or USUAL_FORMATS[medium]
    # MIDI files stay unchanged, because ffmpeg cannot convert notes to sound.
    if subtype in accepted or mime_type == "audio/midi":
        return mime_type
    if medium == "video":
        return f"video/{'mp4' if 'mp4' in accepted else accepted[0]}"
    return next((each for each in ENCODERS if each.partition("/")[2] in accepted), mime_type)


def _place_on_disk(content: Content, folder: Path) -> Path:
    """Return the path of a file; if the file is only in memory, write it to the folder first."""
    name = getattr(content.file, "name", None)
    if isinstance(name, str):
        return Path(name)
    path = folder / f"given.{formats.EXTENSIONS[content.mime_type]}"
    with path.open("wb") as file:
        shutil.copyfileobj(content.file, file)
    content.file.seek(0)
    return path


def _choose_options(mime_type: str, target_type: str, streams: ffmpeg.Streams) -> tuple[str, ...]:
    """Return ffmpeg's output options: keep at most one video and one audio stream, and copy these if possible."""
    if not target_type.startswith("video"):
        # MP2 is never copied: it has the same MIME type as MP3, but a model that accepts MP3 may not accept MP2.
        is_copied = mime_type == target_type and streams.audio != "mp2"
        return ("-map", "0:a:0", *(("-c", "copy") if is_copied else ENCODERS[target_type]))
    streams_of_both = ("-map", "0:v:0", "-map", "0:a:0?")
    if mime_type == target_type:
        # FLAC in MP4 was experimental in ffmpeg 5, which copies such streams only with `-strict -2`.
        return (*streams_of_both, "-c", "copy", "-strict", "-2")
    video = ("-c:v", "copy") if streams.video in COPIED_CODECS else (*FRUGAL_H264, *EVEN_SIDES)
    audio = ("-c:a", "copy") if streams.audio in COPIED_CODECS else ("-c:a", "aac", "-b:a", "192k")
    tag = ("-tag:v", "hvc1") if streams.video == "hevc" else ()
    return (*streams_of_both, *video, *tag, *audio, "-movflags", "+faststart")


def _name_metadata(log: str) -> str:
    if re.search(r"^ +\S*location\S* *:", log, re.MULTILINE | re.IGNORECASE):
        return "location and other metadata"
    telling = r"^ +(artist|title|comment|description|date|make|model|com\.\S+|creation_time) *:"
    return "metadata" if re.search(telling, log, re.MULTILINE | re.IGNORECASE) else ""


def _describe(content: Content, fitted: Content, removed: str) -> str:
    kind, made = (formats.EXTENSIONS[each.mime_type].upper() for each in (content, fitted))
    facts = [f"{kind} made {made}"] * (kind != made) + [f"{removed} removed"] * bool(removed)
    return "; ".join(facts)
