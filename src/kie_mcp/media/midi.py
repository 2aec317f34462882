"""Convert the notes that Suno returns as JSON to a Standard MIDI File (format 1 of the specification MMA RP-001)."""

import struct
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

TICKS_PER_SECOND = 960
"""MIDI ticks per second: a quarter note has 480 ticks, and there are 120 quarter notes a minute.

120 is the tempo that the MIDI standard prescribes for a file that states no tempo.
"""
DRUM_CHANNEL = 9
"""Number of the channel that General MIDI reserves for drums, counted from 0."""

Seconds = Annotated[float, Field(allow_inf_nan=False, ge=-100_000, le=100_000)]


class Note(BaseModel):
    """One note; `start` and `end` are seconds from the start of the song, and `pitch` is a MIDI note number."""

    pitch: int
    start: Seconds
    end: Seconds
    velocity: Annotated[float, Field(allow_inf_nan=False, ge=-1000, le=1000)] = 1
    """Loudness, from 0 to 1."""


class Instrument(BaseModel):
    """One instrument and the notes it plays."""

    name: str | None = None
    notes: list[Note] | None = None


INSTRUMENTS = TypeAdapter(list[Instrument])


def build_midi_file(notes_json: str) -> bytes:
    """Build a MIDI file with one track for each instrument.

    Args:
        notes_json: KIE's list of instruments, as JSON.

    Returns:
        The content of the file.

    Raises:
        ValueError: The text is not JSON, or not a list of instruments with the fields of `Instrument`.
    """
    tracks = [_encode_track(each, number) for number, each in enumerate(INSTRUMENTS.validate_json(notes_json))]
    return struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), TICKS_PER_SECOND // 2) + b"".join(tracks)


def _encode_track(instrument: Instrument, number: int) -> bytes:
    name = instrument.name or ""
    # Drums have a channel of their own. The other instruments use the remaining fifteen channels in turn.
    channel = DRUM_CHANNEL if "drum" in name.lower() else (number % 15 + (number % 15 >= DRUM_CHANNEL))
    events: list[tuple[int, bytes]] = []
    for note in instrument.notes or ():
        pitch = min(max(note.pitch, 0), 127)
        loudness = min(max(round(note.velocity * 127), 1), 127)
        start = _to_ticks(note.start)
        events.append((start, bytes((0x90 | channel, pitch, loudness))))
        events.append((max(_to_ticks(note.end), start + 1), bytes((0x80 | channel, pitch, 0))))
    encoded_name = name.encode()
    data = b"\x00\xff\x03" + _encode_quantity(len(encoded_name)) + encoded_name
    now = 0
    # If one note ends at the tick at which another begins, the end must come first. Sorting puts 0x80 (end) before 0x90
    # (begin).
    for tick, event in sorted(events):
        data += _encode_quantity(tick - now) + event
        now = tick
    data += b"\x00\xff\x2f\x00"
    return struct.pack(">4sI", b"MTrk", len(data)) + data


def _to_ticks(seconds: float) -> int:
    return max(round(seconds * TICKS_PER_SECOND), 0)


def _encode_quantity(value: int) -> bytes:
    """Encode a number as a MIDI variable-length quantity.

    Each byte contains seven bits of the number. The high bit of a byte says whether another byte follows.
    """
    encoded = [value & 0x7F]
    while value := value >> 7:
        encoded.append(value & 0x7F | 0x80)
    return bytes(reversed(encoded))
