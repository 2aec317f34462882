"""Gemini (Google): Omni makes videos with voices and characters that return; its speech models talk."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, PlainSerializer, field_validator, model_validator

from kie_mcp.catalog.amount import Amount
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Image, InList, Limits, MadeId, Number, Prompt, Seed, Video, aliases, wire
from kie_mcp.catalog.model import KieModel, Resolve
from kie_mcp.catalog.part import Part
from kie_mcp.catalog.price import UNPUBLISHED, per, rate
from kie_mcp.catalog.sentences import LONGEST_SPEECH, split_items, split_text, trim_texts
from kie_mcp.catalog.voices import GOOGLE, GOOGLE_WIDE

VoiceName = Literal[
    "Achernar",
    "Achird",
    "Algenib",
    "Algieba",
    "Alnilam",
    "Aoede",
    "Autonoe",
    "Callirrhoe",
    "Charon",
    "Despina",
    "Enceladus",
    "Erinome",
    "Fenrir",
    "Gacrux",
    "Iapetus",
    "Kore",
    "Laomedeia",
    "Leda",
    "Orus",
    "Puck",
    "Pulcherrima",
    "Rasalgethi",
    "Sadachbia",
    "Sadaltager",
    "Schedar",
    "Sulafat",
    "Umbriel",
    "Vindemiatrix",
    "Zephyr",
    "Zubenelgenubi",
]
Voice = Annotated[VoiceName, aliases({name.casefold(): name for name in get_args(VoiceName)})]
# KIE's page lists 70: the above and others, of which Fola is the usual one.
WideVoice = Annotated[str, Field(min_length=1), aliases({name.casefold(): name for name in get_args(VoiceName)})]
Picture = Annotated[Image, Limits(mb=20)]


class CharacterId(MadeId):
    """The id of a character."""

    __slots__ = ()
    makers = ("gemini-omni-character",)


class VoiceId(MadeId):
    """The id of a voice."""

    __slots__ = ()
    makers = ("gemini-omni-audio",)


SLOTS = 7
SLOTS_OF_A_VIDEO = 2
CHARACTERS_BESIDE_A_VIDEO = 3
LONGEST_CUT = 10

SOUND_TOKENS_PER_CHARACTER = (0.8, 12.5)
"""Tokens of sound for each character: 25 tokens are a second, in which a voice says 2 to 30 characters."""
LONGEST_TEXT = 10_000
"""Most characters that KIE takes at once."""
CONTEXT = 300
"""Most characters of the part before that the voice is told."""
MAX_SOUND_TOKENS = 16_384
"""The most tokens that Google's speech models give in one answer."""


