"""ElevenLabs: speech and sound effects."""

from typing import Annotated, Literal

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Prompt, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per

Share = Annotated[float, Field(ge=0, le=1)]


class ElevenLabs(KieModel):
    """An ElevenLabs model."""

    kind = "audio"
    service = "elevenlabs/generate"
    usual_seconds = 10


class Speech(ElevenLabs):
    """The fields that both voices share."""

    does = "text-to-speech"

    prompt: Prompt = wire("text", max_length=5000)
    # KIE's list of voices holds ids only, its examples use names: both work.
    voice: Prompt = Field("Rachel", description="Name or ElevenLabs voice id.")
    stability: Share = 0.5
    similarity_boost: Share = 0.75
    style: Share = Field(0, description="Exaggeration.")
    speed: float = Field(1, ge=0.7, le=1.2)
    timestamps: bool = False
    previous_text: str | None = Field(None, max_length=5000, description="Said before.")
    next_text: str | None = Field(None, max_length=5000)


class Turbo25(Speech):
    """ElevenLabs Turbo 2.5: quick speech at half the price, in a language of choice."""

    id = "elevenlabs/text-to-speech-turbo-2-5"
    aliases = ("elevenlabs", "elevenlabs-turbo-2.5", "turbo-2-5", "eleven_turbo_v2_5")
    price = per("1000 characters", 6)

    language: str | None = wire("language_code", None, pattern="^[a-z]{2}$", description="ISO 639-1.")


class MultilingualV2(Speech):
    """ElevenLabs Multilingual v2: the richest voice, in the language that the text is written in."""

    id = "elevenlabs/text-to-speech-multilingual-v2"
    aliases = ("elevenlabs-multilingual-v2", "multilingual-v2", "eleven_multilingual_v2")
    price = per("1000 characters", 12)


class SoundEffectV2(ElevenLabs):
    """ElevenLabs Sound Effect v2: a noise from words, up to 22 s."""

    id = "elevenlabs/sound-effect-v2"
    does = "text-to-sound"
    aliases = ("sound-effect-v2", "elevenlabs-sound-effect")
    legacy = "suno_music"

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


SPEECH = Family(
    "elevenlabs_speech",
    "Speak a text with ElevenLabs: turbo 2.5 for less, multilingual v2 with more expression. Cost is per 1000 "
    "characters.",
    (Turbo25, MultilingualV2),
)

SOUND_EFFECT = Family(
    "elevenlabs_sound_effect",
    "Make a sound effect with ElevenLabs: steps, rain, an explosion.",
    (SoundEffectV2,),
)
