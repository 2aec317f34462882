"""Render a file as one picture: a smaller copy of an image, one frame of a video, or the waveform of audio."""

import math
import os
import sys
import wave
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import anyio.to_thread
import mutagen
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from kie_mcp.errors import InvalidCall
from kie_mcp.media import ffmpeg, formats, pictures

OPEN_LINK = "Use the link in get_task's answer, if there is one."
"""Advice in the error message for a file that cannot be read on this machine."""
NO_FFMPEG = "There is no ffmpeg here, so its {} cannot be shown."
SHORTEST_SECONDS = 4.0
"""Minimum length in seconds of a video that is shown by several frames."""
CHECKER_PX = 16
"""Side length, in pixels, of the squares in the chequered background that shows transparency."""
TICK_STEPS_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
"""Possible distances, in seconds, between the time marks below a waveform.

A waveform gets the smallest distance that divides it into at most MAX_TICKS intervals.
"""
MAX_TICKS = 10
PAPER, INK, WAVE, LINE = "#f4f4f2", "#303030", "#2563a8", "#c8c8c4"
SILENCE_DB = -90
"""Highest peak level, in decibels relative to full scale, at which audio is called silent."""

Levels = list[tuple[float, float]]
"""For each pixel column of a waveform, the lowest and the highest sample; samples are from -1 to 1."""


@dataclass(frozen=True, slots=True)
class Still:
    """A picture that shows a media file, and facts about the file."""

    image: PIL.Image.Image | None
    """The picture in RGB; None if the file cannot be shown. In this case, `facts` says why."""
    facts: str
    """Facts about the file (dimensions, length, loudness), in words."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Length in seconds, sample rate and number of channels from a file's metadata; 0 if unknown."""

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


async def render_still(file: IO[bytes], path: Path, max_side_px: int) -> Still:
    """Render a file as a picture.

    Args:
        file: An open image, video or audio file; its read position changes.
        path: The path at which the file was opened; used for its extension and in messages. The content is read from
            `file`, because another file may be at this path now.
        max_side_px: Largest length in pixels of the picture's longer side.

    Raises:
        InvalidCall: The file cannot be read, is broken, or has too many pixels.
    """
    mime_type = await anyio.to_thread.run_sync(_detect_mime_type, file, path)
    if mime_type == "audio/midi":
        return Still(None, "MIDI notes cannot be shown as a picture.")
    match mime_type.partition("/")[0]:
        case "image":
            return await anyio.to_thread.run_sync(_render_image, file, path, max_side_px)
        case "video":
            return await _render_video(file, path, max_side_px)
        case "audio":
            return await _render_audio(file, path, max_side_px)
        case _:
            return Still(None, "The file is no picture, clip or sound, so it cannot be shown.")


async def render_frames(file: IO[bytes], path: Path, count: int, max_side_px: int) -> list[Still]:
    """Render frames at equal distances over the length of a video; the `facts` of each frame say its time.

    Args:
        file: An open file; its read position changes.
        path: The path at which the file was opened, as in `render_still()`.
        count: The number of frames.
        max_side_px: Largest length in pixels of a frame's longer side.

    Returns:
        The frames in the order of their times; empty if the file is no video, if its length is unknown or below
        `SHORTEST_SECONDS`, or if ffmpeg is not installed.

    Raises:
        InvalidCall: The video cannot be read.
    """
    mime_type = await anyio.to_thread.run_sync(_detect_mime_type, file, path)
    program = ffmpeg.find_ffmpeg()
    if not mime_type.startswith("video/") or not program:
        return []
    seconds = await ffmpeg.measure_picture(program, file, path)
    if seconds < SHORTEST_SECONDS:
        return []
    stills = []
    for number in range(count):
        at = seconds * (number + 0.5) / count
        frame = await ffmpeg.extract_frame(program, file, path, at, max_side_px)
        if frame.ppm:
            image, _ = await anyio.to_thread.run_sync(_open_image, BytesIO(frame.ppm), path, max_side_px)
            stills.append(Still(image, f"at {at:.1f} s"))
    return stills


