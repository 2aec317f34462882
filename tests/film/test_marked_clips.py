"""Clips whose frames carry marks are joined: each decoded frame shows which clip it comes from, and its time there."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from support import films
from support.encoded_media import run_ffmpeg
from support.marks import Area, Frame, decode_frames, read_marks, read_number, read_place
from support.programs import PROGRAM, needs_ffmpeg

from kie_mcp.sandbox.fake_clip import CELLS, RATE, choose_pitch, draw_clip, number_clip
from kie_mcp.sandbox.fake_media import MediaContent

pytestmark = [pytest.mark.anyio, needs_ffmpeg, pytest.mark.usefixtures("ffmpeg_of_system")]

SECONDS, FRAMES = 1, RATE
"""Length of each drawn clip, in seconds and in frames."""
FADE, TITLE = 0.4, 0.5
HEARD_SECONDS = 0.02
"""Length in seconds of the sound in which a pitch is measured."""
WIDE, TALL, SQUARE = "16:9", "9:16", "1:1"
HDR = (
    *("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=0"),
    *("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"),
)
WEB = ("-c:v", "libvpx", "-b:v", "1M", "-c:a", "libopus", "-cpu-used", "8")


class Variant(NamedTuple):
    """How a drawn clip is changed before it is joined."""

    shape: str = WIDE
    filters: str = "null"
    options: tuple[str, ...] = ()
    ending: str = "mp4"
    turned: int = 0
    kept: tuple[int, ...] = tuple(range(FRAMES))
    """The drawn frames that are kept, each until the next one."""


VARIANTS = {
    "plain": Variant(),
    "plain, too": Variant(),
    "large": Variant(filters="scale=384:216"),
    "small": Variant(filters="scale=256:144"),
    "tall": Variant(TALL),
    "square": Variant(SQUARE, "scale=256:256"),
    "cinema": Variant(filters="fps=24000/1001"),
    "television": Variant(TALL, filters="fps=30000/1001"),
    "smooth": Variant(SQUARE, "fps=30"),
    "slow": Variant(kept=(0, 2, 4, 6, 8, 10, 11)),
    "uneven": Variant(kept=(0, 1, 2, 6, 9, 10, 11)),
    "phone": Variant(TALL, "transpose=cclock", turned=90),
    "upside down": Variant(filters="hflip,vflip", turned=180),
    "other hand": Variant(TALL, "transpose=clock", turned=270),
    "wide pixels": Variant(filters="scale=160:180,setsar=2"),
    "full range": Variant(filters="scale=out_range=pc", options=("-color_range", "pc")),
    "hdr": Variant(filters="fps=24", options=HDR),
    "web": Variant(options=WEB, ending="webm"),
    "stream": Variant(SQUARE, ending="ts"),
}
"""Clips that differ in size, shape, frame rate, rotation, colours and format."""


class Scene(NamedTuple):
    """A clip with marks."""

    name: str
    variant: Variant
    number: int
    pitch: int
    content: bytes


class Moment(NamedTuple):
    """A part of a film: from `start` to `end`, in seconds, it shows a scene from the scene's second `begin`."""

    scene: Scene | None
    """None for a card."""
    start: float
    end: float
    begin: float = 0
    speed: float = 1

    def find_place(self, seconds: float) -> int:
        """Return the drawn frame that is seen at a second of the film; -1 on a card."""
        place = (self.begin + (seconds - self.start) * self.speed) * RATE
        return max((each for each in self.scene.variant.kept if each <= place + 0.01), default=0) if self.scene else -1


@cache
def draw_scenes() -> list[Scene]:
    """Draw all variants; neighbours have numbers that begin with different bits, and therefore different pitches."""
    scenes: list[Scene] = []
    for title, variant in VARIANTS.items():
        beginning = (0b001, 0b110)[len(scenes) % 2]
        drawn = (MediaContent(title, f"{title}/{each}", variant.shape, SECONDS) for each in count())
        media = next(each for each in drawn if number_clip(each) >> (CELLS - 3) == beginning)
        name = f"{len(scenes)}.{variant.ending}"
        scenes.append(Scene(name, variant, number_clip(media), choose_pitch(media), change(media, variant)))
    return scenes


def change(media: MediaContent, variant: Variant) -> bytes:
    """Draw a clip, and change it as a variant says."""
    drawn = draw_clip(str(PROGRAM), media)
    assert drawn
    kept = "+".join(rf"eq(n\,{each})" for each in variant.kept)
    filters = f"select={kept},{variant.filters}"
    options = ("-vf", filters, *films.H264, "-crf", "16", "-ar", "48000", "-fps_mode", "vfr", *variant.options)
    content = run_ffmpeg(f"changed.{variant.ending}", *options, source=drawn)
    return films.turn(content, variant.turned) if variant.turned else content


async def make(clips: Sequence[Mapping[str, object]], scenes: list[Scene], folder: Path) -> tuple[Path, float]:
    """Make a film, and return its path and its frame rate."""
    made = await films.make({"clips": clips}, {each.name: each.content for each in scenes}, folder)
    return made.film.path, float(made.edit.layout.rate)


