"""What is planned of a timeline and the facts of its sources; nothing is run here."""

import os
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from pydantic import ValidationError
from support import media_files
from support.cases import for_each

from kie_mcp.child_process import Finished
from kie_mcp.errors import InvalidCall
from kie_mcp.film.editing import choose_filter_threads
from kie_mcp.film.facts import Facts, Picture, Track, find_rate, read_facts
from kie_mcp.film.layout import Layout, Source, lay_out
from kie_mcp.film.plan import choose_loudness, plan_film, plan_measurement
from kie_mcp.film.stills import MAX_FILM_PIXELS, write_picture
from kie_mcp.film.texts import build_ass, build_srt, collect_texts, escape
from kie_mcp.film.timeline import MAX_CLIPS, Timeline

PICTURE = Picture(
    *("h264", 1280, 720, 125, 5.0, 0.0, Fraction(25)),
    stored_size=(1280, 720),
    pixels="yuv420p",
    copied_form=("h264", "a"),
)
TRACK = Track("aac", 5.0, 0.0, packets=235, priming_packets=1, copied_form=("aac", "a"))
CLIP = Facts(PICTURE, TRACK)
STILL = Facts(still=(1000, 1000))
SOUND = Facts(track=Track("mp3", 30.0, 0.0))
SILENT = Facts(PICTURE)
SOURCES = {"a": CLIP, "b": CLIP, "still": STILL, "sound": SOUND, "silent": SILENT}
HOSTILE = "it's; [0:v]null[x],movie=/etc/passwd 'a\\"


def lay(timeline: dict[str, Any], **facts: Facts) -> tuple[Timeline, Layout, dict[Any, Source]]:
    checked = Timeline.model_validate(timeline)
    known = SOURCES | facts
    sources = {ref: Source(f"{n}.mp4", known[str(ref)]) for n, ref in enumerate(checked.files())}
    return checked, lay_out(checked, sources), sources


def plan(timeline: dict[str, Any], **facts: Facts) -> Any:
    checked, layout, sources = lay(timeline, **facts)
    return plan_film(checked, layout, sources)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "give clips or sounds"),
    "an empty clip": ({"clips": [{}]}, "give a source, or a title"),
    "an end before the start": ({"clips": [{"source": "a", "start": 2, "end": 1}]}, "end has to be after start"),
    "a card that is cut": ({"clips": [{"title": "x", "start": 1}]}, "a card has seconds"),
    "a fade before the first clip": ({"clips": [{"source": "a", "fade": 1}]}, "no clip before the first"),
    "too fast": ({"clips": [{"source": "a", "speed": 9}]}, "less than or equal to 4"),
    "an unknown field": ({"clips": [{"source": "a", "filter": "x"}]}, "there is no filter. It takes fit"),
    "a shape that is none": ({"clips": [{"source": "a"}], "aspect_ratio": "flat"}, "takes width:height"),
    "a shape that is too wide": ({"clips": [{"source": "a"}], "aspect_ratio": "99:1"}, "takes width:height"),
    "a picture of sounds": ({"sounds": [{"source": "a"}], "format": "gif"}, "gif needs clips"),
    "a cover of a film": ({"clips": [{"source": "a"}], "cover": "still"}, "cover needs the format"),
    "texts in a sound": ({"clips": [{"source": "a"}], "texts": [{"text": "x", "at": 0}], "format": "mp3"}, "no texts"),
    "texts without clips": ({"sounds": [{"source": "sound"}], "texts": [{"text": "x", "at": 0}]}, "need clips"),
    "lyrics without clips": ({"sounds": [{"source": "sound"}], "lyrics": "task:t_abcdef"}, "need clips"),
    "sounds in a frame": ({"clips": [{"source": "a"}], "sounds": [{"source": "a"}], "format": "png"}, "one frame"),
    "too many clips": ({"clips": [{"source": "a"}] * 61}, "takes up to 60"),
    "a text that ends before it begins": (
        {"clips": [{"source": "a"}], "texts": [{"text": "x", "at": 2, "until": 1}]},
        "until has to be after at",
    ),
    "an end behind the end": ({"clips": [{"source": "a", "end": 9}]}, "has no second 9"),
    "a start behind the end": ({"clips": [{"source": "a", "start": 5}]}, "has no second 5"),
    "a fade longer than a clip": ({"clips": [{"source": "a"}, {"source": "b", "fade": 6}]}, "6 s is longer than"),
    "fades that overlap": (
        {"clips": [{"source": "a"}, {"source": "b", "fade": 3}, {"source": "a", "fade": 3}]},
        "3 s is longer than",
    ),
    "a voice without sound": ({"clips": [{"source": "a", "voice": "silent"}]}, "has no sound"),
    "music without sound": ({"clips": [{"source": "a"}], "sounds": [{"source": "still"}]}, "has no sound"),
    "a sound behind the end": ({"clips": [{"source": "a"}], "sounds": [{"source": "sound", "at": 5}]}, "ends at 5.00"),
    "a text behind the end": ({"clips": [{"source": "a"}], "texts": [{"text": "x", "at": 5}]}, "texts.0.at: .* 5.00"),
    "sounds in an animation": (
        {"clips": [{"source": "a"}], "sounds": [{"source": "sound"}], "format": "gif"},
        "gif has no sound",
    ),
    "a loop without an end": ({"sounds": [{"source": "sound", "loop": True}]}, "needs something else"),
    "a film as wide as no encoder takes": ({"clips": [{"source": "wide"}]}, "be 20000 x 30 pixels; 16382 is the most"),
    "a film of hours": ({"clips": [{"source": "long", "speed": 0.25}]}, "3600 s is the most"),
    "the sound of a silent clip": ({"clips": [{"source": "silent"}], "format": "mp3"}, "None of the clips has sound"),
    "the last frame of a card": ({"clips": [{"title": "x"}], "format": "png"}, "has no picture"),
}


