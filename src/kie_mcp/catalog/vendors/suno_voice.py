"""Suno: a voice or a style that songs can be given again and again."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Audio, Kind, LanguageCode, Prompt, Source, TaskRef, wire
from kie_mcp.catalog.price import FREE
from kie_mcp.catalog.vendors.suno import OfTrack, Suno
from kie_mcp.catalog.vendors.suno_studio import Moment


class Persona(OfTrack):
    """Suno: the character of a song, under an id for other songs."""

    id = "ai-music-api/generate-persona"
    kind = "text"
    task_type = "create-persona"
    aliases = ("suno-persona",)
    routes = ("suno-persona", "jobs:ai-music-api/generate-persona")
    service = "suno/persona"
    usual_seconds = 10
    price = FREE

    name: Prompt
    description: Prompt = Field(description="Genre, mood, instruments, voice.")
    start: Moment = wire("vocalStart", 0, description="Seconds.")
    end: Moment = wire("vocalEnd", 30, description="10 to 30 s later.")
    style: str | None = None

    @model_validator(mode="after")
    def ten_to_thirty_seconds(self) -> Self:
        """KIE listens to no less and no more."""
        if not 10 <= self.end - self.start <= 30:
            raise ValueError("end must be 10 to 30 s after start")
        return self


PhraseTask = Annotated[
    TaskRef,
    Source("a voice phrase task", "ai-music-api/validation-phrase ai-music-api/regenerate-phrase", "text"),
]


class Voice(Suno):
    """A step on the way to a voice of one's own."""

    kind: ClassVar[Kind] = "text"
    task_type = "clone-voice"
    service = "suno/voice"
    price = FREE


class VoicePhrase(Voice):
    """Suno voice, first step: words to sing, for a recording of the voice."""

    id = "ai-music-api/validation-phrase"
    aliases = ("suno-voice-phrase",)
    routes = ("suno-voice-phrase", "jobs:ai-music-api/validation-phrase")

    audio: Audio = wire("voiceUrl")
    start: int = wire("vocalStartS", ge=0, description="Of the singing, s.")
    end: int = wire("vocalEndS", gt=0)
    language: Annotated[Literal["en", "zh", "es", "fr", "pt", "de", "ja", "ko", "hi", "ru"] | None, LanguageCode] = None

    @model_validator(mode="after")
    def end_after_start(self) -> Self:
        """The singing takes some time."""
        if self.end <= self.start:
            raise ValueError("end must come after start")
        return self


class CreateVoice(Voice):
    """Suno voice, second step: the voice, from a recording of it singing the words."""

    id = "ai-music-api/create-voice"
    aliases = ("suno-voice",)
    routes = ("suno-voice", "jobs:ai-music-api/create-voice")

    task_id: PhraseTask = wire("taskId", description="Of the phrase; to check, of create-voice.")
    audio: Audio = wire("verifyUrl")
    name: str | None = wire("voiceName", None)
    description: str | None = None
    style: str | None = None
    skill: Literal["beginner", "intermediate", "advanced", "professional"] = wire("singerSkillLevel", "beginner")


class CheckVoice(Voice):
    """Suno voice: whether it can be used."""

    id = "ai-music-api/check-voice"
    aliases = ("suno-voice-check",)
    routes = ("suno-voice-check", "jobs:ai-music-api/check-voice")
    usual_seconds = 5

    task_id: Annotated[TaskRef, Source("a voice creation task", "ai-music-api/create-voice", "text")]


class AnotherPhrase(Voice):
    """Suno voice: other words to sing instead of those of the first step."""

    id = "ai-music-api/regenerate-phrase"
    aliases = ("suno-voice-regenerate",)
    routes = ("suno-voice-regenerate", "jobs:ai-music-api/regenerate-phrase")

    task_id: PhraseTask = wire("taskId")


PERSONA = Family(
    "suno_persona", "Make a persona of a Suno song: an id that gives other songs its character.", (Persona,)
)
VOICE = Family(
    "suno_voice",
    "Clone a voice for songs: validation-phrase gives words to sing, create-voice makes a persona_id of the recording.",
    (VoicePhrase, CreateVoice, CheckVoice, AnotherPhrase),
)