def find_area(size: tuple[int, int], scene: Scene | None) -> Area:
    """Return the part of a film of this size that shows a scene; bars are around it."""
    width, height = size
    wide, high = map(int, scene.variant.shape.split(":")) if scene else size
    scale = min(width / wide, height / high)
    inner = round(wide * scale / 2) * 2, round(high * scale / 2) * 2
    return Area((width - inner[0]) // 2, (height - inner[1]) // 2, *inner)


def find_strange_frames(frames: list[Frame], rate: float, moments: list[Moment]) -> list[float]:
    """Return the seconds of all frames that show something else than the moments say, give or take one frame."""
    areas = [(each, find_area(frames[0].size, each.scene)) for each in moments]
    strange = []
    for number, frame in enumerate(frames):
        seconds = number / rate
        times = (seconds - 1 / rate, seconds, seconds + 1 / rate)
        near = ((moment, area) for moment, area in areas if moment.start < times[2] and times[0] < moment.end)
        if not any(shows(frame, area, moment, times) for moment, area in near):
            strange.append(seconds)
    return strange


def shows(frame: Frame, area: Area, moment: Moment, times: tuple[float, ...]) -> bool:
    """Tell whether a frame shows what a moment shows at one of these seconds."""
    number = moment.scene.number if moment.scene else 0
    return read_number(frame, area) == number and read_place(frame, area) in {moment.find_place(each) for each in times}


def hear(samples: list[int], start: float) -> int:
    """Return the pitch in hertz from this second on, rounded to 50; 0 for silence."""
    part = samples[round(start * 48_000) :][: round(HEARD_SECONDS * 48_000)]
    crossings = sum((a < 0) != (b < 0) for a, b in pairwise(part))
    return round(crossings / HEARD_SECONDS / 2 / 50) * 50 if max(map(abs, part)) > 300 else 0


async def test_clips_of_all_kinds_and_titles_follow_each_other_at_their_times_in_picture_and_sound(
    tmp_path: Path,
) -> None:
    scenes = draw_scenes()
    clips: list[dict[str, object]] = []
    moments: list[Moment] = []
    for number, scene in enumerate(scenes):
        start = moments[-1].end if moments else 0
        clips.append({"source": scene.name})
        moments.append(Moment(scene, start, start + SECONDS))
        if number % 3 == 2:
            clips.append({"title": f"after {number}", "seconds": TITLE})
            moments.append(Moment(None, moments[-1].end, moments[-1].end + TITLE))
    film, rate = await make(clips, scenes, tmp_path)
    frames = list(decode_frames(film))
    assert len(frames) == round(moments[-1].end * rate)
    assert find_strange_frames(frames, rate, moments) == []
    samples = films.read_samples(film)
    for before, after in pairwise(moments):
        pitches = [each.scene.pitch if each.scene else 0 for each in (before, after)]
        heard = [hear(samples, after.start - 1 / rate - HEARD_SECONDS), hear(samples, after.start + 1 / rate)]
        assert heard == [pytest.approx(each, abs=50) for each in pitches], after.start


async def test_cross_fades_between_clips_of_all_kinds_begin_and_end_at_their_times(tmp_path: Path) -> None:
    scenes = draw_scenes()
    clips = [{"source": each.name, "fade": FADE if number else 0} for number, each in enumerate(scenes)]
    film, rate = await make(clips, scenes, tmp_path)
    starts = [number * (SECONDS - FADE) for number, _ in enumerate(scenes)]
    moments = [Moment(scene, start, start + SECONDS) for scene, start in zip(scenes, starts, strict=True)]
    frames = list(decode_frames(film))
    assert len(frames) == round(moments[-1].end * rate)
    # In a fade, two numbers are mixed.
    fades = [(start, start + FADE) for start in starts[1:]]
    strange = find_strange_frames(frames, rate, moments)
    assert all(any(start - 1e-6 < each < end + 1e-6 for start, end in fades) for each in strange)
    for start, end in fades:
        before, after = (frames[round(each * rate)].top for each in (start - 1 / rate, end))
        for number in range(round(start * rate), round(end * rate)):
            share = find_share(frames[number].top, before, after)
            assert share == pytest.approx((number / rate - start) / FADE, abs=1 / FADE / rate + 0.05), number / rate


def find_share(mixed: bytes, before: bytes, after: bytes) -> float:
    """Return how far a row of pixels is on its way from one row to another, from 0 to 1."""
    way = [b - a for a, b in zip(before, after, strict=True)]
    return sum((m - a) * w for m, a, w in zip(mixed, before, way, strict=True)) / sum(w * w for w in way)


async def test_parts_of_clips_begin_and_end_at_their_frames_at_each_speed(tmp_path: Path) -> None:
    scenes = [each for each in draw_scenes() if each.variant.ending == "mp4"]
    clips: list[dict[str, object]] = []
    moments: list[Moment] = []
    for number, scene in enumerate(scenes):
        speed = (1, 2, 0.5)[number % 3]
        start = moments[-1].end if moments else 0
        clips.append({"source": scene.name, "start": 0.25, "end": 0.75, "speed": speed})
        moments.append(Moment(scene, start, start + 0.5 / speed, 0.25, speed))
    film, rate = await make(clips, scenes, tmp_path)
    frames = list(decode_frames(film))
    assert len(frames) == pytest.approx(moments[-1].end * rate, abs=1)
    assert find_strange_frames(frames, rate, moments) == []


async def test_copied_clips_have_all_their_frames_in_order(tmp_path: Path) -> None:
    plain = [scene for scene in draw_scenes() if scene.variant == Variant()] * 2
    film, _ = await make([{"source": each.name} for each in plain], plain, tmp_path)
    assert read_marks(film) == [(each.number, place) for each in plain for place in range(FRAMES)]