@for_each("name", REFUSED)
def test_a_timeline_that_cannot_be_made_is_refused_before_anything_runs(name: str) -> None:
    timeline, words = REFUSED[name]
    long = Facts(replace(PICTURE, seconds=1000.0, frames=25_000), None)
    with pytest.raises((ValidationError, InvalidCall), match=words):
        plan(timeline, long=long, wide=Facts(still=(20_000, 30)))


def test_an_end_a_little_behind_the_end_is_the_end() -> None:
    assert lay({"clips": [{"source": "a", "end": 5.4}]})[1].seconds == 5


@pytest.mark.parametrize("voice", [None, "sound"])
@pytest.mark.parametrize("kind", ["mp4", "mp3", "png"])
def test_seconds_of_a_clip_are_as_an_end(kind: str, voice: str | None) -> None:
    clip = {"source": "a", "start": 1, "speed": 2, "voice": voice}
    with_seconds, with_end = [{"clips": [clip | cut], "format": kind} for cut in ({"seconds": 1}, {"end": 3})]
    assert plan(with_seconds) == plan(with_end)


@pytest.mark.parametrize(
    ("timeline", "size"),
    [
        ({"clips": [{"source": "a"}]}, (1280, 720)),
        ({"clips": [{"source": "a"}], "aspect_ratio": "9:16"}, (720, 1280)),
        ({"clips": [{"source": "a"}], "aspect_ratio": "1:1", "height": 301}, (300, 300)),
        ({"clips": [{"source": "still"}]}, (1000, 1000)),
        ({"clips": [{"source": "still"}, {"source": "a"}]}, (720, 720)),
        ({"clips": [{"title": "x"}]}, (1280, 720)),
        ({"clips": [{"source": "a"}], "format": "gif"}, (640, 360)),
    ],
)
def test_the_size_is_that_of_the_first_clip_or_as_asked_for_and_even(
    timeline: dict[str, Any], size: tuple[int, int]
) -> None:
    assert lay(timeline)[1].size == size


def test_cross_fades_move_what_follows_and_shorten_the_film() -> None:
    _, layout, _ = lay({"clips": [{"source": "a"}, {"source": "b", "fade": 1}, {"title": "x", "seconds": 2}]})
    assert [piece.at for piece in layout.pieces] == [0, 100, 225]
    assert (layout.seconds, layout.frames, layout.samples) == (11, 275, 528_000)


def test_no_text_and_no_name_of_the_caller_is_in_the_command() -> None:
    timeline = {
        "clips": [{"source": HOSTILE, "title": HOSTILE}, {"title": HOSTILE}, {"source": "a", "voice": "sound"}],
        "sounds": [{"source": "sound"}],
        "texts": [{"text": HOSTILE, "at": 1}],
    }
    for more in ({}, {"subtitles": "attach"}, {"format": "gif", "sounds": []}):
        checked, layout, sources = lay(timeline | more, **{HOSTILE: CLIP})
        planned = plan_film(checked, layout, sources, gain_db=1.5)
        command = " ".join((*planned.arguments, *plan_measurement(layout, 1.5)))
        assert "passwd" not in command
        assert "it's" not in command
        assert any("passwd" in content for content in planned.files.values())
        inputs = [
            value for option, value in zip(planned.arguments, planned.arguments[1:], strict=False) if option == "-i"
        ]
        assert all(name.removeprefix("file:").replace(".", "").isalnum() for name in inputs)


