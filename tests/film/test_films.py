"""Films are made by ffmpeg, and every frame of them is decoded: their order, length, shape, loudness and texts."""

import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from support import films
from support.effort import Effort
from support.encoded_media import encode_picture, run_ffmpeg
from support.films import clip, hear, make, see, sound
from support.programs import needs_ffmpeg

from kie_mcp.errors import InvalidCall

pytestmark = [pytest.mark.anyio, needs_ffmpeg]

HDR = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=0", "-color_trc", "smpte2084")
"""Options for HDR that states its transfer and no other colours."""
UNEVEN = ("-vf", "select=not(mod(n\\,3))+lt(n\\,6)", "-fps_mode", "vfr")

MIXED: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "plain.mp4": (("red", 0.6), {}),
    "large.mp4": (("lime", 0.6), {"size": "320x180"}),
    "cinema.mp4": (("blue", 0.6), {"rate": "24000/1001"}),
    "television.mp4": (("red", 0.6), {"rate": "30000/1001"}),
    "smooth.mp4": (("lime", 0.6), {"rate": "50"}),
    "uneven.mp4": (("blue", 0.6, *UNEVEN), {}),
    "silent.mp4": (("red", 0.6), {"sound": None}),
    "long-sound.mp4": (("lime", 0.6), {"sound": 0.9}),
    "short-sound.mp4": (("blue", 0.6), {"sound": 0.3}),
    "mono.mp4": (("red", 0.6, "-ac", "1", "-ar", "8000"), {}),
    "wide-pixels.mp4": (("lime", 0.6, "-vf", "setsar=2"), {"size": "80x90"}),
    "full-range.mp4": (("blue", 0.6, "-vf", "scale=out_range=pc", "-color_range", "pc"), {}),
    "web.webm": (("red", 0.6, "-c:v", "libvpx", "-c:a", "libopus", "-cpu-used", "8"), {"ending": "webm"}),
    "stream.ts": (("lime", 0.6), {"ending": "ts"}),
    "old.avi": (("blue", 0.6, "-c:v", "mpeg4", "-q:v", "2", "-c:a", "mp3"), {"ending": "avi"}),
    "new-codec.avi": (("red", 0.6, "-c:a", "mp3"), {"ending": "avi"}),
    "disc.vob": (("lime", 0.6, "-c:v", "mpeg2video", "-q:v", "2", "-c:a", "mp2"), {"ending": "vob"}),
    "odd.mkv": (("red", 0.6, "-c:v", "ffv1", "-pix_fmt", "yuv444p"), {"size": "161x91", "ending": "mkv"}),
    "hdr.mp4": (("white", 0.6, *HDR), {}),
}
"""Clips of 0.6 s that differ in all that a film has in common."""


@pytest.fixture(autouse=True)
def program(request: pytest.FixtureRequest) -> None:
    """The ffmpeg of the machine for the first case of each test, or for each with `--thorough`; else the newest."""
    cases = getattr(request.node, "callspec", None)
    if Effort.is_thorough or not cases or not any(cases.indices.values()):
        request.getfixturevalue("ffmpeg_of_system")


def picture(color: str, size: tuple[int, int] = (160, 90), image_format: str = "PNG") -> bytes:
    return encode_picture(PIL.Image.new("RGB", size, color), image_format)


async def test_clips_of_all_kinds_are_joined_in_order_each_with_all_its_frames_and_its_sound(tmp_path: Path) -> None:
    files = {name: clip(*arguments, **options) for name, (arguments, options) in MIXED.items()}
    made = await make({"clips": [{"source": name} for name in files]}, files, tmp_path)
    assert made.edit.layout.rate == 50
    seen = see(made.film.path)
    # HDR white is not as bright as that of usual screens.
    assert [color for color, _ in seen[:-1]] == [arguments[0] for arguments, _ in MIXED.values()][:-1]
    lengths = {name: frames for name, (_, frames) in zip(files, seen, strict=True)}
    # 0.6 s are no whole number of frames at 24000/1001, the last frames of the uneven clip are left out, and the index
    # of an AVI file has no place for the first frame's delay, so that this frame is shown twice as long.
    assert lengths == dict.fromkeys(files, 30) | {
        "cinema.mp4": 31,
        "uneven.mp4": 26,
        **dict.fromkeys(("old.avi", "new-codec.avi"), 32),
    }
    heard = hear(made.film.path)
    middles = [round(10 * made.edit.layout.to_seconds(piece.at)) + 2 for piece in made.edit.layout.pieces]
    in_the_middle = {name: heard[middle] for name, middle in zip(files, middles, strict=True)}
    wanted = {name: films.PITCHES[str(arguments[0])] for name, (arguments, _) in MIXED.items()}
    assert in_the_middle == wanted | {"silent.mp4": 0}
    behind = middles[list(files).index("short-sound.mp4")] + 2
    assert heard[behind : behind + 2] == [0, 0], "short-sound.mp4 is followed by silence until its picture ends"


