"""One file as one picture: a picture as it is, a clip by one of its frames, a sound by its waveform."""

import math
import sys
import wave
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import anyio.to_thread
import mutagen
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import PIL.ImageOps

from kie_mcp.errors import InvalidCall
from kie_mcp.media import ffmpeg, formats

OPEN_LINK = "Use the link that get_task tells."
"""What to do about a file that cannot be read here."""
NO_FFMPEG = "There is no ffmpeg here, so its {} cannot be shown."
CHECKER_PX = 16
TICK_STEPS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
"""Seconds between the marks below a waveform; the first that makes no more than TICKS of them."""
TICKS = 10
PAPER, INK, WAVE, LINE = "#f4f4f2", "#303030", "#2563a8", "#c8c8c4"
SILENCE_DB = -90

Levels = list[tuple[float, float]]
"""For each moment the lowest and the highest sample, between -1 and 1."""


@dataclass(frozen=True, slots=True)
class Still:
    """What a file looks like."""

    image: PIL.Image.Image | None
    """RGB; None when nothing can be shown, which the facts then explain."""
    facts: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What a file's own notes say of its sound."""

    seconds: float = 0
    rate_hz: int = 0
    channels: int = 0

    def __str__(self) -> str:
        facts = (
            f"{self.seconds:.1f} s" if self.seconds else "",
            f"{self.rate_hz} Hz" if self.rate_hz else "",
            {0: "", 1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels"),
        )
        return ", ".join(filter(None, facts))


async def still(path: Path, side: int) -> Still:
    """What a file looks like, its longer side no longer than so many pixels.

    Raises:
        InvalidCall: When the file is not there, broken, or too large.
    """
    mime_type = await anyio.to_thread.run_sync(_mime_type, path)
    if mime_type == "audio/midi":
        return Still(None, "MIDI notes, which have no look.")
    match mime_type.partition("/")[0]:
        case "image":
            return await anyio.to_thread.run_sync(_picture, path, side)
        case "video":
            return await _clip(path, side)
        case "audio":
            return await _sound(path, side)
        case _:
            return Still(None, "Neither picture, clip nor sound: there is nothing to look at.")


def _mime_type(path: Path) -> str:
    # Opening a pipe would wait for a writer.
    if not path.is_file():
        raise InvalidCall(f"{path} is no file, or not any more.", OPEN_LINK)
    try:
        with path.open("rb") as file:
            return formats.mime_type(file.read(formats.HEAD)) or ""
    except OSError as error:
        raise InvalidCall(f"{path} cannot be read: {error.strerror}.", OPEN_LINK) from None


def _instead(path: Path) -> str:
    return f"Open the file itself, {path}, or the link that get_task tells."


def _picture(path: Path, side: int) -> Still:
    with path.open("rb") as file:
        image, facts = _opened(file, path, side)
    return Still(image, f"{', '.join(facts)}.")


def _opened(file: IO[bytes], path: Path, side: int) -> tuple[PIL.Image.Image, list[str]]:
    """A picture made small and opaque, and what it was before."""
    try:
        with PIL.Image.open(file) as opened:
            if opened.width * opened.height > (PIL.Image.MAX_IMAGE_PIXELS or math.inf):
                raise PIL.Image.DecompressionBombError
            image = _with_plain_colours(opened)
            facts = [f"{' x '.join(map(str, _upright(opened)))} px"]
            if getattr(opened, "is_animated", False):
                facts.append("animated, the first frame is shown")
            image.thumbnail((side, side))
            # What is wrong with the notes beside a picture does not make it unseen.
            with suppress(Exception):
                image = PIL.ImageOps.exif_transpose(image)
            if _is_transparent(image):
                facts.append("transparent where chequered")
            return _opaque(image), facts
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise InvalidCall(f"{path.name} has too many pixels to be shown here.", _instead(path)) from None
    # Which errors broken bytes lead to, Pillow leaves open.
    except Exception as error:  # noqa: BLE001
        raise InvalidCall(
            f"{path.name} cannot be opened ({type(error).__name__}): it is broken, or of a kind not known here.",
            _instead(path),
        ) from None


def _with_plain_colours(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I"):
        # Sixteen bits; Pillow's own way to eight cuts off what is above 255.
        return image.convert("F").point(lambda value: value * (255 / 65535)).convert("L")
    if image.mode == "RGBA" or (image.mode in ("RGB", "L", "CMYK", "YCbCr") and not image.has_transparency_data):
        # Not touched before it is made small: JPEG is then read small.
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _upright(image: PIL.Image.Image) -> tuple[int, int]:
    width, height = image.size
    with suppress(Exception):
        # EXIF's values from 5 are turned by a quarter.
        if int(image.getexif().get(0x0112, 1)) >= 5:
            return height, width
    return width, height


def _is_transparent(image: PIL.Image.Image) -> bool:
    return image.mode == "RGBA" and image.getchannel("A").getextrema()[0] < 255  # type: ignore[operator]


def _opaque(image: PIL.Image.Image) -> PIL.Image.Image:
    if not _is_transparent(image):
        return image.convert("RGB")
    ground = PIL.Image.new("RGB", image.size, "white")
    pen = PIL.ImageDraw.Draw(ground)
    for top in range(0, image.height, CHECKER_PX):
        for left in range(top % (2 * CHECKER_PX), image.width, 2 * CHECKER_PX):
            pen.rectangle((left, top, left + CHECKER_PX - 1, top + CHECKER_PX - 1), fill="#c4c4c4")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


async def _clip(path: Path, side: int) -> Still:
    heard = await anyio.to_thread.run_sync(_heard, path)
    program = ffmpeg.find()
    if not program:
        return Still(None, _sentences(str(Heard(heard.seconds)), NO_FFMPEG.format("frames")))
    at = heard.seconds / 10 or 1.0
    frame, seconds = await ffmpeg.frame(program, path, at)
    if not frame:
        at = 0
        frame, seconds = await ffmpeg.frame(program, path, at)
    if not frame:
        # Sound alone may come in a clip's clothes.
        return await _sound(path, side)
    image, facts = await anyio.to_thread.run_sync(_opened, BytesIO(frame), path, side)
    facts += [str(Heard(seconds or heard.seconds)), f"the frame at {at:.1f} s is shown"]
    return Still(image, f"{', '.join(filter(None, facts))}.")


async def _sound(path: Path, side: int) -> Still:
    heard = await anyio.to_thread.run_sync(_heard, path)
    levels, seconds = await anyio.to_thread.run_sync(_wav_levels, path, side)
    if not levels:
        program = ffmpeg.find()
        if not program:
            return Still(None, _sentences(str(heard), NO_FFMPEG.format("waveform")))
        content = await ffmpeg.samples(program, path)
        levels, seconds = await anyio.to_thread.run_sync(_pcm_levels, content, side)
    if not levels:
        raise InvalidCall(f"Neither a frame nor sound was found in {path.name}: it may be broken.", _instead(path))
    facts = [str(heard) or f"{seconds:.1f} s", _loudness(levels)]
    if heard.seconds > ffmpeg.SECONDS > seconds - 1:
        facts.append(f"the first {seconds / 60:.0f} minutes are shown")
    image = await anyio.to_thread.run_sync(_drawn, levels, seconds, side)
    return Still(image, f"{', '.join(facts)}.")


def _sentences(facts: str, *others: str) -> str:
    return " ".join([f"{facts}."] * bool(facts) + [*others])


def _heard(path: Path) -> Heard:
    try:
        info = getattr(mutagen.File(path), "info", None)
    # As with Pillow.
    except Exception:  # noqa: BLE001
        info = None
    seconds, rate, channels = (getattr(info, name, 0) or 0 for name in ("length", "sample_rate", "channels"))
    return Heard(float(seconds), int(rate), int(channels))


def _wav_levels(path: Path, columns: int) -> tuple[Levels, float]:
    """The levels of a WAV file and its length; nothing when it is none, or of a kind that `wave` does not read."""
    try:
        with wave.open(str(path), "rb") as sound:
            width, size = sound.getsampwidth(), sound.getsampwidth() * sound.getnchannels()
            # What was written to a pipe says that it is endless.
            frames = min(sound.getnframes(), path.stat().st_size // size)
            step = max(math.ceil(frames / columns), 1)
            parts = (sound.readframes(step) for _ in range(0, frames, step))
            return _levels(_numbers(part, width) for part in parts), frames / sound.getframerate()
    # As with Pillow.
    except Exception:  # noqa: BLE001
        return [], 0


def _pcm_levels(content: bytes, columns: int) -> tuple[Levels, float]:
    numbers = _numbers(content, 2)
    step = max(math.ceil(len(numbers) / columns), 1)
    levels = _levels(numbers[start : start + step] for start in range(0, len(numbers), step))
    return levels, len(numbers) / ffmpeg.SAMPLE_RATE_HZ


def _numbers(content: bytes, width: int) -> "array[int]":
    """Samples as signed numbers, of 8 or 16 bits."""
    if width == 1:
        # WAV's 8 bits have no sign.
        return array("b", content.translate(bytes((value + 128) % 256 for value in range(256))))
    # The upper two bytes of each sample are enough to see.
    upper = bytearray(len(content) // width * 2)
    upper[0::2] = content[width - 2 : len(upper) // 2 * width : width]
    upper[1::2] = content[width - 1 : len(upper) // 2 * width : width]
    numbers = array("h", bytes(upper))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _levels(parts: Iterator["array[int]"]) -> Levels:
    return [(min(part) / full, max(part) / full) for part in parts if part for full in (1 << (8 * part.itemsize - 1),)]


def _loudness(levels: Levels) -> str:
    peak = max(max(-low, high) for low, high in levels)
    db = 20 * math.log10(peak) if peak else -math.inf
    return f"peak {db:.0f} dB" if db > SILENCE_DB else "silent"


def _drawn(levels: Levels, seconds: float, side: int) -> PIL.Image.Image:
    height, foot = max(side // 4, 48), 24
    image = PIL.Image.new("RGB", (side, height), PAPER)
    pen, font = PIL.ImageDraw.Draw(image), PIL.ImageFont.load_default(size=14)
    middle = (height - foot) / 2
    step = next((each for each in TICK_STEPS if seconds / each <= TICKS), seconds / TICKS)
    for tick in range(math.floor(seconds / step) + 1):
        left = tick * step / seconds * (side - 1)
        pen.line((left, 0, left, height - foot), fill=LINE)
        text = _clock(tick * step)
        length = pen.textlength(text, font=font)
        pen.text((min(max(left - length / 2, 2), side - length - 2), height - foot + 4), text, fill=INK, font=font)
    pen.line((0, middle, side, middle), fill=LINE)
    for column in range(side):
        low, high = levels[column * len(levels) // side]
        pen.line((column, middle - high * middle, column, middle - low * middle), fill=WAVE)
    return image


def _clock(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
