"""Render small but valid media files (PNG, JPEG, WebP, WAV, MP3, MP4) when a client downloads them."""

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
    """The text, the identifying mark, the aspect ratio and the length of a media file that the sandbox renders."""

    text: str
    """The text that an image shows, or the title of a song."""
    mark: str
    """A text that is different for each file, so that no two files have equal bytes."""
    aspect_ratio: str = ""
    """Aspect ratio of an image, such as `16:9`; a text of any other form makes the image a square."""
    seconds: float = 2
    """Length in seconds of a clip that ffmpeg draws; all other sounds and clips have a fixed length."""

    @property
    def number(self) -> int:
        """Checksum of `mark`; it determines the colours and pitches, so that files look or sound different."""
        return zlib.crc32(self.mark.encode())


def render_file(name: str, media: MediaContent) -> bytes:
    """Return the bytes of a media file; the extension of `name` chooses the format, as in `1.png`."""
    return RENDERERS[name.rpartition(".")[2]](media)


def _image_renderer(image_format: str) -> Callable[[MediaContent], bytes]:
    def paint(media: MediaContent) -> bytes:
        size = measure_image(media.aspect_ratio, LONG_SIDE_PX)
        image = Image.new("RGB", size, f"hsl({media.number % 360}, 60%, 30%)")
        write_text(image, media.text or media.mark, top=20, size=24)
        exif, file = Image.Exif(), io.BytesIO()
        exif[ExifTags.Base.ImageDescription] = media.mark
        image.save(file, image_format, exif=exif)
        return file.getvalue()

    return paint


def write_text(image: Image.Image, text: str, *, top: int, size: int) -> None:
    """Write a text on an image, in lines that fit into the image; `top` and `size` are in pixels."""
    width = max(8, round(image.width / size * 1.6))
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, width=width)]
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(image).multiline_text((20, top), "\n".join(lines), fill="white", font=font, spacing=8)


def measure_image(shape: str, long_side: int) -> tuple[int, int]:
    """Return the width and height in pixels of an image with an aspect ratio such as `16:9`."""
    found = re.fullmatch(r"(\d+):(\d+)", shape)
    width, height = (int(found[1]), int(found[2])) if found else (1, 1)
    scale = long_side / max(width, height, 1)
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
    """Encode a number as four bytes that hold seven bits each, as ID3 tags require: 128 -> bytes 0, 0, 1, 0."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _render_clip(media: MediaContent) -> bytes:
    return mark_clip((ASSETS / "clip.mp4").read_bytes(), media)


def mark_clip(clip: bytes, media: MediaContent) -> bytes:
    """Return an MP4 file with the text `media.mark` appended, so that no two files have equal bytes."""
    # The mark is put into an MP4 box (a part of the file) of the type `free`, because players ignore such a box.
    mark = media.mark.encode()
    return clip + struct.pack(">I4s", 8 + len(mark), b"free") + mark


def write_lyrics(media: MediaContent) -> str:
    """Return lyrics, with a verse and a chorus, that contain the text of `media`."""
    about = media.text or "nothing"
    return f"[Verse]\n{about}, I sing of {about}\nnumber {media.number}\n\n[Chorus]\nOh, {about}!"


def write_notes(media: MediaContent) -> dict[str, Any]:
    """Return the notes of a musical scale, as the JSON object that KIE returns for MIDI data."""
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