async def test_a_clip_is_joined_upright_and_with_its_sound_at_its_picture(tmp_path: Path) -> None:
    half = "color=red:size=90x160:duration=1,drawbox=h=80:color=blue:t=fill"
    lying = run_ffmpeg("a.mp4", "-f", "lavfi", "-i", half, *films.H264)
    files = {"turned.mp4": films.turn(lying), "plain.mp4": clip("lime")}
    made = await make({"clips": [{"source": "turned.mp4"}, {"source": "plain.mp4"}]}, files, tmp_path)
    assert made.edit.layout.size == (160, 90)
    assert [see(made.film.path, spot)[0][0] for spot in ("iw/4:ih/2", "iw*3/4:ih/2")] == ["red", "blue"]


@pytest.mark.parametrize("name", ["late.mp4", "late.ts"])
async def test_sound_that_begins_later_than_its_picture_stays_where_it_was(name: str, tmp_path: Path) -> None:
    late = run_ffmpeg(
        name,
        *("-f", "lavfi", "-i", "color=red:size=160x90:rate=25:duration=1"),
        *("-itsoffset", "0.5", "-f", "lavfi", "-i", films.tone(400, 0.5), *films.H264),
    )
    made = await make({"clips": [{"source": name, "end": 0.96}]}, {name: late}, tmp_path)
    heard = hear(made.film.path)
    assert heard[:4] == [0, 0, 0, 0]
    assert heard[6:9] == [400, 400, 400]