class Omni(KieModel):
    """The fields that both Gemini Omni models share."""

    kind = "video"
    task_type = "multimodal-to-video"
    service = "gemini-omni/generate"
    usual_seconds = 180
    price = per(
        "video",
        rate(252, video=True, resolution="4k"),
        rate(168, video=True),
        rate(147, resolution="4k", duration=4),
        rate(168, resolution="4k", duration=6),
        rate(189, resolution="4k", duration=8),
        rate(210, resolution="4k", duration=10),
        rate(63, duration=4),
        rate(84, duration=6),
        rate(105, duration=8),
        rate(126, duration=10),
    )
    merged_fields = frozenset({"video", "video_start", "video_end"})

    prompt: Prompt = Field(max_length=20000)
    images: tuple[Picture, ...] | None = wire("image_urls", None, min_length=1, max_length=SLOTS)
    video: Annotated[Video, Limits(mb=100, seconds=(0, 30))] | None = None
    video_start: float | None = Field(None, ge=0, description="Second of video, default 0.")
    video_end: float | None = Field(None, ge=0, description="At most 10 s later.")
    characters: tuple[CharacterId, ...] | None = wire(
        "character_ids", None, min_length=1, description="Tasks or ids of gemini_omni_character."
    )
    voices: tuple[VoiceId, ...] | None = wire(
        "audio_ids", None, min_length=1, max_length=3, description="Tasks or ids of gemini_omni_voice."
    )
    duration: Annotated[Literal[4, 6, 8, 10], Number, AsText] | None = Field(
        default_factory=lambda given: None if given.get("video") else 4, description="Default 4; not with video."
    )
    aspect_ratio: Literal["16:9", "9:16"] | None = None
    seed: Seed | None = None

    @model_validator(mode="after")
    def everything_has_a_slot(self) -> Self:
        """Pictures, characters and the clip share seven slots."""
        pictures, characters = len(self.images or ()), len(self.characters or ())
        if pictures + characters + SLOTS_OF_A_VIDEO * bool(self.video) > SLOTS:
            raise ValueError(f"images and characters are {SLOTS} at most, a video counting as {SLOTS_OF_A_VIDEO}")
        if self.video and characters > CHARACTERS_BESIDE_A_VIDEO:
            raise ValueError(f"beside a video, characters are {CHARACTERS_BESIDE_A_VIDEO} at most")
        return self

    @model_validator(mode="after")
    def clip_is_cut(self) -> Self:
        """Ten seconds of the clip at most; they decide how long the result is."""
        if not self.video:
            if self.video_start is not None or self.video_end is not None:
                raise ValueError("video_start and video_end go with video")
            if self.duration is None:
                raise ValueError("give duration: 4, 6, 8 or 10")
        elif self.video_end is None or not 0 < self.video_end - (self.video_start or 0) <= LONGEST_CUT:
            raise ValueError(f"give video_end, at most {LONGEST_CUT} s after video_start")
        elif self.duration is not None:
            raise ValueError("a video decides the length: leave duration out")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """KIE takes the clip and its cut as one, and a duration that it ignores beside them."""
        fields = super().sent(resolve)
        url, start, end = (fields.pop(name, None) for name in ("video", "video_start", "video_end"))
        if not url:
            return fields
        return {**fields, "duration": "4", "video_list": [{"url": url, "start": start or 0, "ends": end}]}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The clip and its cut are three fields, beside which the duration goes."""
        match fields.get("video_list"):
            case [{"url": url, "start": start, "ends": end}]:
                others = {name: value for name, value in fields.items() if name not in ("video_list", "duration")}
                return super().received({**others, "video": url, "video_start": start, "video_end": end})
            case _:
                return super().received(fields)


class OmniVideo(Omni):
    """Gemini Omni: from words, pictures, a clip, characters and voices, up to 4K."""

    id = "gemini-omni-video"
    aliases = ("gemini-omni", "omni-video")

    resolution: Literal["720p", "1080p", "4k"] = "720p"


class OmniFlash11(Omni):
    """Gemini Omni 1.1 Flash: the newer one, also from a first frame to a last, from 360p."""

    id = "google/gemini-omni-flash-1-1"
    aliases = ("gemini-omni-flash-1-1", "gemini-omni-flash-1.1", "gemini-omni-flash", "gemini-omni-1.1")

    image: Picture | None = wire("first_frame_url", None)
    last_image: Picture | None = wire("last_frame_url", None)
    resolution: Literal["360p", "720p", "1080p", "4k"] = "720p"

    @model_validator(mode="after")
    def frames_go_alone(self) -> Self:
        """Frames exclude all other files, and the last one needs a first."""
        if self.last_image and not self.image:
            raise ValueError("last_image needs image, the first frame")
        if self.image and (self.images or self.video or self.characters or self.voices):
            raise ValueError("frames (image, last_image) go without images, video, characters and voices")
        return self


class OmniVoice(KieModel):
    """Gemini Omni: a voice for its videos, made from one of Google's; gives an id."""

    id = "gemini-omni-audio"
    kind = "text"
    task_type = "create-voice"
    aliases = ("gemini-omni-voice",)
    routes = ("omni-audio",)
    service = "gemini-omni/voice"
    usual_seconds = 5
    price = UNPUBLISHED

    name: Prompt = Field(max_length=210)
    voice: Annotated[Voice, PlainSerializer(str.lower, return_type=str)] = wire("audio_id")
    description: str | None = wire("voice_description", None, max_length=20000, description="How it speaks.")
    example: str | None = wire("example_dialogue", None, max_length=120, description="Something it says.")


class OmniCharacter(KieModel):
    """Gemini Omni: somebody who returns in its videos, made from a picture; gives an id."""

    id = "gemini-omni-character"
    kind = "text"
    task_type = "create-character"
    routes = ("omni-character",)
    service = "gemini-omni/character"
    usual_seconds = 20
    price = UNPUBLISHED

    description: Prompt = wire("descriptions")
    image: Annotated[Picture, InList] = wire("image_urls")
    name: str | None = wire("character_name", None)
    voices: tuple[VoiceId, ...] | None = wire(
        "audio_ids", None, min_length=1, description="Tasks or ids of gemini_omni_voice."
    )


class Speaker(Part):
    """Who speaks, and how."""

    voice: Voice = wire("voice_name", "Kore")
    accent: Literal[
        "Neutral",
        "American (Gen)",
        "American (Valley)",
        "American (South)",
        "British (RP)",
        "British (Brixton)",
        "Transatlantic",
        "Australian",
    ] = "Neutral"
    style: Literal["Vocal Smile", "Newscaster", "Whisper", "Empathetic", "Promo/Hype", "Deadpan"] | None = None
    pace: Literal["Natural", "Rapid Fire", "The Drift", "Staccato"] | None = None
    profile: str | None = wire("audio_profile", None)


