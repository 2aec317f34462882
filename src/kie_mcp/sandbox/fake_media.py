"""Small but valid media files (PNG, JPEG, WebP, WAV, MP3, MP4), which are rendered when a client downloads them."""

import io
import json
import math
import re
import struct
import textwrap
import wave
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from PIL import ExifTags, Image, ImageDraw, ImageFont

ASSETS = files("kie_mcp.sandbox") / "media"
SONG_SECONDS = 3.0
LONG_SIDE_PX = 512
"""Length in pixels of an image's longer side."""
SAMPLE_RATE_HZ = 22050


@dataclass(frozen=True, slots=True)
class MediaContent:
    """What a rendered file shows or contains."""

    text: str
    """The text in an image, or the title of a song."""
    mark: str
    """A text that makes this file different from all others."""
    aspect_ratio: str = ""
    """Aspect ratio of an image, such as `16:9`; a text of any other form makes the image a square."""

    @property
    def number(self) -> int:
        """Checksum of the mark; colours and pitches are computed from it, so that files look or sound different."""
        return zlib.crc32(self.mark.encode())


def render_file(name: str, media: MediaContent) -> bytes:
    """Return the bytes of a media file; the extension of `name`, such as `png` in `1.png`, chooses the format."""
    return RENDERERS[name.rpartition(".")[2]](media)


def _image_renderer(image_format: str) -> Callable[[MediaContent], bytes]:
    def paint(media: MediaContent) -> bytes:
        image = Image.new("RGB", _image_size(media.aspect_ratio), f"hsl({media.number % 360}, 60%, 30%)")
        font = ImageFont.load_default(size=24)
        lines = textwrap.wrap(media.text, width=max(8, image.width // 15)) or [media.mark]
        ImageDraw.Draw(image).multiline_text((20, 20), "\n".join(lines), fill="white", font=font, spacing=8)
        exif, file = Image.Exif(), io.BytesIO()
        exif[ExifTags.Base.ImageDescription] = media.mark
        image.save(file, image_format, exif=exif)
        return file.getvalue()

    return paint


def _image_size(shape: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+):(\d+)", shape)
    width, height = (int(found[1]), int(found[2])) if found else (1, 1)
    scale = LONG_SIDE_PX / max(width, height, 1)
    return max(64, round(width * scale)), max(64, round(height * scale))


def _render_tone(media: MediaContent) -> bytes:
    pitch_hz = 220 + 440 * media.number / 2**32
    samples = (int(9000 * math.sin(2 * math.pi * pitch_hz * n / SAMPLE_RATE_HZ)) for n in range(SAMPLE_RATE_HZ))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE_HZ)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def _render_song(media: MediaContent) -> bytes:
    # The song begins with an ID3v2.4 tag. Encoding 3 means UTF-8, TIT2 is the title, and TCOM is the composer.
    frames = b"".join(
        name + _synchsafe(1 + len(text)) + b"\0\0\3" + text
        for name, text in ((b"TIT2", media.text[:80].encode()), (b"TCOM", media.mark.encode()))
    )
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames + (ASSETS / "song.mp3").read_bytes()


def _synchsafe(number: int) -> bytes:
    """Encode a number as four bytes of seven bits each, as ID3 requires."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _render_clip(media: MediaContent) -> bytes:
    # The mark is put into an MP4 box of the type `free`, because players ignore such a box.
    mark = media.mark.encode()
    return (ASSETS / "clip.mp4").read_bytes() + struct.pack(">I4s", 8 + len(mark), b"free") + mark


def write_lyrics(media: MediaContent) -> str:
    """Return lyrics about the content's text: a verse and a chorus."""
    about = media.text or "nothing"
    return f"[Verse]\n{about}, I sing of {about}\nnumber {media.number}\n\n[Chorus]\nOh, {about}!"


def write_notes(media: MediaContent) -> dict[str, Any]:
    """Return the notes of a musical scale, in the form of KIE's MIDI data."""
    first = 48 + media.number % 24
    scale = [
        {"pitch": first + step, "start": beat * 0.25, "end": beat * 0.25 + 0.2, "velocity": 0.8}
        for beat, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))
    ]
    return {"state": "complete", "instruments": [{"name": "Piano", "notes": scale}]}


RENDERERS: dict[str, Callable[[MediaContent], bytes]] = {
    "png": _image_renderer("PNG"),
    "jpg": _image_renderer("JPEG"),
    "jpeg": _image_renderer("JPEG"),
    "webp": _image_renderer("WEBP"),
    "wav": _render_tone,
    "mp3": _render_song,
    "mp4": _render_clip,
    "txt": lambda media: write_lyrics(media).encode(),
    "json": lambda media: json.dumps(write_notes(media)).encode(),
}
