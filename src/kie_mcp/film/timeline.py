"""Timeline: the caller's description of a film, as typed JSON. It is checked before any program runs."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from kie_mcp.catalog.argument_values import read_shape
from kie_mcp.catalog.fields import AnyFile, Image, Ref, TaskRef
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.part import Part
from kie_mcp.catalog.price import FREE

EDIT_TOOL, EDIT_MODEL = "edit_media", "kie-mcp/edit"
"""Name of the tool for edits, and the value that edits have in the ledger's column `model`."""

Fit = Literal["pad", "crop", "blur"]
Place = Literal["bottom", "center", "top"]
Format = Literal["mp4", "gif", "webp", "mp3", "m4a", "wav", "flac", "png", "jpg"]
SOUND_FORMATS = ("mp3", "m4a", "wav", "flac")
STILL_FORMATS = ("png", "jpg")
ANIMATION_FORMATS = ("gif", "webp")
COVERED_FORMATS = ("mp3", "m4a")
"""Formats of sounds that can have a cover picture."""

MAX_CLIPS, MAX_SOUNDS, MAX_TEXTS = 60, 20, 500
LONGEST_SECONDS = 3600
"""Longest film, in seconds."""
STILL_SECONDS = 5
"""Seconds for which a picture or a card is shown if the caller gives no length."""

# `WithJsonSchema` leaves the limits out of the JSON schema, because a longer schema takes more of a client's context.
AsNumber = WithJsonSchema({"type": "number"})
Seconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS), AsNumber]
StillSeconds = Annotated[float, Field(gt=0, le=600), AsNumber]
FadeSeconds = Annotated[float, Field(ge=0, le=30), AsNumber]


def _check_ratio(text: str) -> str:
    text = read_shape(text)
    found = re.fullmatch(r"(\d{1,2}):(\d{1,2})", text)
    if not found or not 0.25 <= int(found[1]) / max(int(found[2]), 1) <= 4:
        raise ValueError("takes width:height, such as 16:9, 9:16 or 1:1")
    return text


class _WithoutDefaults(BaseModel):
    """An object whose JSON leaves out fields with default values, so that it is like the JSON that the caller sent."""

    @model_serializer(mode="wrap")
    def _write(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {name: value for name, value in write(self).items() if getattr(self, name) != fields[name].default}


class _Piece(_WithoutDefaults, Part):
    """A piece of a film; a caller may write only its source instead of an object."""

    @model_validator(mode="before")
    @classmethod
    def _read_source(cls, given: Any) -> Any:
        return {"source": given} if isinstance(given, str) else given


class Clip(_Piece):
    """One piece of a film: a video, a picture, a sound or, without a source, a card with a title."""

    source: AnyFile | None = Field(None, description="None: a card.")
    title: str = Field("", max_length=300)
    start: Seconds = 0
    end: Seconds | None = None
    seconds: StillSeconds | None = Field(None, description="Of a picture or card.")
    speed: float = Field(1, ge=0.25, le=4)
    volume: float = Field(1, ge=0, le=4)
    fade: FadeSeconds = Field(0, description="Cross-fade from the clip before.")
    fit: Fit | None = None
    zoom: Literal["in", "out", "none"] = Field("in", description="Of a picture.")
    voice: AnyFile | None = Field(None, description="A picture lasts as long.")

    @property
    def source_end(self) -> float | None:
        """The second of the source at which this clip ends; None if it ends with the source."""
        return self.end or (self.start + self.seconds * self.speed if self.seconds else None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.source and not (self.title or self.seconds or self.voice):
            raise ValueError("give a source, or a title for a card, or seconds for a pause")
        if self.end is not None and self.end <= self.start:
            raise ValueError("end has to be after start")
        if not self.source and (self.start or self.end or self.speed != 1):
            raise ValueError("start, end and speed are for a source; a card has seconds")
        return self


class Sound(_Piece):
    """A sound (music, a voice or an effect) that is mixed into the film, whichever clip is shown."""

    source: AnyFile
    role: Literal["music", "voice", "effect"] = "music"
    at: Seconds = 0
    start: Seconds = 0
    end: Seconds | None = None
    volume: float = Field(1, ge=0, le=4)
    fade_in: FadeSeconds = 0
    fade_out: FadeSeconds | None = Field(None, description="Default 2 of music that the film's end cuts.")
    loop: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError("end has to be after start")
        return self


class Text(_WithoutDefaults, Part):
    """A text that is shown for some seconds, such as a subtitle."""

    text: str = Field(min_length=1, max_length=1000)
    at: Seconds
    until: Seconds | None = None
    place: Place = "bottom"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.until is not None and self.until <= self.at:
            raise ValueError("until has to be after at")
        return self


class Timeline(_WithoutDefaults, KieModel):
    """Joins clips, pictures, sounds and texts to one file on this machine, free of charge."""

    id = EDIT_MODEL
    kind = "video"
    task_type = "edit"
    price = FREE
    routes = ()
    usual_seconds = 20

    clips: tuple[Clip, ...] = ()
    sounds: tuple[Sound, ...] = ()
    texts: tuple[Text, ...] = ()
    lyrics: TaskRef | None = Field(None, description="Task of suno_timestamped_lyrics: its lines become texts.")
    subtitles: Literal["burn", "attach"] = "burn"
    aspect_ratio: Annotated[str, AfterValidator(_check_ratio)] | None = None
    height: Annotated[int, Field(ge=64, le=2160)] | None = Field(None, description="Pixels.")
    fit: Fit = "pad"
    loudness: Annotated[float, Field(ge=-31, le=-8)] | None = Field(
        None, description="LUFS; -14 by default where sounds are mixed."
    )
    format: Format | None = Field(None, description="png and jpg: the last frame.")
    cover: Image | None = Field(None, description="Of an mp3 or m4a.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, most in (("clips", MAX_CLIPS), ("sounds", MAX_SOUNDS), ("texts", MAX_TEXTS)):
            if len(getattr(self, name)) > most:
                raise ValueError(f"{name}: takes up to {most}")
        if not self.clips and not self.sounds:
            raise ValueError("give clips or sounds")
        if self.clips and self.clips[0].fade:
            raise ValueError("clips.0.fade: there is no clip before the first")
        if self.cover and self.format not in COVERED_FORMATS:
            raise ValueError("cover needs the format mp3 or m4a")
        if not self.clips and self.format not in (None, *SOUND_FORMATS):
            raise ValueError(f"{self.format} needs clips")
        if self.format in STILL_FORMATS and (self.sounds or self.texts or self.lyrics):
            raise ValueError(f"{self.format} is one frame of the clips, without sounds and texts")
        if self.format in ANIMATION_FORMATS and self.sounds:
            raise ValueError(f"{self.format} has no sound")
        if self.format in SOUND_FORMATS and (self.texts or self.lyrics):
            raise ValueError(f"{self.format} shows no texts")
        if not self.clips and (self.texts or self.lyrics):
            raise ValueError(
                'texts and lyrics need clips, such as a card {"voice": …}, which lasts as long as its sound'
            )
        return self

    def files(self) -> list[Ref]:
        """Return the files that this timeline names; a file that is named several times is returned once."""
        return list(dict.fromkeys(ref for ref in self.references() if not isinstance(ref, TaskRef)))