def _detect_mime_type(file: IO[bytes], path: Path) -> str:
    """Return the MIME type of a file by its content, or else by its extension; empty if neither shows it."""
    try:
        file.seek(0)
        return formats.detect_mime_type(file) or formats.MIME_TYPES.get(path.suffix[1:].lower(), "")
    except OSError as error:
        raise InvalidCall(f"{path} cannot be read: {error.strerror}.", OPEN_LINK) from None


def _next_step(path: Path) -> str:
    return f"Open the file itself, {path}, or the link in get_task's answer."


def _render_image(file: IO[bytes], path: Path, side: int) -> Still:
    file.seek(0)
    image, facts = _open_image(file, path, side)
    return Still(image, f"{', '.join(facts)}.")


def _open_image(file: IO[bytes], path: Path, side: int) -> tuple[PIL.Image.Image, list[str]]:
    """Return a small, opaque copy of a picture, and facts about the original picture in words."""
    try:
        with pictures.open_picture(file) as original:
            width, height = pictures.upright_size(original)
            facts = [f"{width} x {height} px"]
            if getattr(original, "is_animated", False):
                facts.append("animated, the first frame is shown")
            image = pictures.render_picture(original, file, min(side / max(width, height), 1))
            if pictures.is_transparent(image):
                facts.append("transparent where chequered")
            return _fill_background(image), facts
    except pictures.UnreadablePicture as error:
        raise InvalidCall(f"{path.name} {error}.", _next_step(path)) from None


def _fill_background(image: PIL.Image.Image) -> PIL.Image.Image:
    if not pictures.is_transparent(image):
        return image.convert("RGB")
    ground = PIL.Image.new("RGB", image.size, "white")
    pen = PIL.ImageDraw.Draw(ground)
    for top in range(0, image.height, CHECKER_PX):
        for left in range(top % (2 * CHECKER_PX), image.width, 2 * CHECKER_PX):
            pen.rectangle((left, top, left + CHECKER_PX - 1, top + CHECKER_PX - 1), fill="#c4c4c4")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


async def _render_video(file: IO[bytes], path: Path, side: int) -> Still:
    info = await anyio.to_thread.run_sync(_read_audio_info, file, path)
    program = ffmpeg.find_ffmpeg()
    if not program:
        return Still(None, _join_sentences(str(AudioInfo(info.seconds)), NO_FFMPEG.format("frames")))
    at = info.seconds / 10 or 1.0
    frame = await ffmpeg.extract_frame(program, file, path, at, side)
    if not frame.ppm:
        at = 0
        frame = await ffmpeg.extract_frame(program, file, path, at, side)
    if not frame.ppm:
        # A file in a video format may contain only sound. Then the waveform of the sound is shown.
        return await _render_audio(file, path, side)
    image, (_, *facts) = await anyio.to_thread.run_sync(_open_image, BytesIO(frame.ppm), path, side)
    size = f"{frame.size[0]} x {frame.size[1]} px"
    facts = [size, *facts, str(AudioInfo(frame.seconds or info.seconds)), f"the frame at {at:.1f} s is shown"]
    return Still(image, f"{', '.join(filter(None, facts))}.")


async def _render_audio(file: IO[bytes], path: Path, side: int) -> Still:
    info = await anyio.to_thread.run_sync(_read_audio_info, file, path)
    levels, seconds = await anyio.to_thread.run_sync(_read_wav_levels, file, side)
    if not levels:
        program = ffmpeg.find_ffmpeg()
        if not program:
            return Still(None, _join_sentences(str(info), NO_FFMPEG.format("waveform")))
        content = await ffmpeg.decode_audio(program, file, path)
        levels, seconds = await anyio.to_thread.run_sync(_pcm_levels, content, side)
    if not levels:
        raise InvalidCall(f"Neither a frame nor sound was found in {path.name}: it may be broken.", _next_step(path))
    facts = [str(info) or f"{seconds:.1f} s", _loudness(levels)]
    if info.seconds > ffmpeg.MAX_AUDIO_SECONDS > seconds - 1:
        facts.append(f"the first {seconds / 60:.0f} minutes are shown")
    image = await anyio.to_thread.run_sync(_draw_waveform, levels, seconds, side)
    return Still(image, f"{', '.join(facts)}.")


