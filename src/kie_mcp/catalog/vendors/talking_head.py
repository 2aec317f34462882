"""Pictures and videos that speak: Infinitalk, OmniHuman (ByteDance) and Volcengine's lip sync."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PlainSerializer, WithJsonSchema, model_validator

from kie_mcp.catalog.amount import Amount, Lengths, cover
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Audio, Image, Limits, Prompt, RandomLeftOut, RandomSeed, Video, aliases, wire
from kie_mcp.catalog.model import KieModel, Resolve
from kie_mcp.catalog.price import UNPUBLISHED, per, rate

SOUNDS = "mpeg wav x-wav aac mp4 ogg"

Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]
Voice = Annotated[Audio, Limits(SOUNDS, mb=10)]
# KIE leaves out the p.
Resolution = Annotated[
    Literal["720p", "1080p"],
    aliases({"720": "720p", "1080": "1080p"}),
    PlainSerializer(lambda given: given.removesuffix("p"), return_type=str),
]


class TalkingHead(KieModel):
    """A model that makes somebody speak; its price is by the length of the audio."""

    kind = "video"
    task_type = "audio-to-video"
    usual_seconds = 180


class Infinitalk(TalkingHead):
    """Infinitalk: a picture speaks, at the lowest price, up to 15 s."""

    id = "infinitalk/from-audio"
    aliases = ("infinitalk",)
    service = "infinitalk/generate"
    price = per(
        "second",
        rate(3, resolution="480p"),
        rate(12, resolution="720p"),
        of=("audio",),
        most=15,
        note="By the audio, 15 s at most.",
    )

    image: Picture = wire("image_url")
    audio: Voice = wire("audio_url")
    # KIE wants one; without it the call would go to OmniHuman, at nine times the price.
    prompt: Prompt = Field("Speaking to the camera.", max_length=5000)
    resolution: Literal["480p", "720p"] = "480p"
    seed: (
        Annotated[int | None, Field(ge=10000, le=1000000), RandomLeftOut, WithJsonSchema({"type": "integer"})] | None
    ) = None


class OmniHuman(TalkingHead):
    """OmniHuman 1.5: a picture speaks and moves, one of several people if wanted, up to 60 s."""

    id = "omnihuman-1-5"
    aliases = ("omnihuman-1.5", "omnihuman")
    service = "omnihuman/generate"
    price = per("second", 27, of=("audio",), note="By the audio.")
    kie_defaults: ClassVar[dict[str, Any]] = {"seed": -1}

    image: Picture = wire("image_url")
    # KIE takes less than 60 s.
    audio: Annotated[Audio, Limits(SOUNDS, mb=10, seconds=(0, 59.99))] = wire("audio_url")
    prompt: Prompt | None = Field(None, max_length=300)
    masks: tuple[Picture, ...] | None = wire(
        "mask_url", None, max_length=5, description="Who speaks: from talking_head_detect."
    )
    resolution: Resolution = wire("output_resolution", "1080p")
    fast: bool = wire("pe_fast_mode", default=False)
    seed: RandomSeed | None = None


class LipSync(TalkingHead):
    """Volcengine: a video's lips move to another voice; lite for one person, basic for several."""

    id = "volcengine/video-to-video-lip-sync"
    task_type = "video-to-video"
    aliases = ("volcengine-lip-sync", "lip-sync")
    service = "volcengine/lip-sync"
    price = per("second", 8, of=("video", "audio"), note="By the result.")
    kie_defaults: ClassVar[dict[str, Any]] = {"loop": True, "start": 0}
    looping: ClassVar[tuple[str, ...]] = ("loop", "loop_backwards", "start")
    """The fields of mode lite; in basic, KIE's page fills them in with their defaults all the same."""

    video: Annotated[Video, Limits("quicktime mp4", mb=500)] = wire("video_url")
    audio: Voice = wire("audio_url")
    mode: Literal["lite", "basic"] = "lite"
    isolate_voice: bool = wire("separate_vocal", default=False, description="For an audio with more than a voice.")
    find_speakers: bool | None = wire("open_scenedet", None, description="In basic: scene by scene.")
    loop: bool | None = wire(
        "align_audio", None, description="In lite: video repeats to the audio's end; default true."
    )
    loop_backwards: bool | None = wire("align_audio_reverse", None, description="In lite: every other time.")
    start: float | None = wire("templ_start_seconds", None, ge=0, description="In lite: second of video.")

    @model_validator(mode="after")
    def mode_has_its_own_fields(self) -> Self:
        """Speakers are found in basic, the video is looped in lite."""
        if self.find_speakers and self.mode == "lite":
            raise ValueError("find_speakers works in mode basic")
        values = {name: getattr(self, name) for name in self.looping}
        given = [name for name, value in values.items() if value is not None and not self.is_default(name, value)]
        if given and self.mode == "basic":
            raise ValueError(f"{', '.join(given)} works in mode lite: leave it out, or change mode")
        if self.loop_backwards and self.loop is False:
            raise ValueError("loop_backwards needs loop: leave loop out, or set it to true")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """The fields of mode lite go out in lite alone."""
        names = {type(self).model_fields[name].serialization_alias for name in self.looping if self.mode == "basic"}
        return {name: value for name, value in super().sent(resolve).items() if name not in names}

    def units(self, lengths: Lengths) -> Amount:
        """The result is as long as video or audio; KIE does not say which of them."""
        return cover(self.seconds_of(name, lengths) for name in self.price.of)


class Detection(KieModel):
    """A look at a picture before somebody in it speaks."""

    kind = "text"
    task_type = "detection"
    service = "omnihuman/detect"
    usual_seconds = 20
    price = UNPUBLISHED


class Subjects(Detection):
    """OmniHuman 1.5: masks of up to five who could speak, to choose from."""

    id = "omnihuman-1-5/subject-detection"
    aliases = ("omnihuman-subject-detection",)

    image: Annotated[Image, Limits("jpeg png", mb=5)] = wire("image_url")


class Human(Detection):
    """OmniHuman 1.5: whether a picture shows somebody who can speak; best with one face, frontal."""

    id = "omnihuman-1-5/human-identification"
    aliases = ("omnihuman-human-identification",)

    # KIE excludes the bound of 4096.
    image: Annotated[Image, Limits("jpeg png", mb=5, side_px=(1, 4095))] = wire("image_url")


VIDEO = Family(
    "talking_head",
    "Make a picture speak (Infinitalk: 15 s, from 3 credits a second; OmniHuman: 60 s, 27), or lip-sync a video (8).",
    (Infinitalk, OmniHuman, LipSync),
)
DETECT = Family(
    "talking_head_detect",
    "Find who could speak in a picture: masks for OmniHuman, or whether there is a human at all.",
    (Subjects, Human),
)