OPERATIONS: dict[str, tuple[dict[str, Any], list[tuple[str, int]], float]] = {
    "cut": ({"clips": [{"source": "red.mp4", "start": 0.2, "end": 0.6}]}, [("red", 10)], 0.4),
    "faster": ({"clips": [{"source": "red.mp4", "speed": 2}]}, [("red", 12)], 0.5),
    "slower": ({"clips": [{"source": "red.mp4", "speed": 0.25}]}, [("red", 100)], 4),
    "a card": ({"clips": [{"seconds": 0.4}, {"source": "red.mp4"}]}, [("black", 10), ("red", 25)], 1.4),
    "a picture": ({"clips": [{"source": "p.png", "seconds": 2}], "height": 90}, [("yellow", 60)], 2),
    "a picture as long as its voice": ({"clips": [{"source": "p.png", "voice": "v.wav"}]}, [("yellow", 27)], 0.9),
    "a clip that stands for its voice": ({"clips": [{"source": "red.mp4", "voice": "long.mp3"}]}, [("red", 60)], 2.4),
    "a sound with a picture": ({"clips": [{"source": "v.wav"}], "format": "mp4"}, [("black", 15)], 0.5),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_film_has_the_frames_that_were_asked_for(name: str, tmp_path: Path) -> None:
    timeline, seen, seconds = OPERATIONS[name]
    files = {
        "red.mp4": clip("red"),
        "p.png": picture("yellow"),
        "v.wav": sound(500, 0.5),
        "long.mp3": sound(500, 2, "mp3"),
    }
    made = await make(timeline, files, tmp_path)
    assert see(made.film.path) == seen
    assert made.edit.layout.seconds == pytest.approx(seconds, abs=0.05)


async def test_a_cross_fade_is_as_long_as_asked_for_in_picture_and_sound(tmp_path: Path) -> None:
    files = {"red.mp4": clip("red"), "blue.mp4": clip("blue")}
    clips = [{"source": "red.mp4"}, {"source": "red.mp4"}, {"source": "blue.mp4", "fade": 0.4}]
    made = await make({"clips": clips}, files, tmp_path)
    pixels = films.read_pixels(made.film.path)
    assert len(pixels) == 65
    mixed = [number for number, pixel in enumerate(pixels) if 20 < pixel[0] < 235 and 20 < pixel[2] < 235]
    assert 38 <= min(mixed) <= 42
    assert 47 <= max(mixed) <= 50
    assert [heard for heard in hear(made.film.path) if heard in (400, 800)][::9] == [400, 400, 800]


SHAPES = {
    "pad": ("black", "black", "red"),
    "crop": ("red", "red", "red"),
}


@pytest.mark.parametrize("fit", SHAPES)
async def test_a_clip_of_another_shape_is_fitted(fit: str, tmp_path: Path) -> None:
    timeline = {"clips": [{"source": "red.mp4"}], "aspect_ratio": "9:16", "fit": fit}
    made = await make(timeline, {"red.mp4": clip("red", 0.2)}, tmp_path)
    assert made.edit.layout.size == (90, 160)
    assert tuple(see(made.film.path, spot)[0][0] for spot in ("4:4", "iw-4:ih-4", "iw/2:ih/2")) == SHAPES[fit]


async def test_a_blurred_ground_has_the_colours_of_the_clip(tmp_path: Path) -> None:
    halves = "color=red:size=160x90:duration=0.2,drawbox=w=80:color=blue:t=fill"
    content = run_ffmpeg("a.mp4", "-f", "lavfi", "-i", halves, *films.H264)
    timeline = {"clips": [{"source": "a.mp4"}], "aspect_ratio": "1:1", "fit": "blur"}
    made = await make(timeline, {"a.mp4": content}, tmp_path)
    above = [films.read_pixels(made.film.path, f"{x}:2")[0] for x in ("4", "iw-6", "iw/2")]
    left, right, middle = above
    assert left[2] > 150 > right[2]
    assert right[0] > 150 > left[0]
    assert all(60 < each < 200 for each in (middle[0], middle[2])), "the border of the colours is soft"


async def test_a_picture_is_zoomed_slowly(tmp_path: Path) -> None:
    image = PIL.Image.new("RGB", (160, 90), "blue")
    image.paste("red", (4, 0, 156, 90))
    made = await make({"clips": [{"source": "p.png", "seconds": 1}]}, {"p.png": encode_picture(image, "PNG")}, tmp_path)
    border = [films.name_color(pixel) for pixel in films.read_pixels(made.film.path, "0:ih/2")]
    assert (border[0], border[-1]) == ("blue", "red")


@pytest.mark.parametrize("wanted", [None, -20])
async def test_a_film_with_voice_and_music_has_the_loudness_asked_for(wanted: float | None, tmp_path: Path) -> None:
    files = {
        "red.mp4": clip("red", 3, sound=None),
        "m.mp3": sound(300, 5, "mp3"),
        "v.wav": sound(900, 1),
    }
    sounds = [{"source": "m.mp3"}, {"source": "v.wav", "role": "voice", "at": 1}]
    timeline = {"clips": [{"source": "red.mp4"}], "sounds": sounds}
    made = await make(timeline | ({"loudness": wanted} if wanted else {}), files, tmp_path)
    assert films.measure_loudness(made.film.path) == pytest.approx(wanted or -14, abs=1)
    if not wanted:
        levels = [max(map(abs, films.read_samples(made.film.path)[at : at + 24_000])) for at in (12_000, 132_000)]
        during = hear(made.film.path)[12:18]
        assert set(during) == {900}, "the music is lowered under the voice"
        assert levels[0] > 3000, "and loud before it"
        assert max(map(abs, films.read_samples(made.film.path)[-2400:])) < levels[0] / 5, "and fades at the end"


async def test_a_sound_that_its_peaks_keep_from_being_as_loud_as_wanted_is_told(tmp_path: Path) -> None:
    bursts = ("-af", "volume='if(lt(mod(t,0.5),0.03),1,0)':eval=frame")
    timeline = {"clips": [{"source": "a.wav"}], "loudness": -8, "format": "wav"}
    made = await make(timeline, {"a.wav": sound(500, 4, "wav", *bursts)}, tmp_path)
    (told,) = re.findall(r"The sound is ([\d.]+) LU quieter than wanted", made.film.note)
    assert films.measure_loudness(made.film.path) == pytest.approx(-8 - float(told), abs=0.5)


async def test_sounds_begin_where_they_should_and_are_repeated_if_asked_for(tmp_path: Path) -> None:
    files = {"red.mp4": clip("red", 2, sound=None), "a.wav": sound(500, 0.3), "b.wav": sound(1500, 0.5)}
    effect = {"source": "a.wav", "at": 0.2, "role": "effect"}
    sounds = [effect, {"source": "b.wav", "at": 1, "start": 0.2, "loop": True}]
    timeline = {"clips": [{"source": "red.mp4"}], "sounds": sounds, "loudness": -14}
    heard = hear((await make(timeline, files, tmp_path)).film.path)
    assert heard[0] == heard[7] == 0
    assert heard[3:5] == [500, 500]
    assert heard[11:16] == [1500] * 5


SOUNDS: dict[str, tuple[dict[str, Any], str, list[int]]] = {
    "speech one after the other": (
        {"clips": [{"source": "a.wav"}, {"seconds": 0.3}, {"source": "b.mp3"}]},
        "audio/mpeg",
        [500] * 5 + [0] * 3 + [1500] * 5,
    ),
    "the sound of a clip": ({"clips": [{"source": "red.mp4"}], "format": "wav"}, "audio/wav", [400] * 10),
    "the sound of a clip as it is": ({"clips": [{"source": "red.mp4"}], "format": "m4a"}, "audio/mp4", [400] * 10),
    "a voice over music that loops": (
        {"sounds": [{"source": "a.wav", "role": "voice"}, {"source": "b.mp3", "loop": True, "volume": 0}]},
        "audio/mpeg",
        [500] * 5,
    ),
    "another format": ({"clips": [{"source": "b.mp3"}], "format": "flac"}, "audio/flac", [1500] * 5),
}


@pytest.mark.parametrize("name", SOUNDS)
async def test_sounds_are_joined_taken_out_and_converted(name: str, tmp_path: Path) -> None:
    timeline, mime_type, pitches = SOUNDS[name]
    files = {"red.mp4": clip("red"), "a.wav": sound(500, 0.5), "b.mp3": sound(1500, 0.5, "mp3")}
    made = await make(timeline, files, tmp_path)
    assert made.film.mime_type == mime_type
    heard = hear(made.film.path)[: len(pitches)]
    # Where one sound ends, a tenth of a second may have both.
    assert sum(one == other for one, other in zip(heard, pitches, strict=True)) >= len(pitches) - 3
    assert len(films.read_samples(made.film.path)) / 48_000 == pytest.approx(made.edit.layout.seconds, abs=0.1)


@pytest.mark.parametrize("source", ["b.mp3", "a.wav"])
async def test_a_sound_gets_a_cover(source: str, tmp_path: Path) -> None:
    files = {"a.wav": sound(500, 0.5), "b.mp3": sound(1500, 0.5, "mp3"), "p.png": picture("yellow", (64, 64))}
    made = await make({"clips": [{"source": source}], "format": "mp3", "cover": "p.png"}, files, tmp_path)
    if source == "b.mp3":
        (tmp_path / "before.mp3").write_bytes(files[source])
        assert films.packets(made.film.path, "0:a:0") == films.packets(tmp_path / "before.mp3", "0:a:0")
    cover = films.decode(made.film.path, "-map", "0:v:0", "-f", "image2pipe", "-c:v", "png", "-")
    with PIL.Image.open(io.BytesIO(cover)) as image:
        assert image.size == (64, 64)
        assert films.name_color(image.convert("RGB").getpixel((32, 32))) == "yellow"  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["gif", "webp"])