def _join_sentences(facts: str, *others: str) -> str:
    return " ".join([f"{facts}."] * bool(facts) + [*others])


def _read_audio_info(file: IO[bytes], path: Path) -> AudioInfo:
    try:
        file.seek(0)
        # Mutagen does not open the path. It uses only the extension to guess the format.
        info = getattr(mutagen.File(fileobj=file, filename=str(path)), "info", None)
        seconds, rate, channels = (getattr(info, name, 0) or 0 for name in ("length", "sample_rate", "channels"))
        return AudioInfo(float(seconds), int(rate), int(channels))
    # Every error means that nothing is known: mutagen does not document its errors for broken files.
    except Exception:  # noqa: BLE001
        return AudioInfo()


def _read_wav_levels(file: IO[bytes], columns: int) -> tuple[Levels, float]:
    """Return the levels of a WAV file and its length in seconds; empty levels and 0 if `wave` cannot read it."""
    try:
        file.seek(0)
        with wave.open(file, "rb") as sound:
            width, size = sound.getsampwidth(), sound.getsampwidth() * sound.getnchannels()
            # The length in the header is far too large if a program wrote the WAV file to a pipe. So the number of
            # frames is limited to what fits into the file.
            frames = min(sound.getnframes(), os.fstat(file.fileno()).st_size // size)
            step = max(math.ceil(frames / columns), 1)
            parts = (sound.readframes(step) for _ in range(0, frames, step))
            return _levels(_decode_samples(part, width) for part in parts), frames / sound.getframerate()
    # For broken files, `wave` raises not only its own `wave.Error`, but other errors as well.
    except Exception:  # noqa: BLE001
        return [], 0


def _pcm_levels(content: bytes, columns: int) -> tuple[Levels, float]:
    numbers = _decode_samples(content, 2)
    step = max(math.ceil(len(numbers) / columns), 1)
    levels = _levels(numbers[start : start + step] for start in range(0, len(numbers), step))
    return levels, len(numbers) / ffmpeg.SAMPLE_RATE_HZ


def _decode_samples(content: bytes, width: int) -> "array[int]":
    """Decode samples of `width` bytes to signed numbers of 8 or 16 bits; longer samples lose their lower bits."""
    if width == 1:
        # In a WAV file, samples of 8 bits are unsigned, from 0 to 255; they become signed, from -128 to 127.
        return array("b", content.translate(bytes((value + 128) % 256 for value in range(256))))
    # Only the upper two bytes of each sample are used. They are exact enough for a picture.
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


def _draw_waveform(levels: Levels, seconds: float, side: int) -> PIL.Image.Image:
    height, foot = max(side // 4, 48), 24
    image = PIL.Image.new("RGB", (side, height), PAPER)
    pen, font = PIL.ImageDraw.Draw(image), PIL.ImageFont.load_default(size=14)
    middle = (height - foot) / 2
    step = next((each for each in TICK_STEPS_SECONDS if seconds / each <= MAX_TICKS), seconds / MAX_TICKS)
    for tick in range(math.floor(seconds / step) + 1):
        left = tick * step / seconds * (side - 1)
        pen.line((left, 0, left, height - foot), fill=LINE)
        text = _format_time(tick * step)
        length = pen.textlength(text, font=font)
        pen.text((min(max(left - length / 2, 2), side - length - 2), height - foot + 4), text, fill=INK, font=font)
    pen.line((0, middle, side, middle), fill=LINE)
    for column in range(side):
        low, high = levels[column * len(levels) // side]
        pen.line((column, middle - high * middle, column, middle - low * middle), fill=WAVE)
    return image


def _format_time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
