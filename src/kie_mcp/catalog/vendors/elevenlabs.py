"""ElevenLabs: speech, dialogues, sound effects, and voices freed of noise."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kie_mcp.catalog.amount import Amount, exactly
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Audio, LanguageCode, Limits, LongestRequest, Prompt, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.part import Part
from kie_mcp.catalog.price import per
from kie_mcp.catalog.sentences import LONGEST_SPEECH, split_items, split_text, trim_texts
from kie_mcp.catalog.voices import ELEVENLABS, describe_unlisted

LONGEST_TEXT = 5000
"""Most characters that KIE takes at once; a dialogue has so many in all its lines together."""
CONTEXT = 300
"""Most characters before and after a part that the voice is told, so that its tone goes on."""

Share = Annotated[float, Field(ge=0, le=1)]


class ElevenLabs(KieModel):
    """An ElevenLabs model."""

    kind = "audio"
    service = "elevenlabs/generate"
    usual_seconds = 10


class Speech(ElevenLabs):
    """The fields that both voices share."""

    task_type = "text-to-speech"
    voice_list = ELEVENLABS

    prompt: Annotated[Prompt, LongestRequest(LONGEST_TEXT)] = wire(
        "text", max_length=LONGEST_SPEECH, description="Over 5000 in parts, joined."
    )
    # KIE's list of voices holds ids only, its examples use names: both work.
    voice: Prompt = Field("Rachel", description="Name or ElevenLabs voice id.")
    stability: Share = 0.5
    similarity_boost: Share = 0.75
    style: Share = Field(0, description="Exaggeration.")
    speed: float = Field(1, ge=0.7, le=1.2)
    timestamps: bool = False
    previous_text: str | None = Field(None, max_length=5000, description="Said before.")
    next_text: str | None = Field(None, max_length=5000)

    @field_validator("prompt")
    @classmethod
    def blanks_need_no_part(cls, prompt: str) -> str:
        """KIE takes a text at once that only blanks at its ends make too long."""
        return trim_texts([prompt], LONGEST_TEXT)[0]

    @model_validator(mode="after")
    def timed_text_is_short(self) -> Self:
        """The times of each part would begin at 0 again."""
        if self.timestamps and len(self.prompt) > LONGEST_TEXT:
            raise ValueError(f"timestamps go with a prompt of at most {LONGEST_TEXT} characters")
        return self

    def warnings(self) -> Iterable[str]:
        """Any name may be a voice of ElevenLabs, so one that KIE does not list is sent."""
        return filter(None, [describe_unlisted(self.voice)])

    def split(self) -> tuple[Self, ...]:
        """Parts of a long text; each is told what is said before and after it."""
        texts = split_text(self.prompt, LONGEST_TEXT)
        if len(self.prompt) <= LONGEST_TEXT:
            return (self,)
        before = [self.previous_text, *(split_text(text, CONTEXT)[-1] for text in texts[:-1])]
        after = [*(split_text(text, CONTEXT)[0] for text in texts[1:]), self.next_text]
        return tuple(
            self.model_copy(update={"prompt": text, "previous_text": previous, "next_text": following})
            for text, previous, following in zip(texts, before, after, strict=True)
        )


class Turbo25(Speech):
    """ElevenLabs Turbo 2.5: quick speech at half the price, in a language of choice."""

    id = "elevenlabs/text-to-speech-turbo-2-5"
    aliases = ("elevenlabs-turbo-2.5", "elevenlabs", "turbo-2-5", "eleven_turbo_v2_5")
    price = per("1000 characters", 6)

    language: Annotated[str | None, LanguageCode] = wire("language_code", None, description="ISO 639-1.")

    @field_validator("language")
    @classmethod
    def language_is_a_code(cls, language: str | None) -> str | None:
        """KIE fails with any other text."""
        if language is not None and not re.fullmatch("[a-z]{2}", language):
            raise ValueError("is a code of two letters (ISO 639-1), such as en or de")
        return language


class MultilingualV2(Speech):
    """ElevenLabs Multilingual v2: the richest voice, in the language that the text is written in."""

    id = "elevenlabs/text-to-speech-multilingual-v2"
    aliases = ("elevenlabs-multilingual-v2", "multilingual-v2", "eleven_multilingual_v2")
    price = per("1000 characters", 12)

    @classmethod
    def hidden_fields(cls) -> dict[str, Mapping[str, Any]]:
        """KIE's schema has a language, and the model fails when one is given."""
        return super().hidden_fields() | {"language_code": {"allOf": [False]}}


