import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.media import midi

Event = tuple[int, int, int, int]
"""Tick, status, pitch, loudness."""


def read(content: bytes) -> list[tuple[str, list[Event]]]:
    """Each track's name and notes, read as the standard says, with nothing left over."""
    head, length, form, count, division = struct.unpack(">4sIHHH", content[:14])
    assert (head, length, form, division) == (b"MThd", 6, 1, 480)
    tracks, content = [], content[14:]
    for _ in range(count):
        head, length = struct.unpack(">4sI", content[:8])
        assert head == b"MTrk"
        tracks.append(read_track(iter(content[8 : 8 + length])))
        content = content[8 + length :]
    assert content == b""
    return tracks


def read_track(data: Iterator[int]) -> tuple[str, list[Event]]:
    name, notes, now = "", [], 0
    while True:
        now += quantity(data)
        status = next(data)
        if status != 0xFF:
            notes.append((now, status, next(data), next(data)))
            continue
        kind, text = next(data), bytes(next(data) for _ in range(quantity(data)))
        if kind == 0x2F:
            assert list(data) == []
            return name, notes
        assert kind == 0x03
        name = text.decode()


def quantity(data: Iterator[int]) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value
    raise AssertionError("cut")


def note(pitch: Any = 60, start: Any = 0, end: Any = 1, **more: Any) -> dict[str, Any]:
    return {"pitch": pitch, "start": start, "end": end, **more}


def played(*notes: dict[str, Any], name: str | None = "Piano") -> list[Event]:
    ((_, events),) = read(midi.build_midi_file(json.dumps([{"name": name, "notes": notes}])))
    return events


def test_a_score_reads_back_with_a_track_for_each_instrument() -> None:
    score = [
        {"name": "Klavier – 鋼琴", "notes": [note(60, 0.5, 1.0, velocity=0.5), note(64, 1.0, 2.25, velocity=1)]},
        {"name": "Bass", "notes": [note(36, 0, 300, velocity=0.8)]},
    ]
    assert read(midi.build_midi_file(json.dumps(score))) == [
        ("Klavier – 鋼琴", [(480, 0x90, 60, 64), (960, 0x80, 60, 0), (960, 0x90, 64, 127), (2160, 0x80, 64, 0)]),
        ("Bass", [(0, 0x91, 36, 102), (288_000, 0x81, 36, 0)]),
    ]


def test_notes_that_sound_together_start_and_end_together() -> None:
    chord = [note(pitch, 1, 2) for pitch in (67, 60, 64)]
    assert played(*chord) == [
        *((960, 0x90, pitch, 127) for pitch in (60, 64, 67)),
        *((1920, 0x80, pitch, 0) for pitch in (60, 64, 67)),
    ]


def test_a_repeated_note_ends_before_it_begins_again() -> None:
    assert [event[:2] for event in played(note(start=1, end=2), note(start=0, end=1))] == [
        (0, 0x90),
        (960, 0x80),
        (960, 0x90),
        (1920, 0x80),
    ]


@pytest.mark.parametrize("end", [1, 0.5, 1.0001])
def test_a_note_without_length_does_not_sound_for_ever(end: float) -> None:
    assert [event[:2] for event in played(note(start=1, end=end))] == [(960, 0x90), (961, 0x80)]


@pytest.mark.parametrize("name", ["Drums", "drum kit", "Electronic DRUM Kit"])
def test_drums_play_on_channel_ten(name: str) -> None:
    assert [event[1] for event in played(note(), name=name)] == [0x99, 0x89]


def test_no_other_instrument_plays_on_channel_ten() -> None:
    score = [{"name": f"Synth {n}", "notes": [note()]} for n in range(32)]
    channels = [events[0][1] & 0x0F for _, events in read(midi.build_midi_file(json.dumps(score)))]
    assert 9 not in channels
    assert channels[:15] == [*range(9), *range(10, 16)]
    assert channels[15:30] == channels[:15]


@pytest.mark.parametrize(
    "instrument", [{"name": "Oboe", "notes": []}, {"name": "Oboe", "notes": None}, {"name": "Oboe"}]
)
def test_an_instrument_that_rests_has_an_empty_track(instrument: dict[str, Any]) -> None:
    assert read(midi.build_midi_file(json.dumps([instrument]))) == [("Oboe", [])]


def test_an_instrument_needs_no_name() -> None:
    assert read(midi.build_midi_file('[{"name": null}, {}]')) == [("", []), ("", [])]


def test_a_score_without_instruments_is_a_file_without_tracks() -> None:
    assert read(midi.build_midi_file("[]")) == []


def test_a_long_name_keeps_its_length() -> None:
    name = "ü" * 500
    assert read(midi.build_midi_file(json.dumps([{"name": name}]))) == [(name, [])]


@pytest.mark.parametrize(
    ("given", "pitch", "loudness"),
    [
        (note(-5, velocity=-1), 0, 1),
        (note(300, velocity=99), 127, 127),
        (note("60", velocity="0.5"), 60, 64),
        (note(60.0), 60, 127),
    ],
)
def test_what_lies_outside_the_scale_is_brought_inside(given: dict[str, Any], pitch: int, loudness: int) -> None:
    assert played(given)[0] == (0, 0x90, pitch, loudness)


def test_a_note_from_before_the_beginning_starts_with_it() -> None:
    assert [event[0] for event in played(note(start=-3, end=1))] == [0, 960]


@for_each(
    "text",
    [
        "",
        "no notes",
        "{}",
        '"Drums"',
        "[[]]",
        '[{"notes": [{"pitch": 60}]}]',
        '[{"notes": [{"pitch": "C4", "start": 0, "end": 1}]}]',
        '[{"notes": [{"pitch": 60, "start": NaN, "end": 1}]}]',
        '[{"notes": [{"pitch": 60, "start": 0, "end": 1e300}]}]',
        '[{"notes": [{"pitch": 60, "start": -1e308, "end": 1}]}]',
        '[{"notes": [{"pitch": 60, "start": 0, "end": 1, "velocity": 1e307}]}]',
        '[{"notes": [{"pitch": 60, "start": 0, "end": 1, "velocity": Infinity}]}]',
    ],
)
def test_what_is_no_score_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        midi.build_midi_file(text)