async def test_a_clip_becomes_an_animation(kind: str, tmp_path: Path) -> None:
    files = {"red.mp4": clip("red"), "blue.mp4": clip("blue")}
    made = await make({"clips": [{"source": "red.mp4"}, {"source": "blue.mp4"}], "format": kind}, files, tmp_path)
    with PIL.Image.open(made.film.path) as image:
        assert image.size == (160, 90)
        assert image.info.get("loop") == 0
        seconds, colors = 0.0, []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            colors.append(films.name_color(image.convert("RGB").getpixel((80, 45)), within=12))  # type: ignore[arg-type]
            seconds += image.info["duration"] / 1000
    assert list(dict.fromkeys(colors)) == ["red", "blue"]
    assert seconds == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(("end", "color", "kind"), [(None, "blue", "png"), (1.0, "red", "jpg")])
async def test_the_last_frame_is_taken_in_its_own_size_and_colours(
    end: float | None, color: str, kind: str, tmp_path: Path
) -> None:
    two = "color=red:size=162x90:rate=25:duration=1[a];color=blue:size=162x90:rate=25:duration=0.04[b];[a][b]concat"
    content = run_ffmpeg("a.mp4", "-filter_complex", two, *films.H264)
    made = await make({"clips": [{"source": "a.mp4", "end": end}], "format": kind}, {"a.mp4": content}, tmp_path)
    with PIL.Image.open(made.film.path) as image:
        assert (image.format, image.size) == ({"png": "PNG", "jpg": "JPEG"}[kind], (162, 90))
        assert films.name_color(image.convert("RGB").getpixel((80, 45)), within=12) == color  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mp4", "png"])
