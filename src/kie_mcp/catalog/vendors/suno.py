"""Suno: songs, their continuation, and what can be made of them."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from kie_mcp.catalog.argument_names import says_nothing
from kie_mcp.catalog.argument_values import read_value
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import (
    Audio,
    Kind,
    Limits,
    MadeId,
    Prompt,
    Source,
    TaskRef,
    Track,
    aliases,
    snake_case,
    wire,
)
from kie_mcp.catalog.joined_arguments import join_song
from kie_mcp.catalog.model import KieModel, Resolve
from kie_mcp.catalog.price import FREE, UNPUBLISHED, per, rate
from kie_mcp.catalog.reference_spellings import name_task
from kie_mcp.catalog.spellings import TASK_NAMES

AnyVersion = Literal["V6", "V6_MINI", "V6_WILD", "V5_5", "V5", "V4_5PLUS", "V4_5ALL", "V4_5", "V4"]


def _shorten_version(version: object) -> str:
    """Return what all spellings of a version have in common: `4.5plus` for `V4_5PLUS`, `v4.5+` and `Suno 4.5 Plus`."""
    joined = re.sub(r"(?<=\d)[-_](?=\d)", ".", str(version).casefold().replace("+", "plus")).removesuffix(".0")
    return re.sub(r"[\s_-]", "", joined).removeprefix("suno").removeprefix("v")


_VERSIONS = {_shorten_version(each): each for each in get_args(AnyVersion)}
VERSION_NAMES = BeforeValidator(lambda given: _VERSIONS.get(_shorten_version(given), given))
"""Validator for a version as people and clients write it, such as `v4.5+`, `4.5` or the number 5."""
Version = Annotated[AnyVersion, VERSION_NAMES]
# KIE takes hundredths only.
Weight = Annotated[float, Field(ge=0, le=1), AfterValidator(lambda given: round(given, 2))]
# For some of these calls, KIE's pages name only generate and extend. Its other music has the same kind of record, so
# whether a call takes it is left to KIE.
OF_MUSIC = Source(
    "a music generation task",
    "suno_music suno_extend suno_cover_song suno_add_part suno_replace_section suno_sounds",
    "audio",
)
OF_STEMS = Source("a vocal separation task", "suno_separate_vocals", "audio")
Song = Annotated[Track, OF_MUSIC, Field(description="A song: task:id#n.")]


def _check_task(track: Track) -> Track:
    if track.task == "-":
        raise ValueError("KIE wants the id of the song's task too: write task:<id>#<audio id>")
    return track


NamesTask = AfterValidator(_check_task)
"""Validator for a song that KIE takes only with the task that made it."""
LongSong = Annotated[Audio, Limits(seconds=(0, 480))]


class PersonaId(MadeId):
    """The id of a persona or of a voice of one's own."""

    __slots__ = ()
    makers = ("ai-music-api/generate-persona", "ai-music-api/create-voice")


class Suno(KieModel):
    """A Suno model."""

    kind: ClassVar[Kind] = "audio"
    usual_seconds = 40

    def route_ids(self) -> tuple[str, ...]:
        """The product API does not know V6."""
        by_jobs_only = str(getattr(self, "version", None)).startswith("V6")
        return tuple(id_ for id_ in self.routes if id_.startswith("jobs") or not by_jobs_only)


