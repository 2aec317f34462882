"""Layout: the position and length of each piece in the film, and the film's size and frame rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from kie_mcp.catalog.fields import Ref
from kie_mcp.errors import InvalidCall
from kie_mcp.film.facts import Facts, Picture
from kie_mcp.film.timeline import (
    ANIMATION_FORMATS,
    LONGEST_SECONDS,
    SOUND_FORMATS,
    STILL_SECONDS,
    Clip,
    Sound,
    Timeline,
)

SAMPLE_RATE = 48_000
"""Sound samples per second in every film."""
USUAL_SIZE = (1280, 720)
USUAL_RATE = Fraction(30)
HIGHEST_RATE = Fraction(60)
LARGEST_STILL_SIDE = 1080
"""Maximum length in pixels of a film's shorter side, if the film has picture files and no clips."""
SMALL_SIDE, SMALL_RATE = 360, Fraction(15)
"""Maximum length in pixels of the shorter side, and maximum frame rate, of a GIF or WebP, to keep its file small."""
LARGEST_SIDE = 16_382
"""Maximum length in pixels of a film's side; the encoders of H.264 and WebP take no more."""
END_TOLERANCE = 0.5
"""An `end` up to this many seconds after the end of the source is no error; the end of the source is used instead."""
SECONDS_AFTER_VOICE = 0.4
"""Seconds for which a picture or clip is still shown after its voice has ended."""
MUSIC_FADE_SECONDS = 2.0
"""Default length in seconds of the fade-out of music that ends only because the film ends."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source file of a film: its name in the private folder, and its facts, such as its length."""

    name: str
    facts: Facts


Sources = Mapping[Ref, Source]
"""The source file for each reference to a file in a timeline."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One clip of a timeline with its position in the film. Times and lengths are in the layout's `unit`."""

    clip: Clip
    source: Source | None
    """The file of the clip; None for a card, which is a black picture with a title."""
    voice: Source | None
    """The file of the voice that is heard during the clip; None if there is no voice."""
    at: int
    """Start of the piece in the film."""
    length: int
    fade: int
    """Length of the cross-fade with the previous piece."""

    @property
    def picture(self) -> Picture | None:
        """The video stream of the piece's source; None if the piece is a picture file, a card or a sound."""
        return self.source.facts.picture if self.source else None


@dataclass(frozen=True, slots=True)
class PlacedSound:
    """A sound of a timeline: how much of its source is used, and how long it plays in the film; all in seconds."""

    source: Source
    sound: Sound
    used_seconds: float
    """Length of the used part of the source."""
    seconds: float
    """Length in the film, which is longer than `used_seconds` if the sound is repeated."""
    fade_out: float
    """Length of the fade-out at the end of the sound."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All pieces and sounds of a film with their positions."""

    format: str
    size: tuple[int, int]
    rate: Fraction
    """Frames per second."""
    unit: Fraction
    """Length of a unit of time in seconds; the unit is a frame or, if the result is a sound file, a sample."""
    pieces: tuple[Piece, ...]
    sounds: tuple[PlacedSound, ...]
    seconds: float

    @property
    def frames(self) -> int:
        """Number of frames of the film."""
        return round(self.seconds * self.rate)

    @property
    def samples(self) -> int:
        """Number of samples of the film's sound."""
        return round(self.seconds * SAMPLE_RATE)

    def to_seconds(self, length: int) -> float:
        """Convert a length from units of time to seconds."""
        return float(length * self.unit)

    def to_samples(self, length: int) -> int:
        """Convert a length from units of time to samples."""
        return round(length * self.unit * SAMPLE_RATE)