async def test_a_cut_inside_a_frame_that_is_shown_for_seconds_shows_this_frame(kind: str, tmp_path: Path) -> None:
    two = "color=red:size=160x90:rate=25:duration=1[a];color=blue:size=160x90:rate=25:duration=3[b];[a][b]concat"
    kept = rf"{two},select=lt(n\,26)+eq(n\,99)"
    recording = run_ffmpeg("a.mp4", "-filter_complex", kept, "-fps_mode", "vfr", *films.H264)
    timeline = {"clips": [{"source": "a.mp4", "start": 2.4, "end": 3.4}], "format": kind}
    made = await make(timeline, {"a.mp4": recording}, tmp_path)
    assert see(made.film.path) == [("blue", 25 if kind == "mp4" else 1)]


@pytest.mark.parametrize("late", [0, 0.6])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mpg"])
async def test_a_cut_between_two_key_frames_has_the_frames_of_its_time(name: str, late: float, tmp_path: Path) -> None:
    two = "color=red:size=160x90:rate=25:duration=1.4[a];color=blue:size=160x90:rate=25:duration=1.6[b];[a][b]concat"
    film = f"{two},setpts=PTS+{late}/TB;{films.tone(400, 3)}"
    keys = ("-g", "50", "-sc_threshold", "0", "-bf", "0", "-fps_mode", "passthrough")
    content = run_ffmpeg(name, "-filter_complex", film, *films.H264, *keys)
    made = await make({"clips": [{"source": name, "start": 1, "end": 1.8}]}, {name: content}, tmp_path)
    assert see(made.film.path) == [("red", 10), ("blue", 10)]


async def test_clips_of_one_form_are_joined_without_encoding_them(tmp_path: Path) -> None:
    files = {"a.mp4": clip("red", 1), "b.mp4": clip("red", 0.6)}
    names = ("a.mp4", "b.mp4", "a.mp4")
    made = await make({"clips": [{"source": name} for name in names]}, files, tmp_path)
    before = {"a.mp4": tmp_path / "0.mp4", "b.mp4": tmp_path / "1.mp4"}
    pictures = [packet for name in names for packet in films.packets(before[name], "0:v")]
    assert films.packets(made.film.path, "0:v") == pictures
    assert see(made.film.path) == [("red", 65)]
    heard = hear(made.film.path)
    # A joint may be heard in the tenth of a second in which it is.
    assert [each for number, each in enumerate(heard) if number not in (10, 16)] == [400] * 24
    times = films.packet_times(made.film.path, "0:a")
    assert [later - earlier for earlier, later in pairwise(times)].count(1024) >= len(times) - 3
    assert times == sorted(times)
    assert films.packet_times(made.film.path, "0:v") == list(range(0, 65 * 512, 512))