class OfSong(Suno):
    """What starts from a song: KIE's two ids, of the song and of its task, are one reference."""

    further_names = TASK_NAMES

    @classmethod
    def join(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """A task and the number or id of its song are one reference."""
        joined = super().join(given)
        named = [joined.pop(name) for name in list(joined) if snake_case(name) in TASK_NAMES]
        tasks = [task for task in named if not says_nothing(task)]
        if not tasks:
            return joined
        song = joined.get("track")
        return {**joined, "track": join_song(tasks, None if says_nothing(song) else song)}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """KIE's requests have both ids; a task alone says nothing of which song is meant."""
        given = super().received(fields)
        if "track" in given or "audio" in given:
            return cls.join(given)
        return {name: value for name, value in given.items() if snake_case(name) != "task_id"}


FLAGS = frozenset({"custom_mode", "default_param_flag"})
"""KIE's names, in snake case, of the switch that tells whether there are details."""
SECTION = re.compile(
    r"\s*\[(intro|verse|strophe|pre-?chorus|chorus|refrain|hook|bridge|outro)\b[^\]\n]*\]", re.IGNORECASE
)
"""Matches the beginning of lyrics, such as `[Verse 1]`."""


class NewSong(Suno):
    """The fields of all new music: Suno decides, or the caller by details."""

    further_names = frozenset({*FLAGS, "lyrics"})
    usual_seconds = 120
    price = per("task", 12, note="One task makes two songs.")

    simple: ClassVar[frozenset[str]]
    """The fields that are not details."""
    together: ClassVar[tuple[str, ...]]
    """The details that every other one needs."""

    prompt: Prompt | None = Field(None, max_length=5000, description="The idea; with style and title, the sung lyrics.")
    style: Prompt | None = Field(None, max_length=1000)
    title: Prompt | None = Field(None, max_length=80)
    instrumental: bool = False
    version: Version = wire("model", "V5_5")

    def details(self) -> list[str]:
        """The names of the details given."""
        return [name for name, value in self if name not in self.simple and value is not None and value is not False]

    @classmethod
    def join(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Lyrics are the prompt beside details; KIE's switch has to agree with the details that are given."""
        joined = super().join(given)
        lyrics = joined.pop("lyrics", None)
        if not says_nothing(lyrics):
            if not says_nothing(joined.get("prompt")) and joined["prompt"] != lyrics:
                raise ValueError("lyrics means prompt, which is given as well: give one of them")
            joined["prompt"] = lyrics
        names = [name for name in joined if snake_case(name) in FLAGS]
        flags = {name: read_value(joined.pop(name), {"type": "boolean"}) for name in names}
        missing = [name for name in cls.together if says_nothing(joined.get(name))]
        needy = [name for name, value in flags.items() if value is True]
        needy += ["lyrics"] if not says_nothing(lyrics) else []
        if needy and missing:
            raise ValueError(f"{needy[0]} needs {', '.join(missing)} as well: else Suno writes words of its own")
        details = [name for name in cls.model_fields.keys() - cls.simple if not says_nothing(joined.get(name))]
        if False in flags.values() and details:
            raise ValueError(f"with {min(flags)} false, Suno decides: leave out {', '.join(sorted(details))}")
        return joined

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """KIE reads details only when it is told that there are any."""
        given = super().received(fields)
        off = [name for name in given if snake_case(name) in FLAGS and given[name] is False]
        unread = {*off, *(cls.model_fields.keys() - cls.simple if off else ())}
        return cls.join({name: value for name, value in given.items() if name not in unread})

    @model_validator(mode="after")
    def details_are_complete(self) -> Self:
        """KIE ignores details unless it gets all that belong together."""
        details = self.details()
        missing = [name for name in self.together if getattr(self, name) is None]
        if details and missing:
            raise ValueError(f"{details[0]} needs {', '.join(missing)} as well")
        if details and not self.prompt and not self.instrumental:
            raise ValueError("give the lyrics as prompt, or set instrumental")
        return self

    @model_validator(mode="after")
    def v4_takes_less(self) -> Self:
        """V4 has shorter texts, and so have the titles of V4_5ALL."""
        limits = {"prompt": 3000, "style": 200, "title": 80} if self.version == "V4" else {}
        limits |= {"title": 80} if self.version == "V4_5ALL" else {}
        for name, most in limits.items():
            if len(getattr(self, name) or "") > most:
                raise ValueError(f"{name} has at most {most} characters with version {self.version}")
        return self


class Tuned(Suno):
    """How a song may be tuned."""

    voice_gender: Literal["m", "f"] | None = wire("vocalGender", None)
    style_weight: Weight | None = wire("styleWeight", None)
    weirdness: Weight | None = wire("weirdnessConstraint", None)
    audio_weight: Weight | None = wire("audioWeight", None)


class Personal(Tuned, NewSong):
    """New music that may have the voice or the style of a persona."""

    negative_prompt: str | None = wire("negativeTags", None, description="Styles to avoid.")
    persona_id: PersonaId | None = wire("personaId", None, description="Task or id of suno_persona or suno_voice.")
    persona_model: Literal["style_persona", "voice_persona"] | None = wire("personaModel", None)

    @model_validator(mode="after")
    def persona_models_are_new(self) -> Self:
        """V4 knows one kind of persona."""
        if self.persona_model and self.version.startswith("V4"):
            raise ValueError("persona_model needs version V5 or later")
        return self


class FromIdea(NewSong):
    """A song from an idea or, with details, from lyrics, a style and a title."""

    simple = frozenset({"prompt", "instrumental", "version", "audio", "audios"})
    together = ("style", "title")

    longest_idea: ClassVar[int] = 500
    """Characters of a prompt without details."""

    duration: int | None = Field(None, ge=10, le=360)

    @model_validator(mode="after")
    def idea_is_given(self) -> Self:
        """Without details, the idea is all there is."""
        if not self.details() and not self.prompt:
            raise ValueError("give prompt: what the song is about")
        if not self.details() and not self.instrumental and SECTION.match(self.prompt or ""):
            raise ValueError("prompt begins as lyrics do, and lyrics are sung only with style and title")
        if not self.details() and len(self.prompt or "") > self.longest_idea:
            raise ValueError(f"prompt has at most {self.longest_idea} characters without style and title")
        if self.duration and self.version in ("V5", "V4_5PLUS", "V4_5ALL", "V4_5", "V4"):
            raise ValueError("duration needs version V5_5 or V6")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """KIE wants to be told whether there are details."""
        return {"customMode": bool(self.details()), **super().sent(resolve)}


class Music(Personal, FromIdea):
    """Suno: two songs from an idea, or from lyrics, a style and a title."""

    id = "ai-music-api/generate"
    task_type = "text-to-music"
    aliases = ("suno", "suno-music")
    routes = ("suno", "jobs:ai-music-api/generate")
    service = "suno/generate"
    longest_idea = 3000


class Continued(Personal):
    """The fields of a song that goes on."""

    task_type = "extend-music"
    simple = frozenset({"track", "audio", "version"})
    together = ("continue_at", "style", "title")

    prompt: Prompt | None = Field(None, max_length=5000, description="Lyrics of the new part.")
    title: Prompt | None = Field(None, max_length=100)
    continue_at: float | None = wire("continueAt", None, gt=0, description="Seconds into it.")

    @model_validator(mode="after")
    def instrumental_is_not_sung(self) -> Self:
        """An instrumental part has no words."""
        if self.instrumental and (self.prompt or self.voice_gender):
            raise ValueError("an instrumental part takes neither prompt nor voice_gender")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """KIE wants to be told whether there are details."""
        return {"defaultParamFlag": bool(self.details()), **super().sent(resolve)}


class Extend(OfSong, Continued):
    """Suno: a song of Suno's goes on, as it was or another way."""

    id = "ai-music-api/extend"
    aliases = ("suno-extend",)
    routes = ("suno-extend", "jobs:ai-music-api/extend")
    service = "suno/extend"

    further_names = OfSong.further_names | NewSong.further_names

    track: Song = wire("audioId")
    version: Version = wire("model", "V5_5", description="As the track's.")

    @classmethod
    def join(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """A file goes on with the other model, which has other details."""
        return super().join(given) if says_nothing(given.get("audio")) else dict(given)

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """KIE asks for no task here."""
        given = super().received(fields)
        song = given.get("track")
        is_alone = isinstance(song, str) and not name_task(song).startswith("task:")
        return {**given, "track": f"task:-#{song}"} if is_alone else given


class ExtendUpload(Continued):
    """Suno: a file of up to 8 minutes goes on, as it was or another way."""

    id = "ai-music-api/upload-and-extend-audio"
    aliases = ("suno-upload-extend", "suno-extend-upload")
    routes = ("suno-upload-extend", "jobs:ai-music-api/upload-and-extend-audio")
    service = "suno/upload-extend"

    # Where it goes on is no detail: KIE fails without it, and takes it alone.
    simple = frozenset({"track", "audio", "version", "continue_at"})

    audio: LongSong = wire("uploadUrl")

    @model_validator(mode="after")
    def it_goes_on_from_somewhere(self) -> Self:
        """KIE's page calls it optional, and the task fails without it."""
        if self.continue_at is None:
            raise ValueError("a file goes on from a second of it: give continue_at")
        return self


class Lyrics(Suno):
    """Suno: lyrics from an idea."""

    id = "ai-music-api/generate-lyrics"
    kind = "text"
    task_type = "text-to-lyrics"
    aliases = ("suno-lyrics",)
    routes = ("suno-lyrics", "jobs:ai-music-api/generate-lyrics")
    service = "suno/lyrics"
    usual_seconds = 20
    price = per("task", 0.4)

    prompt: Prompt = Field(max_length=200)


class Style(Suno):
    """Suno: a few words of style, written out for the style of a song."""

    id = "ai-music-api/boost-music-style"
    kind = "text"
    task_type = "text-to-style"
    aliases = ("suno-style",)
    routes = ("suno-style", "jobs:ai-music-api/boost-music-style")
    service = "suno/style"
    usual_seconds = 10
    price = per("task", 0.4)

    prompt: Prompt = wire("content")


STEMS = (
    "Lead Vocal, Drum Kit, Kick, Snare, Risers, Bass, Backing Vocals, Piano, Electric Guitar, Percussion, "
    "String Section, Synth, Acoustic Guitar, Sound Effects, Synth Pad, Synth Bass, Guitar, Brass Section, Organ, "
    "Electronic Drum Kit, Lead Electric Guitar, Synth Keys, Rhythm Electric Guitar, Electric Piano, Upright Bass, "
    "Keyboards, Distorted Electric Guitar, Synth Strings, Synth Lead, Woodwinds, Rhythm Acoustic Guitar, Flute, "
    "Harp, Tambourine, Trumpet, Arpeggiator, Accordion, Fiddle, Pedal Steel Guitar, Synth Voice, Violin, "
    "Digital Piano, Synth Brass, Mandolin, Choir, Banjo, Bells, Clarinet, Tenor Saxophone, Trombone, Shaker, "
    "French Horn, Glockenspiel, Electric Bass, Cello, Timpani, Harmonica, Marimba, Vibraphone, Lap Steel Guitar, "
    "Saxophone, Orchestra, Horns, Cymbals, Hand Clap, Oboe, Celesta, Congas, Drone, Alto Saxophone, Double Bass, "
    "Ukulele, Harpsichord, Baritone Saxophone, Xylophone, Tuba, Bass Guitar, Whistle, Lead Guitar, Rhodes, 808, "
    "Bongos, Bassoon, Cowbell, Viola, Sitar, Steel Drums, Piccolo, Theremin, Bagpipes, Hi-Hat, Music Box, "
    "Melodica, Tabla, Koto, Djembe, Taiko, Didgeridoo"
)
STEM_NAMES = {name.casefold(): name for name in STEMS.split(", ")}
Stem = Annotated[str, aliases(STEM_NAMES)]


class OfTrackOrFile(OfSong):
    """What is made of a song of Suno's or of a file."""

    track: Annotated[Song, NamesTask] | None = wire("audioId", None)
    audio: Audio | None = wire("uploadUrl", None, description="Instead of track.")

    @model_validator(mode="after")
    def one_source(self) -> Self:
        """KIE does not mix them."""
        if bool(self.track) == bool(self.audio):
            raise ValueError("give either track or audio")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """A song goes out with its task, a file alone."""
        fields = super().sent(resolve)
        return {**fields, "taskId": resolve(self.track.task)} if self.track else fields


class SeparateVocals(OfTrackOrFile):
    """Suno: a song taken apart, into voice and music, all its stems, or one stem."""

    id = "ai-music-api/separate-vocals"
    task_type = "separate-vocals"
    aliases = ("suno-separate-vocals", "suno-stems")
    routes = ("suno-stems", "jobs:ai-music-api/separate-vocals")
    service = "suno/separate-vocals"
    usual_seconds = 90
    price = per(
        "task",
        rate(10, type="separate_vocal"),
        rate(50, type="split_stem"),
        rate(20, type="split_stem_advanced"),
    )

    audio: Annotated[Audio, Limits(mb=20)] | None = wire("audioUrl", None, description="Instead of track.")
    stem: Stem | None = wire("stemName", None, description="One instrument, such as Lead Vocal, Drum Kit, Bass.")
    type: Literal["separate_vocal", "split_stem", "split_stem_advanced"] = Field(
        default_factory=lambda given: "split_stem_advanced" if given.get("stem") else "separate_vocal",
        description="Voice and music; all stems; one stem.",
    )

    @model_validator(mode="after")
    def known_stem(self) -> Self:
        """A stem goes with the advanced split alone."""
        if self.stem is not None and self.stem not in STEM_NAMES.values():
            raise ValueError(f"there is no stem {self.stem!r}, but {STEMS}")
        if bool(self.stem) != (self.type == "split_stem_advanced"):
            raise ValueError("stem and type split_stem_advanced go together: give both, or leave both out")
        return self


class Midi(Suno):
    """Suno: the notes of separated stems."""

    id = "ai-music-api/generate-midi-from-audio"
    task_type = "audio-to-midi"
    aliases = ("suno-midi",)
    routes = ("suno-midi", "jobs:ai-music-api/generate-midi-from-audio")
    service = "suno/midi"
    price = FREE
    merged_fields = frozenset({"track"})

    task_id: Annotated[TaskRef, OF_STEMS] | None = wire(
        "taskId", None, description="Of suno_separate_vocals, for all stems."
    )
    stem: str | None = wire("audioId", None, description="KIE's id of one stem.")
    track: Annotated[Track, OF_STEMS, NamesTask] | None = Field(None, description="One stem: task:id#n, instead.")

    @classmethod
    def join(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The number of a stem is that of a result, and no id of KIE's."""
        joined = super().join(given)
        task, stem = joined.get("task_id"), joined.get("stem")
        is_number = bool(re.fullmatch(r"#?\d{1,2}", str(stem).strip()))
        is_reference = isinstance(stem, str) and name_task(stem).startswith("task:")
        if isinstance(task, str) and (is_number or is_reference or "#" in name_task(task)):
            others = {name: value for name, value in joined.items() if name not in ("task_id", "stem")}
            return {**others, "track": join_song([task, others.get("track")], None if says_nothing(stem) else stem)}
        return joined

    @model_validator(mode="before")
    @classmethod
    def _all_stems(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A whole task may be given as its sisters' track."""
        match given:
            case {"track": str(track), **others} if "#" not in track:
                return {"task_id": track, **others}
            case _:
                return given

    @model_validator(mode="after")
    def one_source(self) -> Self:
        """A stem says which task made it."""
        if bool(self.track) == bool(self.task_id):
            raise ValueError("give either task_id or track")
        if self.track and self.stem:
            raise ValueError("track says which stem: leave stem out, or give task_id")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """A stem goes out with its task."""
        fields = super().sent(resolve)
        if not self.track:
            return fields
        return {"taskId": resolve(self.track.task), "audioId": fields["track"]}


class OfTrack(OfSong):
    """What is made of a finished song."""

    track: Annotated[Song, NamesTask] = wire("audioId")

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """A song goes out with its task."""
        return {**super().sent(resolve), "taskId": resolve(self.track.task)}


class Wav(OfTrack):
    """Suno: a song as WAV, without loss."""

    id = "ai-music-api/convert-to-wav-format"
    task_type = "audio-to-wav"
    aliases = ("suno-wav",)
    routes = ("suno-wav", "jobs:ai-music-api/convert-to-wav-format")
    service = "suno/wav"
    price = per("task", 0.4)


class TimestampedLyrics(OfTrack):
    """Suno: the words of a song with the second at which each is sung."""

    id = "ai-music-api/timeStamped-lyrics"
    kind = "text"
    task_type = "audio-to-lyrics"
    aliases = ("suno-timestamped-lyrics",)
    routes = ("suno-timestamped-lyrics", "jobs:ai-music-api/timeStamped-lyrics")
    service = "suno/timestamped-lyrics"
    usual_seconds = 10
    price = per("task", 0.5)


class MusicVideo(OfTrack):
    """Suno: a song as a video that moves with it."""

    id = "ai-music-api/create-music-video"
    kind = "video"
    task_type = "audio-to-video"
    aliases = ("suno-music-video", "suno-mp4")
    routes = ("suno-mp4", "jobs:ai-music-api/create-music-video")
    service = "suno/music-video"
    usual_seconds = 120
    price = per("task", 2)

    author: str | None = Field(None, max_length=50, description="Artist's name to show.")
    watermark: str | None = wire("domainName", None, max_length=50, description="Website to show.")


class CoverArt(Suno):
    """Suno: two album covers for the songs of a task."""

    id = "ai-music-api/cover-generate"
    kind = "image"
    task_type = "music-to-image"
    aliases = ("suno-cover-art", "suno-cover")
    routes = ("suno-cover", "jobs:ai-music-api/cover-generate")
    service = "suno/cover"
    price = FREE

    task_id: Annotated[TaskRef, OF_MUSIC] = wire("taskId", description="Of suno_music or suno_extend.")


class Recover(Suno):
    """Suno: fresh links to the songs of an earlier task."""

    id = "ai-music-api/suno-recovery-audio"
    task_type = "recover-music"
    aliases = ("suno-recover", "suno-recovery")
    service = "suno/recover"
    price = UNPUBLISHED

    task_id: Annotated[TaskRef, OF_MUSIC]


MUSIC = Family(
    "suno_music",
    "Write and sing two songs with Suno. Prompt alone: Suno decides. With style and title you do; other details need "
    "both.",
    (Music,),
    rare=("audio_weight", "persona_id", "persona_model"),
)
EXTEND = Family(
    "suno_extend",
    "Continue a song (track, or audio: a file) with Suno. Alone: as it was. To change it: continue_at, style, title.",
    (Extend, ExtendUpload),
    rare=("audio_weight", "persona_id", "persona_model"),
)
LYRICS = Family("suno_lyrics", "Write song lyrics from an idea with Suno.", (Lyrics,))
STYLE = Family("suno_style", "Write a style for suno_music out of a few words.", (Style,))
TIMESTAMPED_LYRICS = Family(
    "suno_timestamped_lyrics", "Get a Suno song's words with their times, for subtitles.", (TimestampedLyrics,)
)
RECOVER = Family("suno_recover", "Get new links to the songs of an old Suno task whose links died.", (Recover,))
SEPARATE_VOCALS = Family("suno_separate_vocals", "Split a song into voice and music, or stems.", (SeparateVocals,))
MIDI = Family("suno_midi", "Get the notes (MIDI data) of a song's separated stems.", (Midi,))
WAV = Family("suno_wav", "Convert a Suno song to WAV.", (Wav,))
MUSIC_VIDEO = Family("suno_music_video", "Make a music video of a Suno song.", (MusicVideo,))
COVER_ART = Family("suno_cover_art", "Make album covers for a Suno song.", (CoverArt,))
