"""Small real media files."""

import io
import struct
import wave

import PIL.Image


def picture(width: int = 40, height: int = 30, image_format: str = "PNG") -> bytes:
    """Return a black picture; width and height in pixels."""
    file = io.BytesIO()
    PIL.Image.new("1", (width, height)).save(file, image_format)
    return file.getvalue()


def sound(seconds: float) -> bytes:
    """Return silence as WAV, 8 bits mono at 8 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(8000)
        written.writeframes(bytes(int(8000 * seconds)))
    return file.getvalue()


def tone(width: int, channels: int = 1, *, peak: float = 0.5, seconds: float = 1) -> bytes:
    """Return WAV whose first half is silent and whose second half is a tone; `width` is in bytes per sample."""
    full, frames = (1 << (8 * width - 1)) - 1, int(8000 * seconds)
    numbers = [round((-1) ** n * peak * full) if n >= frames // 2 else 0 for n in range(frames)]
    # Samples of 8 bits are unsigned in WAV.
    samples = [number + 128 if width == 1 else number for number in numbers]
    content = b"".join(each.to_bytes(width, "little", signed=width > 1) * channels for each in samples)
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(8000)
        written.writeframes(content)
    return file.getvalue()


def clip(seconds: float, *, version: int = 0) -> bytes:
    """Return an MP4 file that has nothing but its index, with either version of the header."""
    times = (0, 0, 1000, int(seconds * 1000))
    header = struct.pack(">I4I" if version == 0 else ">I2QIQ", version << 24, *times) + bytes(80)
    return _box(b"ftyp", b"isom" + bytes(4)) + _box(b"free", b"") + _box(b"moov", _box(b"mvhd", header))


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content