COPIED: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "as they are": ({}, True, True),
    "with music": ({"sounds": [{"source": "sound"}]}, True, False),
    "with attached texts": ({"texts": [{"text": "x", "at": 1}], "subtitles": "attach"}, True, True),
    "with burned texts": ({"texts": [{"text": "x", "at": 1}]}, False, False),
    "in another shape": ({"aspect_ratio": "1:1"}, False, False),
    "in its own shape": ({"aspect_ratio": "16:9"}, True, True),
    "smaller": ({"height": 360}, False, False),
    "cut": ({"clips": [{"source": "a", "end": 2}, {"source": "b"}]}, False, False),
    "with a cross-fade": ({"clips": [{"source": "a"}, {"source": "b", "fade": 1}]}, False, False),
    "quieter": ({"clips": [{"source": "a"}, {"source": "b", "volume": 0.5}]}, False, False),
    "with a title": ({"clips": [{"source": "a", "title": "x"}, {"source": "b"}]}, False, False),
    "beside a card": ({"clips": [{"source": "a"}, {"title": "x"}]}, False, False),
}


@for_each("name", COPIED)
def test_what_need_not_be_encoded_is_copied(name: str) -> None:
    more, picture, sound = COPIED[name]
    planned = plan({"clips": [{"source": "a"}, {"source": "b"}]} | more)
    options = " ".join(planned.arguments)
    assert ("-c:v copy" in options, "-c:a copy" in options) == (picture, sound)


