"""Note data as Suno gives it, as a Standard MIDI File (format 1, MMA RP-001) that players open."""

import struct
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

TICKS_PER_SECOND = 960
"""480 ticks a quarter at 120 beats a minute, the tempo that a file without one has."""
DRUM_CHANNEL = 9

Seconds = Annotated[float, Field(allow_inf_nan=False, le=100_000)]


class Note(BaseModel):
    """One note, from when to when."""

    pitch: int
    start: Seconds
    end: Seconds
    velocity: Annotated[float, Field(allow_inf_nan=False)] = 1
    """How loud, 0 to 1."""


class Instrument(BaseModel):
    """What plays some notes."""

    name: str | None = None
    notes: list[Note] | None = None


SCORE = TypeAdapter(list[Instrument])


def file(text: str) -> bytes:
    """The notes of all instruments, a track each.

    Args:
        text: KIE's list of instruments as JSON.

    Raises:
        ValueError: When it is no such list.
    """
    tracks = [_track(each, number) for number, each in enumerate(SCORE.validate_json(text))]
    return struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), TICKS_PER_SECOND // 2) + b"".join(tracks)


def _track(instrument: Instrument, number: int) -> bytes:
    name = instrument.name or ""
    # Fifteen melodic channels go round; drums have their own.
    channel = DRUM_CHANNEL if "drum" in name.lower() else (number % 15 + (number % 15 >= DRUM_CHANNEL))
    events: list[tuple[int, bytes]] = []
    for note in instrument.notes or ():
        pitch = min(max(note.pitch, 0), 127)
        loudness = min(max(round(note.velocity * 127), 1), 127)
        start = _ticks(note.start)
        events.append((start, bytes((0x90 | channel, pitch, loudness))))
        events.append((max(_ticks(note.end), start + 1), bytes((0x80 | channel, pitch, 0))))
    text = name.encode()
    data = b"\x00\xff\x03" + _quantity(len(text)) + text
    now = 0
    # At the same tick a note ends before the next begins: 0x80 sorts before 0x90.
    for tick, event in sorted(events):
        data += _quantity(tick - now) + event
        now = tick
    data += b"\x00\xff\x2f\x00"
    return struct.pack(">4sI", b"MTrk", len(data)) + data


def _ticks(seconds: float) -> int:
    return max(round(seconds * TICKS_PER_SECOND), 0)


def _quantity(value: int) -> bytes:
    """A variable-length quantity: seven bits a byte, the high bit says that more follow."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))
