"""Suno: new songs from recordings, other parts for them, and sounds."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Audio, Prompt, wire
from kie_mcp.catalog.price import per
from kie_mcp.catalog.vendors.suno import (
    VERSION_NAMES,
    FromIdea,
    LongSong,
    OfTrackOrFile,
    Personal,
    Suno,
    Tuned,
    Version,
)

# KIE takes hundredths only.
Moment = Annotated[float, Field(ge=0), AfterValidator(lambda given: round(given, 2))]


class CoverSong(Personal, FromIdea):
    """Suno: the tune of a file of up to 8 minutes, sung or played another way."""

    id = "ai-music-api/upload-and-cover-audio"
    task_type = "cover-music"
    aliases = ("suno-upload-cover", "suno-cover-song")
    routes = ("suno-upload-cover", "jobs:ai-music-api/upload-and-cover-audio")
    service = "suno/upload-cover"

    audio: LongSong = wire("uploadUrl")
    title: Prompt | None = Field(None, max_length=100)


class Mashup(Tuned, FromIdea):
    """Suno: two files become one song."""

    id = "ai-music-api/mashup"
    task_type = "mashup-music"
    aliases = ("suno-mashup",)
    routes = ("suno-mashup", "jobs:ai-music-api/mashup")
    service = "suno/mashup"

    audios: tuple[Audio, ...] = wire("uploadUrlList", min_length=2, max_length=2, description="Both songs.")


class AddedPart(Tuned):
    """The fields of a part that is added to a recording."""

    usual_seconds = 120
    price = per("task", 12, note="One task makes two songs.")

    audio: Audio = wire("uploadUrl")
    title: Prompt
    negative_prompt: Prompt = wire("negativeTags", max_length=200, description="Styles to avoid.")
    version: Annotated[Literal["V6", "V6_MINI", "V6_WILD", "V5_5", "V5", "V4_5PLUS"], VERSION_NAMES] = wire(
        "model", "V4_5PLUS"
    )


class AddVocals(AddedPart):
    """Suno: somebody sings to the music of a file."""

    id = "ai-music-api/add-vocals"
    task_type = "add-vocals"
    aliases = ("suno-add-vocals",)
    routes = ("suno-add-vocals", "jobs:ai-music-api/add-vocals")
    service = "suno/add-vocals"

    prompt: Prompt = Field(description="The lyrics.")
    style: Prompt = Field(max_length=1000)


class AddInstrumental(AddedPart):
    """Suno: a band plays to the voice of a file."""

    id = "ai-music-api/add-instrumental"
    task_type = "add-instrumental"
    aliases = ("suno-add-instrumental",)
    routes = ("suno-add-instrumental", "jobs:ai-music-api/add-instrumental")
    service = "suno/add-instrumental"

    style: Prompt = wire("tags", max_length=1000)


class ReplaceSection(OfTrackOrFile):
    """Suno: some seconds of a song, sung anew."""

    id = "ai-music-api/replace-section"
    task_type = "edit-music"
    aliases = ("suno-replace-section",)
    routes = ("suno-replace-section", "jobs:ai-music-api/replace-section")
    service = "suno/replace-section"
    usual_seconds = 120
    price = per("task", 5)

    start: Moment = wire("infillStartS", description="Seconds.")
    end: Moment = wire("infillEndS", description="10 s later or more.")
    prompt: Prompt = Field(description="The section's new lyrics.")
    lyrics: Prompt = wire("fullLyrics", description="The whole song's, the new ones in place.")
    style: Prompt = wire("tags")
    title: Prompt
    negative_prompt: str | None = wire("negativeTags", None, description="Styles to avoid.")
    version: Version | None = Field(
        default_factory=lambda given: "V5_5" if given.get("audio") else None,
        serialization_alias="model",
        description="Only with audio; default V5_5.",
    )

    @model_validator(mode="after")
    def ten_seconds_of_one_source(self) -> Self:
        """A song of Suno's keeps its version."""
        if self.end - self.start < 10:
            raise ValueError("end must be at least 10 s after start")
        if self.track and self.version:
            raise ValueError("version goes with audio only: a track keeps its own")
        return self


class Sounds(Suno):
    """Suno: a sound or a loop from words, in a tempo and a key if wanted."""

    id = "ai-music-api/sounds"
    task_type = "text-to-sound"
    aliases = ("suno-sounds",)
    routes = ("suno-sounds", "jobs:ai-music-api/sounds")
    service = "suno/sounds"
    price = per("task", 2.5)

    prompt: Prompt = Field(max_length=500)
    version: Annotated[Literal["V5_5", "V5"], VERSION_NAMES] = wire("model", "V5_5")
    loop: bool = wire("soundLoop", default=False)
    tempo: Annotated[int, Field(ge=1, le=300)] | None = wire("soundTempo", None, description="Beats a minute.")
    key: Literal[
        "Any",
        "C",
        "C#",
        "D",
        "D#",
        "E",
        "F",
        "F#",
        "G",
        "G#",
        "A",
        "A#",
        "B",
        "Cm",
        "C#m",
        "Dm",
        "D#m",
        "Em",
        "Fm",
        "F#m",
        "Gm",
        "G#m",
        "Am",
        "A#m",
        "Bm",
    ] = wire("soundKey", "Any")
    lyrics: bool = wire("grabLyrics", default=False, description="Return them too.")


COVER_SONG = Family(
    "suno_cover_song",
    "Remake a song file (audio) in another style, or mash two up (audios), with Suno. Details need style and title.",
    (CoverSong, Mashup),
)
ADD_PART = Family(
    "suno_add_part",
    "Add singing to a music file (prompt: the lyrics), or music to a singing file (without prompt), with Suno.",
    (AddVocals, AddInstrumental),
)
REPLACE_SECTION = Family(
    "suno_replace_section", "Make some seconds of a song anew, with new lyrics, with Suno.", (ReplaceSection,)
)
SOUNDS = Family(
    "suno_sounds", "Make a sound effect (rain, steps, an explosion), ambience or loop with Suno.", (Sounds,)
)