DIFFERENT = {
    "other parameters": Facts(replace(PICTURE, copied_form=("h264", "b")), TRACK),
    "another codec": Facts(replace(PICTURE, codec="hevc"), TRACK),
    "more bits": Facts(replace(PICTURE, pixels="yuv420p10le"), TRACK),
    "turned": Facts(replace(PICTURE, is_turned=True), TRACK),
    "uneven": Facts(replace(PICTURE, rate=None), TRACK),
    "late": Facts(replace(PICTURE, starts=0.5), TRACK),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_pictures_that_differ_or_that_not_every_player_shows_are_encoded(name: str) -> None:
    assert not plan({"clips": [{"source": "a"}, {"source": "x"}]}, x=DIFFERENT[name]).is_copied
    if name != "other parameters":
        assert not plan({"clips": [{"source": "x"}]}, x=DIFFERENT[name]).is_copied


@pytest.mark.parametrize(
    "track",
    [None, replace(TRACK, codec="mp3"), replace(TRACK, seconds=4.5), replace(TRACK, copied_form=("aac", "b"))],
)
def test_sounds_that_differ_or_are_too_short_are_encoded_while_the_pictures_are_copied(track: Track | None) -> None:
    options = " ".join(plan({"clips": [{"source": "a"}, {"source": "x"}]}, x=Facts(PICTURE, track)).arguments)
    assert "-c:v copy" in options
    assert "-c:a aac" in options


def test_packets_of_sound_outside_their_clip_are_dropped() -> None:
    late = Facts(PICTURE, replace(TRACK, late_packets=2))
    planned = plan({"clips": [{"source": "a"}, {"source": "x"}, {"source": "b"}]}, x=late)
    (expression,) = (each for each in planned.arguments if each.startswith("noise"))
    assert expression == r"noise=drop=between(n\,235\,235)+between(n\,468\,469)+between(n\,470\,470)"


def test_the_index_of_a_large_copy_gets_its_place_in_advance() -> None:
    checked, layout, sources = lay({"clips": [{"source": "a"}, {"source": "b"}]})
    small = plan_film(checked, layout, sources, sizes={"0.mp4": 1_000})
    large = plan_film(checked, layout, sources, sizes={"0.mp4": 900_000_000})
    assert "+faststart" in small.arguments
    assert "-moov_size" in large.arguments


@pytest.mark.parametrize(
    ("timeline", "wanted"),
    [
        ({"clips": [{"source": "a"}]}, None),
        ({"clips": [{"source": "a"}], "loudness": -20}, -20),
        ({"clips": [{"source": "a"}], "sounds": [{"source": "sound"}]}, -14),
        ({"clips": [{"source": "still", "voice": "sound"}]}, -14),
    ],
)
def test_the_loudness_is_set_where_sounds_are_mixed_or_if_asked_for(timeline: Any, wanted: float | None) -> None:
    checked, layout, _ = lay(timeline)
    assert choose_loudness(checked, layout) == wanted


def test_texts_are_escaped_for_both_files() -> None:
    assert escape("a{b}\\N") == "a\\{b\\}\\\u2060N"
    assert escape("  one \n\n two\x1b[0m ") == "one\\Ntwo [0m"
    timeline, layout, _ = lay(
        {"clips": [{"source": "a"}], "texts": [{"text": "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<b>", "at": 1}]}
    )
    shown = collect_texts(timeline, layout)
    assert build_srt(shown).count("-->") == 1
    assert "<b>" not in build_srt(shown)
    assert "{\\" not in build_srt(shown)
    assert build_ass(shown, layout.size).count("Dialogue:") == 1


def test_lines_of_a_song_behind_the_end_of_the_film_are_left_out() -> None:
    timeline, layout, _ = lay({"clips": [{"source": "a"}]})
    assert [each.text for each in collect_texts(timeline, layout, "1 sung\n9 not sung")] == ["sung"]


def test_texts_without_an_end_stay_as_long_as_reading_takes_or_until_the_next() -> None:
    texts = [{"text": "x", "at": 0}, {"text": "x" * 60, "at": 1}, {"text": "y", "at": 2}]
    timeline, layout, _ = lay({"clips": [{"source": "a"}], "texts": texts})
    assert [(each.start, each.end) for each in collect_texts(timeline, layout)] == [(0, 1), (1, 2), (2, 3.5)]


def test_a_film_of_as_many_pictures_as_a_timeline_takes_needs_no_more_memory_than_there_is(tmp_path: Path) -> None:
    assert choose_filter_threads(MAX_CLIPS) == 1
    assert choose_filter_threads(0) == os.cpu_count()
    name = write_picture(BytesIO(media_files.picture(400, 400)), tmp_path, "0", clips=MAX_FILM_PIXELS // 10_000)
    with PIL.Image.open(tmp_path / name) as image:
        assert image.size == (100, 100)


@pytest.mark.parametrize("until", [{}, {"until": 20}])
def test_no_text_is_shown_after_the_end_of_the_film(until: dict[str, float]) -> None:
    timeline, layout, _ = lay({"clips": [{"source": "a"}], "texts": [{"text": "x", "at": 4.9, **until}]})
    assert [(each.start, each.end) for each in collect_texts(timeline, layout)] == [(4.9, 5)]


def test_a_timeline_is_written_down_without_what_it_does_not_say() -> None:
    given = {"clips": [{"source": "a"}, {"source": "b", "fade": 0.5}], "format": "mp4"}
    assert Timeline.model_validate(given).sent(str) == given


@pytest.mark.parametrize(
    ("times", "unit", "rate"),
    [
        ([0, 1001, 2002, 3003], Fraction(1, 30000), Fraction(30000, 1001)),
        ([0, 33, 67, 100, 133, 167, 200], Fraction(1, 1000), Fraction(30)),
        ([round(number / 0.024) for number in range(48)], Fraction(1, 1000), Fraction(24)),
        ([0, 1, 2, 3, 4], Fraction(1, 12), Fraction(12)),
        ([0, 512, 1536, 2048, 4096], Fraction(1, 12800), None),
        ([0], Fraction(1, 25), None),
        ([0, 0, 0], Fraction(1, 25), None),
        ([0, 1, 2, 3], Fraction(1, 1000), None),
    ],
)
def test_the_frame_rate_is_read_from_the_frames(times: list[int], unit: Fraction, rate: Fraction | None) -> None:
    assert find_rate(times, unit) == rate


def test_facts_of_a_file_without_streams_are_empty() -> None:
    assert read_facts(Finished(1, b"", b"no such file"), 1) == [Facts()]


def test_rounded_lengths_do_not_add_up() -> None:
    odd = Facts(replace(PICTURE, frames=121, seconds=121 / 24, rate=Fraction(24)), TRACK)
    timeline = {"clips": [{"source": "x"}] * 20 + [{"source": "y"}]}
    layout = lay(timeline, x=odd, y=Facts(replace(PICTURE, rate=Fraction(30))))[1]
    assert layout.frames == pytest.approx(30 * (20 * 121 / 24 + 5), abs=1)
    assert {piece.length for piece in layout.pieces[:20]} == {151, 152}