class Turn(Part):
    """What one speaker says."""

    speaker: Annotated[int, PlainSerializer(lambda number: f"Speaker {number}", return_type=str)] = wire(
        "speaker_id", ge=1, description="Place in speakers, from 1."
    )
    prompt: Prompt = wire("text", max_length=LONGEST_SPEECH)


class VoicedSpeaker(Part):
    """Who speaks; how, every turn says for itself."""

    voice: WideVoice = wire("voice_name", "Fola")


class StyledTurn(Turn):
    """What one speaker says, and how."""

    style: str | None = Field(None, description="In any words.")


class Speech(KieModel):
    """The fields that every Gemini speech model has."""

    kind = "audio"
    task_type = "text-to-speech"
    service = "gemini-tts/generate"
    usual_seconds = 20
    merged_fields = frozenset({"prompt"})

    whoever: ClassVar[type[Part]] = Speaker
    """Who speaks where nobody is named."""
    text_rate: ClassVar[float]
    """Credits for a million tokens of text."""

    prompt: Prompt | None = Field(
        None, max_length=LONGEST_SPEECH, description="May hold tags such as [whispers]. Over 10000 in parts, joined."
    )
    dialogue: tuple[Turn, ...] | None = wire(
        "dialogue_turns", None, min_length=1, description="Instead of prompt, for several speakers."
    )
    speakers: tuple[Any, ...] | None = Field(None, min_length=1)
    temperature: Annotated[float, Field(ge=0, le=2)] = 1

    @field_validator("prompt")
    @classmethod
    def blanks_need_no_part(cls, prompt: str | None) -> str | None:
        """KIE takes a text at once that only blanks at its ends make too long."""
        return prompt and trim_texts([prompt], LONGEST_TEXT)[0]

    @field_validator("dialogue")
    @classmethod
    def blanks_of_turns_need_no_part(cls, turns: tuple[Turn, ...] | None) -> tuple[Turn, ...] | None:
        """KIE takes turns at once that only blanks at their ends make too long."""
        texts = trim_texts([turn.prompt for turn in turns or ()], LONGEST_TEXT)
        kept = zip(turns or (), texts, strict=True)
        return turns and tuple(turn.model_copy(update={"prompt": text}) for turn, text in kept if text)

    @model_validator(mode="after")
    def every_turn_has_a_speaker(self) -> Self:
        """One speaker says a prompt, several share a dialogue."""
        if self.length > LONGEST_SPEECH:
            raise ValueError(f"the texts have {self.length} characters together, at most {LONGEST_SPEECH}")
        count = len(self.speakers or ("one",))
        if bool(self.prompt) == bool(self.dialogue):
            raise ValueError("give either prompt or dialogue")
        if self.prompt and count > 1:
            raise ValueError("one speaker says prompt: give dialogue instead, or one speaker")
        if absent := sorted({turn.speaker for turn in self.dialogue or () if turn.speaker > count}):
            raise ValueError(f"dialogue names speaker {absent[0]}, but speakers has {count}")
        return self

    @property
    def length(self) -> int:
        """The characters of all that is said."""
        return sum(map(len, [self.prompt or "", *(turn.prompt for turn in self.dialogue or ())]))

    def split(self) -> tuple[Self, ...]:
        """Parts of a long text or dialogue; a turn that is too long becomes several of the same speaker."""
        if self.length <= LONGEST_TEXT:
            return (self,)
        if self.prompt:
            return self.follow_on(
                [self.model_copy(update={"prompt": t}) for t in split_text(self.prompt, LONGEST_TEXT)]
            )
        turns = [
            turn.model_copy(update={"prompt": text})
            for turn in self.dialogue or ()
            for text in split_text(turn.prompt, LONGEST_TEXT)
        ]
        groups = split_items(turns, lambda turn: len(turn.prompt), LONGEST_TEXT)
        return self.follow_on([self.model_copy(update={"dialogue": tuple(group)}) for group in groups])

    def follow_on(self, parts: Sequence[Self]) -> tuple[Self, ...]:
        """Return the parts; where the model takes it, each is told what was said before."""
        return tuple(parts)

    def count_units(self) -> Amount:
        """Millions of tokens of sound; only KIE knows how fast the voice will speak."""
        low, high = (min(self.length * each, MAX_SOUND_TOKENS) / 1e6 for each in SOUND_TOKENS_PER_CHARACTER)
        return Amount(low, high, "each character counts as up to half a second of speech")

    def extra_credits(self) -> float:
        """The tokens of the text: a token is one byte at least."""
        return len(self.model_dump_json(exclude_none=True).encode()) / 1e6 * self.text_rate

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """KIE calls speakers by name, and takes a single text as a dialogue too."""
        fields = super().sent(resolve)
        text = fields.pop("prompt", None)
        turns = fields.get("dialogue_turns") or [{"speaker_id": "Speaker 1", "text": text}]
        speakers = fields.get("speakers") or [self.whoever().model_dump(by_alias=True, exclude_none=True)]
        named = [{"speaker_id": f"Speaker {number}", **each} for number, each in enumerate(speakers, 1)]
        return {**fields, "speakers": named, "dialogue_turns": turns}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Speakers go by their places instead of KIE's names."""
        match super().received(fields):
            case {"speakers": list(speakers), "dialogue": list(turns), **others} if all(
                isinstance(each, Mapping) for each in speakers + turns
            ):
                places = {str(each["speaker_id"]): n for n, each in enumerate(speakers, 1) if "speaker_id" in each}
                return {
                    **others,
                    "speakers": [{key: each[key] for key in each if key != "speaker_id"} for each in speakers],
                    "dialogue": [
                        turn | {"speaker": places[name]} if (name := str(turn.get("speaker"))) in places else turn
                        for turn in turns
                    ],
                }
            case given:
                return given