class SoundEffectV2(ElevenLabs):
    """ElevenLabs Sound Effect v2: a noise from words, up to 22 s."""

    id = "elevenlabs/sound-effect-v2"
    task_type = "text-to-sound"
    aliases = ("sound-effect-v2", "elevenlabs-sound-effect")
    legacy = "suno_sounds"

    prompt: Prompt = wire("text", max_length=5000)
    duration: float | None = wire("duration_seconds", None, ge=0.5, le=22)
    loop: bool = False
    prompt_influence: Share = 0.3
    format: Literal[
        "mp3_22050_32",
        "mp3_44100_32",
        "mp3_44100_64",
        "mp3_44100_96",
        "mp3_44100_128",
        "mp3_44100_192",
        "pcm_8000",
        "pcm_16000",
        "pcm_22050",
        "pcm_24000",
        "pcm_44100",
        "pcm_48000",
        "ulaw_8000",
        "alaw_8000",
        "opus_48000_32",
        "opus_48000_64",
        "opus_48000_96",
        "opus_48000_128",
        "opus_48000_192",
    ] = wire("output_format", "mp3_44100_128")


LANGUAGES = (
    "af ar hy as az be bn bs bg ca ceb ny hr cs da nl en et fil fi fr gl ka de el gu ha he hi hu is id ga it ja jv kn "
    "kk ky ko lv ln lt lb mk ms ml zh mr ne no ps fa pl pt pa ro ru sr sd sk sl so es sw sv ta te th tr uk ur vi cy"
)


class Line(Part):
    """What one voice says."""

    prompt: Prompt = wire("text")
    voice: Prompt = Field(description="Name or ElevenLabs voice id.")


class DialogueV3(ElevenLabs):
    """ElevenLabs v3: several voices talk to each other."""

    id = "elevenlabs/text-to-dialogue-v3"
    task_type = "text-to-speech"
    aliases = ("elevenlabs-dialogue", "text-to-dialogue-v3", "eleven_v3")
    usual_seconds = 20
    price = per("1000 characters", 14)
    voice_list = ELEVENLABS

    lines: tuple[Line, ...] = wire("dialogue", min_length=1)
    stability: float = Field(0.5, ge=0, le=1, multiple_of=0.5)
    language: Annotated[str | None, LanguageCode] = wire(
        "language_code", None, description="ISO 639-1; default as spoken."
    )

    @property
    def length(self) -> int:
        """The characters of all lines."""
        return sum(len(line.prompt) for line in self.lines)

    @field_validator("lines")
    @classmethod
    def blanks_need_no_part(cls, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        """KIE takes lines at once that only blanks at their ends make too long."""
        texts = trim_texts([line.prompt for line in lines], LONGEST_TEXT)
        return tuple(line.model_copy(update={"prompt": text}) for line, text in zip(lines, texts, strict=True) if text)

    @model_validator(mode="after")
    def not_too_long_and_in_a_known_language(self) -> Self:
        """So many characters are a long recording, and cost a lot."""
        if self.length > LONGEST_SPEECH:
            raise ValueError(f"the lines have {self.length} characters together, at most {LONGEST_SPEECH}")
        if self.language is not None and self.language not in LANGUAGES.split():
            raise ValueError(f"there is no language {self.language!r}, but {LANGUAGES}")
        return self

    def count_units(self) -> Amount:
        """All the lines; 1000 characters while there are none."""
        return exactly(self.length / 1000 if "lines" in self.model_fields_set else 1)

    def warnings(self) -> Iterable[str]:
        """Any name may be a voice of ElevenLabs, so one that KIE does not list is sent."""
        return dict.fromkeys(filter(None, (describe_unlisted(line.voice) for line in self.lines)))

    def split(self) -> tuple[Self, ...]:
        """Parts of a long dialogue, between its lines; a line that is too long becomes several of the same voice."""
        if self.length <= LONGEST_TEXT:
            return (self,)
        lines = [
            line.model_copy(update={"prompt": text})
            for line in self.lines
            for text in split_text(line.prompt, LONGEST_TEXT)
        ]
        groups = split_items(lines, lambda line: len(line.prompt), LONGEST_TEXT)
        return tuple(self.model_copy(update={"lines": tuple(group)}) for group in groups)


class Isolation(ElevenLabs):
    """ElevenLabs: the voice of a recording, without its noise."""

    id = "elevenlabs/audio-isolation"
    task_type = "audio-isolation"
    aliases = ("elevenlabs-isolate", "audio-isolation")
    price = per("second", 0.1, of=("audio",), note="Roughly, per second of audio.")

    audio: Annotated[Audio, Limits("mpeg wav x-wav aac mp4 ogg", mb=10)] = wire("audio_url")


SPEECH = Family(
    "elevenlabs_speech",
    "Speak a text with ElevenLabs: turbo 2.5 for less, multilingual v2 with more expression. Cost is per 1000 "
    "characters.",
    (Turbo25, MultilingualV2),
    rare=("previous_text", "next_text"),
)

SOUND_EFFECT = Family(
    "elevenlabs_sound_effect",
    "Make a sound effect with ElevenLabs.",
    (SoundEffectV2,),
    rare=("prompt_influence", "format"),
)

DIALOGUE = Family(
    "elevenlabs_dialogue",
    "Speak a dialogue with ElevenLabs v3. [laughs] and the like are acted. Cost is per 1000 characters.",
    (DialogueV3,),
)

ISOLATE = Family(
    "elevenlabs_isolate",
    "Free a recorded voice from noise with ElevenLabs; for the parts of a song take suno_separate_vocals.",
    (Isolation,),
)