def lay_out(timeline: Timeline, sources: Sources) -> Layout:
    """Compute the position and length of each piece and sound of a timeline.

    Raises:
        InvalidCall: When a time is outside its clip or the film, a cross-fade is longer than a clip, or the film is too
            long.
    """
    kind = timeline.format or choose_format(timeline, sources)
    rate = _choose_rate(timeline, sources, kind)
    unit = Fraction(1, SAMPLE_RATE) if kind in SOUND_FORMATS else 1 / rate
    pieces = _place_pieces(timeline, sources, unit)
    seconds = float((pieces[-1].at + pieces[-1].length) * unit) if pieces else _measure_sounds(timeline, sources)
    if seconds > LONGEST_SECONDS:
        raise InvalidCall(f"This would be {seconds:.0f} s long; {LONGEST_SECONDS} s is the most.", "Make it in parts.")
    for name in ("sounds", "texts"):
        for number, each in enumerate(getattr(timeline, name)):
            if each.at >= seconds:
                step = "Nothing was made. Let it begin earlier."
                raise InvalidCall(f"{name}.{number}.at: the film ends at {seconds:.2f} s.", step)
    sounds = tuple(_lay_sound(number, each, sources, seconds) for number, each in enumerate(timeline.sounds))
    size = choose_size(timeline, sources, kind)
    if max(size) > LARGEST_SIDE and kind not in SOUND_FORMATS:
        raise InvalidCall(
            f"This would be {size[0]} x {size[1]} pixels; {LARGEST_SIDE} is the most.",
            "Nothing was made. Give aspect_ratio or a smaller height.",
        )
    return Layout(kind, size, rate, unit, pieces, sounds, seconds)


def choose_format(timeline: Timeline, sources: Sources) -> str:
    """Return the default format of a film: `mp4` if it shows a video, picture or text, and `mp3` otherwise."""
    facts = [sources[each.source].facts for each in timeline.clips if each.source]
    is_seen = any(each.picture or each.still for each in facts) or any(each.title for each in timeline.clips)
    return "mp4" if is_seen or timeline.texts or timeline.lyrics else "mp3"


def choose_size(timeline: Timeline, sources: Sources, kind: str) -> tuple[int, int]:
    """Return the width and height of a film as even numbers.

    The aspect ratio is the timeline's or, if the timeline has none, that of the first clip or picture file.
    """
    facts = [sources[each.source].facts for each in timeline.clips if each.source]
    clips = [(each.picture.width, each.picture.height) for each in facts if each.picture]
    stills = [each.still for each in facts if each.still]
    first = next((_size_of(each) for each in facts if each.picture or each.still), USUAL_SIZE)
    shape = Fraction(*first)
    if timeline.aspect_ratio:
        width, _, height = timeline.aspect_ratio.partition(":")
        shape = Fraction(int(width), int(height))
    short = max((min(each) for each in clips), default=0)
    short = short or min(max((min(each) for each in stills), default=USUAL_SIZE[1]), LARGEST_STILL_SIDE)
    if kind in ANIMATION_FORMATS:
        short = min(short, SMALL_SIDE)
    if timeline.height:
        return _to_even(timeline.height * shape), _to_even(timeline.height)
    return (_to_even(short * shape), _to_even(short)) if shape >= 1 else (_to_even(short), _to_even(short / shape))


def _size_of(facts: Facts) -> tuple[int, int]:
    if facts.picture:
        return facts.picture.width, facts.picture.height
    return facts.still or USUAL_SIZE


def _to_even(pixels: float | Fraction) -> int:
    """Round to an even number, because H.264 has one colour sample for each 2 x 2 pixels."""
    return max(round(pixels / 2) * 2, 2)


def _choose_rate(timeline: Timeline, sources: Sources, kind: str) -> Fraction:
    pictures = [each for clip in timeline.clips if clip.source and (each := sources[clip.source].facts.picture)]
    rate = min(max((each.rate or USUAL_RATE for each in pictures), default=USUAL_RATE), HIGHEST_RATE)
    return min(rate, SMALL_RATE) if kind in ANIMATION_FORMATS else rate