class Directed(Speech):
    """The fields of the models that a speaker is described to."""

    price = per("million tokens", 2800, note="Of sound; a million tokens of text cost 140.")
    text_rate = 140
    voice_list = GOOGLE

    speakers: tuple[Speaker, ...] | None = Field(None, min_length=1)
    scene: str | None = None
    context: str | None = wire("sample_context", None, description="What was said before.")

    def follow_on(self, parts: Sequence[Self]) -> tuple[Self, ...]:
        """Each part but the first is told the end of the part before it."""
        first, *others = parts
        ends = [split_text((part.dialogue[-1] if part.dialogue else part).prompt or "", CONTEXT)[-1] for part in parts]
        later = [part.model_copy(update={"context": end}) for part, end in zip(others, ends, strict=False)]
        return (first, *later)


class Flash31(Directed):
    """Gemini 3.1 Flash TTS: one voice or a dialogue, with accent, style and pace."""

    id = "google/gemini-3-1-flash-tts"
    aliases = ("gemini-3-1-flash-tts", "gemini-3.1-flash-tts", "gemini-tts")


class Pro25(Directed):
    """Gemini 2.5 Pro TTS: one voice or a dialogue, with accent, style and pace; the older one."""

    id = "google/gemini-2-5-pro-tts"
    aliases = ("gemini-2-5-pro-tts", "gemini-2.5-pro-tts")


class Speech38(Speech):
    """The fields that both Gemini 3.8 speech models share."""

    whoever = VoicedSpeaker
    text_rate = 70
    voice_list = GOOGLE_WIDE

    dialogue: tuple[StyledTurn, ...] | None = wire(
        "dialogue_turns", None, min_length=1, description="Instead of prompt, for several speakers."
    )
    speakers: tuple[VoicedSpeaker, ...] | None = Field(None, min_length=1)
    filler_words: bool = Field(default=False, description="May say um.")


class Flash38(Speech38):
    """Gemini 3.8 Flash TTS: 70 voices, each turn in a style told in words, for half the price."""

    id = "google/gemini-3-8-flash-tts"
    aliases = ("gemini-3-8-flash-tts", "gemini-3.8-flash-tts")
    price = per("million tokens", 1260, note="Of sound; a million tokens of text cost 70. Until 2026-12-31.")


class FlashLite38(Speech38):
    """Gemini 3.8 Flash-Lite TTS: as Flash, sooner and cheapest, for much text."""

    id = "google/gemini-3-8-flash-lite-tts"
    aliases = ("gemini-3-8-flash-lite-tts", "gemini-3.8-flash-lite-tts")
    price = per("million tokens", 840, note="Of sound; a million tokens of text cost 70. Until 2026-12-31.")


VIDEO = Family(
    "gemini_omni_video",
    "Make a video with Gemini Omni (Google) from words, pictures, a clip, and people and voices that return.",
    (OmniVideo, OmniFlash11),
)
VOICE = Family("gemini_omni_voice", "Make a voice for gemini_omni_video; gives its id at once.", (OmniVoice,))
CHARACTER = Family(
    "gemini_omni_character",
    "Make a character for gemini_omni_video, from a picture; gives its id at once.",
    (OmniCharacter,),
)
SPEECH = Family(
    "gemini_speech",
    "Speak a text or a dialogue with Gemini (Google): 30 voices, accents, styles; 3.8: 70 voices, for half.",
    (Flash31, Flash38, FlashLite38, Pro25),
)
