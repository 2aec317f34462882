"""Small real files, made for a test."""

import io
import wave

import PIL.Image


def picture(width: int = 40, height: int = 30, image_format: str = "PNG") -> bytes:
    """A black picture."""
    file = io.BytesIO()
    PIL.Image.new("1", (width, height)).save(file, image_format)
    return file.getvalue()


def sound(seconds: float) -> bytes:
    """Silence as WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(8000)
        written.writeframes(bytes(int(8000 * seconds)))
    return file.getvalue()
