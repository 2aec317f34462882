"""Small media that players open, made when somebody downloads them."""

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
SAMPLE_RATE_HZ = 22050


@dataclass(frozen=True, slots=True)
class Work:
    """What one result shows."""

    text: str
    mark: str
    """Tells this result from every other."""
    shape: str = ""
    """Such as `16:9`; anything else is a square."""

    @property
    def number(self) -> int:
        """A number made of the mark."""
        return zlib.crc32(self.mark.encode())


def render(name: str, work: Work) -> bytes:
    """The file's content, in the format that its name asks for."""
    return MAKERS[name.rpartition(".")[2]](work)


def _picture(image_format: str) -> Callable[[Work], bytes]:
    def paint(work: Work) -> bytes:
        image = Image.new("RGB", _size(work.shape), f"hsl({work.number % 360}, 60%, 30%)")
        font = ImageFont.load_default(size=24)
        lines = textwrap.wrap(work.text, width=max(8, image.width // 15)) or [work.mark]
        ImageDraw.Draw(image).multiline_text((20, 20), "\n".join(lines), fill="white", font=font, spacing=8)
        exif, file = Image.Exif(), io.BytesIO()
        exif[ExifTags.Base.ImageDescription] = work.mark
        image.save(file, image_format, exif=exif)
        return file.getvalue()

    return paint


def _size(shape: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+):(\d+)", shape)
    width, height = (int(found[1]), int(found[2])) if found else (1, 1)
    scale = LONG_SIDE_PX / max(width, height, 1)
    return max(64, round(width * scale)), max(64, round(height * scale))


def _tone(work: Work) -> bytes:
    pitch_hz = 220 + 440 * work.number / 2**32
    samples = (int(9000 * math.sin(2 * math.pi * pitch_hz * n / SAMPLE_RATE_HZ)) for n in range(SAMPLE_RATE_HZ))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE_HZ)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def _song(work: Work) -> bytes:
    # An ID3v2.4 tag; 3 says UTF-8, TIT2 is the title, TCOM the composer.
    frames = b"".join(
        name + _synchsafe(1 + len(text)) + b"\0\0\3" + text
        for name, text in ((b"TIT2", work.text[:80].encode()), (b"TCOM", work.mark.encode()))
    )
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames + (ASSETS / "song.mp3").read_bytes()


def _synchsafe(number: int) -> bytes:
    """A number with seven bits to the byte, as ID3 wants it."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _clip(work: Work) -> bytes:
    # Players skip a `free` box.
    mark = work.mark.encode()
    return (ASSETS / "clip.mp4").read_bytes() + struct.pack(">I4s", 8 + len(mark), b"free") + mark


def lyrics(work: Work) -> str:
    """A verse and a chorus about the text."""
    about = work.text or "nothing"
    return f"[Verse]\n{about}, I sing of {about}\nnumber {work.number}\n\n[Chorus]\nOh, {about}!"


def notes(work: Work) -> dict[str, Any]:
    """A scale, as KIE describes MIDI data."""
    first = 48 + work.number % 24
    scale = [
        {"pitch": first + step, "start": beat * 0.25, "end": beat * 0.25 + 0.2, "velocity": 0.8}
        for beat, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))
    ]
    return {"state": "complete", "instruments": [{"name": "Piano", "notes": scale}]}


MAKERS: dict[str, Callable[[Work], bytes]] = {
    "png": _picture("PNG"),
    "jpg": _picture("JPEG"),
    "jpeg": _picture("JPEG"),
    "webp": _picture("WEBP"),
    "wav": _tone,
    "mp3": _song,
    "mp4": _clip,
    "txt": lambda work: lyrics(work).encode(),
    "json": lambda work: json.dumps(notes(work)).encode(),
}