async def test_only_the_sound_is_encoded_where_music_is_put_under_clips_of_one_form(tmp_path: Path) -> None:
    # The times in an MPEG transport stream begin at 1.4 s.
    files = {"a.mp4": clip("red", 1, sound=None), "m.ts": sound(1500, 3, "ts")}
    timeline = {"clips": [{"source": "a.mp4"}] * 2, "sounds": [{"source": "m.ts", "fade_out": 0}]}
    made = await make(timeline, files, tmp_path)
    assert films.packets(made.film.path, "0:v") == films.packets(tmp_path / "0.mp4", "0:v") * 2
    assert films.measure_loudness(made.film.path) == pytest.approx(-14, abs=1)
    assert hear(made.film.path)[1:19] == [1500] * 18


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda: clip("blue", 1, "-bf", "0", "-preset", "medium"), id="other parameters"),
        pytest.param(lambda: clip("blue", 1, size="320x180"), id="another size"),
        pytest.param(lambda: clip("blue", 1, rate="30"), id="another frame rate"),
        pytest.param(lambda: clip("blue", 1, sound=None), id="no sound"),
        pytest.param(lambda: clip("blue", 1, "-ac", "2"), id="another sound"),
    ],
)
async def test_clips_that_differ_are_encoded(other: Any, tmp_path: Path) -> None:
    made = await make(
        {"clips": [{"source": "a.mp4"}, {"source": "b.mp4"}]}, {"a.mp4": clip("red"), "b.mp4": other()}, tmp_path
    )
    assert [color for color, _ in see(made.film.path)] == ["red", "blue"]
    assert hear(made.film.path)[4] == 400


HOSTILE = (
    'it\'s "50%": a\\b, [x]; {\\an8}c=1',
    "two\nlines\\Nand {one}",
    "שלום עולם",
    "<i>tag</i> --> 00:00:01,000",
    "%{pts} $HOME `ls` ",
)


async def test_texts_are_shown_as_they_are_written(tmp_path: Path) -> None:
    texts = [{"text": text, "at": number, "until": number + 0.5} for number, text in enumerate(HOSTILE)]
    files = {"red.mp4": clip("red", 5, sound=None)}
    attached = await make(
        {"clips": [{"source": "red.mp4"}], "texts": texts, "subtitles": "attach"}, files, films.empty(tmp_path)
    )
    assert films.packets(attached.film.path, "0:v") == films.packets(tmp_path / "edit" / "0.mp4", "0:v")
    raw = films.decode(attached.film.path, "-map", "0:s", "-c", "copy", "-f", "data", "-").decode(errors="ignore")
    for text in HOSTILE:
        for line in text.strip().split("\n"):
            assert line.strip() in raw.replace("\u2060", ""), text


async def test_texts_and_titles_are_burned_in_for_their_time_only(tmp_path: Path) -> None:
    clips = [{"seconds": 0.4}, {"title": HOSTILE[0], "seconds": 0.4}, {"seconds": 0.4}]
    starts = [0.8 + number / 25 for number, _ in enumerate(HOSTILE)]
    texts = [{"text": text, "at": at, "until": at + 0.04} for text, at in zip(HOSTILE, starts, strict=True)]
    made = await make({"clips": clips, "texts": texts, "height": 180}, {}, tmp_path)
    raw = films.decode(made.film.path, "-vf", "format=gray", "-f", "rawvideo", "-")
    size = 320 * 180
    bright = [max(raw[at : at + size]) > 150 for at in range(0, len(raw), size)]
    assert len(bright) == 36
    assert not any(bright[:12])
    assert all(bright[12:24])
    assert any(bright[24:30])
    assert not any(bright[31:])


async def test_lines_of_a_song_become_texts(tmp_path: Path) -> None:
    lyrics = "0.20 [Verse] Hello\n0.60 darkness"
    timeline = {"clips": [{"source": "red.mp4"}], "lyrics": "t_song", "subtitles": "attach"}
    made = await make(timeline, {"red.mp4": clip("red", sound=None)}, tmp_path, lyrics)
    told = films.decode(made.film.path, "-map", "0:s", "-f", "webvtt", "-").decode()
    assert "00:00.200 --> 00:00.600\nHello" in told
    assert "00:00.600 --> 00:01.000\ndarkness" in told


async def test_a_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidCall, match=r"broken\.mp4 has neither picture nor sound"):
        await make(
            {"clips": [{"source": "red.mp4"}, {"source": "broken.mp4"}]},
            {"red.mp4": clip("red"), "broken.mp4": clip("red")[:300]},
            tmp_path,
        )


async def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    from kie_mcp.film import editing
    from kie_mcp.film.timeline import Timeline

    timeline = Timeline.model_validate({"clips": [{"source": "red.mp4", "speed": 0.25}], "height": 360})
    names = films.place(timeline, {"red.mp4": clip("red")}, tmp_path)
    shares: list[float] = []
    await editing.make_film(await editing.prepare(timeline, tmp_path, names), shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1, abs=0.05)