def _place_pieces(timeline: Timeline, sources: Sources, unit: Fraction) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    # The end of each piece is rounded from the exact sum of all lengths so far. A sum of rounded lengths would make a
    # film of many clips several frames too long or too short.
    seconds, end = 0.0, 0
    for number, clip in enumerate(timeline.clips):
        source = sources[clip.source] if clip.source else None
        voice = sources[clip.voice] if clip.voice else None
        if voice and not voice.facts.track:
            raise InvalidCall(f"clips.{number}.voice: {clip.voice} has no sound.", "Nothing was made.")
        seconds -= clip.fade
        at = end - round(clip.fade / unit)
        seconds += _measure_clip(number, clip, source, voice)
        following = max(round(seconds / unit), at + 1)
        pieces.append(Piece(clip, source, voice, at, following - at, end - at))
        end = following
    for number, (before, piece) in enumerate(pairwise(pieces), start=1):
        if piece.fade and piece.fade >= min(before.length - before.fade, piece.length):
            raise InvalidCall(
                f"clips.{number}.fade: {piece.clip.fade:g} s is longer than what there is to fade: "
                f"clips.{number - 1} has {float(before.length * unit):.2f} s, "
                f"clips.{number} has {float(piece.length * unit):.2f} s.",
                "Nothing was made. Shorten it.",
            )
    return tuple(pieces)


def _measure_clip(number: int, clip: Clip, source: Source | None, voice: Source | None) -> float:
    """Return the seconds for which a clip is shown in the film.

    Raises:
        InvalidCall: When `start` or `end` is outside the source.
    """
    spoken = voice.facts.seconds + SECONDS_AFTER_VOICE if voice else 0
    if not source or source.facts.still:
        return clip.seconds or spoken or STILL_SECONDS
    length = source.facts.seconds
    end = clip.source_end or length
    if end > length + END_TOLERANCE or clip.start >= length:
        raise InvalidCall(
            f"clips.{number}: {clip.source} is {length:.2f} s long, and has no second {max(clip.start, end):g}.",
            "Nothing was made. Mend start and end.",
        )
    return max((min(end, length) - clip.start) / clip.speed, spoken)


def _measure_sounds(timeline: Timeline, sources: Sources) -> float:
    """Return the length in seconds of a film that has only sounds.

    The film ends with the last voice or effect or, if it has only music, with the last music. Sounds that loop are
    ignored, because they have no end.

    Raises:
        InvalidCall: When all sounds loop.
    """
    if any(sound.loop for sound in timeline.sounds) and not any(not sound.loop for sound in timeline.sounds):
        raise InvalidCall("A sound that loops needs something else that has an end.", "Leave loop out.")
    ends = {
        role: [
            sound.at + _measure_sound(number, sound, sources)
            for number, sound in enumerate(timeline.sounds)
            if (sound.role == "music") == (role == "music") and not sound.loop
        ]
        for role in ("music", "other")
    }
    return max(ends["other"] or ends["music"])


def _measure_sound(number: int, sound: Sound, sources: Sources) -> float:
    track = sources[sound.source].facts.track
    if not track:
        raise InvalidCall(f"sounds.{number}: {sound.source} has no sound.", "Nothing was made. Give another file.")
    end = track.seconds if sound.end is None else sound.end
    if sound.start >= track.seconds or end > track.seconds + END_TOLERANCE:
        raise InvalidCall(
            f"sounds.{number}: {sound.source} is {track.seconds:.2f} s long, and has no second "
            f"{max(sound.start, end):g}.",
            "Nothing was made. Mend start and end.",
        )
    return min(end, track.seconds) - sound.start


def _lay_sound(number: int, sound: Sound, sources: Sources, film: float) -> PlacedSound:
    used_seconds = _measure_sound(number, sound, sources)
    left = film - sound.at
    is_cut = sound.loop or used_seconds > left
    seconds = left if is_cut else used_seconds
    usual = MUSIC_FADE_SECONDS if sound.role == "music" and is_cut else 0
    return PlacedSound(
        sources[sound.source],
        sound,
        used_seconds,
        seconds,
        min(usual if sound.fade_out is None else sound.fade_out, seconds),
    )
