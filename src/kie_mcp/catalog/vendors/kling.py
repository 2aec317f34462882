"""Kling (Kuaishou): video from words, pictures or a list of shots; talking portraits; borrowed movements."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainSerializer, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Audio, Image, InList, Limits, Number, Prompt, Video, aliases, wire
from kie_mcp.catalog.model import KieModel, Resolve, TwoFrames
from kie_mcp.catalog.part import Part
from kie_mcp.catalog.price import per, rate

Picture = Annotated[Image, Limits("jpeg png", mb=10)]
Ratio = Literal["16:9", "9:16", "1:1"]
Short = Annotated[Literal[5, 10], Number, AsText]
Long = Annotated[int, AsText, Field(ge=3, le=15)]
Guidance = Annotated[float, Field(ge=0, le=1)]

MODES = {"720p": "std", "1080p": "pro", "4K": "4K"}
# Kling 3.0 has words of its own for resolutions.
Mode = Annotated[
    Literal["720p", "1080p", "4K"],
    aliases({mode: resolution for resolution, mode in MODES.items()}),
    PlainSerializer(MODES.__getitem__, return_type=str),
]


class Kling(KieModel):
    """A Kling video model."""

    kind = "video"
    service = "kling/generate"
    usual_seconds = 150


class Kling2(Kling):
    """The fields that Kling 2.1 and 2.5 share."""

    prompt: Prompt = Field(max_length=5000)
    duration: Short = 5
    negative_prompt: str | None = Field(None, max_length=500)
    cfg_scale: Guidance = Field(0.5, description="How closely to follow the prompt.")


class Kling21Standard(Kling2):
    """Kling 2.1 Standard: a picture comes alive, at the lowest price."""

    id = "kling/v2-1-standard"
    task_type = "image-to-video"
    aliases = ("kling-2.1-standard", "kling-2.1")
    price = per("video", rate(25, duration=5), rate(50, duration=10))

    image: Picture = wire("image_url")


class Kling21Pro(Kling2):
    """Kling 2.1 Pro: from a first frame and, if given, to a last one."""

    id = "kling/v2-1-pro"
    task_type = "image-to-video"
    aliases = ("kling-2.1-pro",)
    price = per("video", rate(50, duration=5), rate(100, duration=10))

    image: Picture = wire("image_url")
    last_image: Picture | None = wire("tail_image_url", None)


class Kling21MasterText(Kling2):
    """Kling 2.1 Master: from words, the finest and dearest of 2.1."""

    id = "kling/v2-1-master-text-to-video"
    task_type = "text-to-video"
    aliases = ("kling-2.1-master",)
    price = per("video", rate(160, duration=5), rate(320, duration=10))

    aspect_ratio: Ratio = "16:9"


class Kling21MasterImage(Kling2):
    """Kling 2.1 Master: from a picture, the finest and dearest of 2.1."""

    id = "kling/v2-1-master-image-to-video"
    task_type = "image-to-video"
    price = per("video", rate(160, duration=5), rate(320, duration=10))

    image: Picture = wire("image_url")


class Kling25Text(Kling2):
    """Kling 2.5 Turbo: from words, quick and cheap for its quality."""

    id = "kling/v2-5-turbo-text-to-video-pro"
    task_type = "text-to-video"
    aliases = ("kling-2.5-turbo", "kling-2.5")
    price = per("video", rate(42, duration=5), rate(84, duration=10))

    prompt: Prompt = Field(max_length=2500)
    negative_prompt: str | None = Field(None, max_length=2500)
    aspect_ratio: Ratio = "16:9"


class Kling25Image(Kling2):
    """Kling 2.5 Turbo: from a first frame and, if given, to a last one."""

    id = "kling/v2-5-turbo-image-to-video-pro"
    task_type = "image-to-video"
    price = per("video", rate(42, duration=5), rate(84, duration=10))

    prompt: Prompt = Field(max_length=2500)
    image: Picture = wire("image_url")
    last_image: Picture | None = wire("tail_image_url", None)


class Kling26(Kling):
    """The fields that both Kling 2.6 models share."""

    price = per(
        "video",
        rate(55, sound=False, duration=5),
        rate(110, sound=False, duration=10),
        rate(110, sound=True, duration=5),
        rate(220, sound=True, duration=10),
    )

    prompt: Prompt = Field(max_length=1000)
    duration: Short = 5
    sound: bool = False


class Kling26Text(Kling26):
    """Kling 2.6: from words, with its own sound if wanted."""

    id = "kling-2.6/text-to-video"
    task_type = "text-to-video"
    aliases = ("kling-2.6",)

    aspect_ratio: Ratio = "1:1"


class Kling26Image(Kling26):
    """Kling 2.6: from a picture, with its own sound if wanted."""

    id = "kling-2.6/image-to-video"
    task_type = "image-to-video"

    image: Annotated[Picture, InList] = wire("image_urls")


class Shot(Part):
    """One shot of a scene."""

    prompt: Prompt = Field(max_length=500)
    duration: Annotated[int, Field(ge=1, le=12)]


class Element(Part):
    """Somebody or something that prompts call @name."""

    name: str = Field(pattern=r"^\w+$")
    description: Prompt
    images: tuple[Annotated[Image, Limits("jpeg png mp4 quicktime")], ...] = wire(
        "element_input_urls", min_length=1, max_length=4, description="2 to 4 pictures, or one clip."
    )
    voices: tuple[Annotated[Audio, Limits(seconds=(5, 30))], ...] | None = wire("element_input_audio_urls", None)

    @model_validator(mode="after")
    def pictures_or_one_clip(self) -> Self:
        """KIE takes one file only if it is a clip, and several only if they are pictures."""
        formats = "mp4 quicktime" if len(self.images) == 1 else "jpeg png"
        for file in self.images:
            file.limits = replace(file.limits, formats=formats)
        return self


class ClipElement(Element):
    """An element that may be some seconds of a clip."""

    start_time: int | None = Field(None, ge=0, description="ms, for a clip.")
    end_time: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def three_to_eight_seconds_of_a_clip(self) -> Self:
        """KIE takes 3 to 8 s of a clip."""
        if len(self.images) > 1 and (self.start_time is not None or self.end_time is not None):
            raise ValueError("start_time and end_time are for a single clip: leave them out with pictures")
        if self.start_time is not None and self.end_time is None:
            raise ValueError("start_time needs end_time, 3000 to 8000 ms later")
        if self.end_time is not None and not 3000 <= self.end_time - (self.start_time or 0) <= 8000:
            raise ValueError("end_time must be 3000 to 8000 ms after start_time")
        return self


class SmallElement(ClipElement):
    """An element of small files."""

    images: tuple[Annotated[Image, Limits("jpeg png mp4 quicktime", mb=10)], ...] = wire(
        "element_input_urls", min_length=1, max_length=4, description="2 to 4 pictures, or one clip."
    )


MENTION = re.compile(r"@(\w+)")
MENTION_LENGTH = 37


class Kling30(TwoFrames, Kling):
    """Kling 3.0: 3 to 15 s up to 4K, one scene or up to five shots, recurring elements."""

    id = "kling-3.0/video"
    task_type = "text-to-video"
    aliases = ("kling-3.0", "kling-3", "kling")
    price = per(
        "second",
        rate(14, resolution="720p", sound=False),
        rate(20, resolution="720p", sound=True),
        rate(18, resolution="1080p", sound=False),
        rate(27, resolution="1080p", sound=True),
        rate(67, resolution="4K"),
    )

    prompt: Prompt | None = None
    image: Annotated[Image, InList] | None = wire("image_urls", None)
    last_image: Image | None = None
    aspect_ratio: Ratio = "16:9"
    duration: Long = 5
    resolution: Mode = wire("mode", "1080p")
    sound: bool = False
    shots: tuple[Shot, ...] | None = wire(
        "multi_prompt", None, min_length=1, max_length=5, description="Instead of prompt; seconds add up to duration."
    )
    elements: tuple[SmallElement, ...] | None = wire("kling_elements", None, min_length=1, max_length=3)

    @model_validator(mode="after")
    def prompt_or_shots(self) -> Self:
        """One scene is a prompt, several are shots."""
        if bool(self.prompt) == bool(self.shots):
            raise ValueError("give either prompt or shots")
        if self.shots and sum(shot.duration for shot in self.shots) != self.duration:
            raise ValueError(f"the shots must add up to duration, {self.duration} s")
        if self.last_image and (self.shots or not self.image):
            raise ValueError("last_image needs image, and goes with prompt, not with shots")
        return self

    @model_validator(mode="after")
    def elements_are_known(self) -> Self:
        """Every @name in a prompt is an element's, and elements need a first frame."""
        texts = [shot.prompt for shot in self.shots or ()] or [self.prompt or ""]
        named = {name for text in texts for name in MENTION.findall(text)} if self.elements else set[str]()
        if unknown := named - {element.name for element in self.elements or ()}:
            raise ValueError(f"no element is called {', '.join(sorted(unknown))}")
        if named and not self.image:
            raise ValueError("a prompt that names an element needs image")
        if any(len(MENTION.sub("@" * MENTION_LENGTH, text)) > 500 for text in texts if self.shots and named):
            raise ValueError(f"a shot's prompt has at most 500 characters, each @name counting as {MENTION_LENGTH}")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """KIE wants all of prompt, multi_shots and multi_prompt, whichever is used."""
        return {"prompt": "", "multi_prompt": [], "multi_shots": bool(self.shots), **super().sent(resolve)}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Of prompt and shots, multi_shots tells which one KIE reads."""
        given = super().received(fields)
        several = given.pop("multi_shots", given.pop("multiShots", None))
        unread = "prompt" if several is True else "shots" if several is False else ""
        return {name: value for name, value in given.items() if name != unread and value not in ("", [])}


class Kling3Turbo(Kling):
    """The fields that both Kling 3.0 Turbo models share."""

    price = per("second", rate(18, resolution="720p"), rate(22.5, resolution="1080p"))

    prompt: Prompt = Field(max_length=2500)
    duration: Long = 5
    resolution: Literal["720p", "1080p"] = "720p"


class Kling3TurboText(Kling3Turbo):
    """Kling 3.0 Turbo: from words, 3 to 15 s, soon done."""

    id = "kling/v3-turbo-text-to-video"
    task_type = "text-to-video"
    aliases = ("kling-3.0-turbo", "kling-v3-turbo")

    aspect_ratio: Ratio = "16:9"


class Kling3TurboImage(Kling3Turbo):
    """Kling 3.0 Turbo: from a picture, 3 to 15 s, soon done."""

    id = "kling/v3-turbo-image-to-video"
    task_type = "image-to-video"

    image: Annotated[Picture, InList] = wire("image_urls")


class Avatar(Kling):
    """The fields that both avatars share."""

    task_type = "audio-to-video"
    usual_seconds = 240

    image: Picture = wire("image_url")
    audio: Annotated[Audio, Limits("mpeg wav x-wav aac mp4 ogg", mb=100, seconds=(0, 300))] = wire("audio_url")
    prompt: str = Field("", max_length=5000)


class AvatarStandard(Avatar):
    """Kling Avatar Standard: a portrait speaks or sings a recording, in 720p."""

    id = "kling/ai-avatar-standard"
    aliases = ("kling-avatar", "kling-ai-avatar", "kling-avatar-standard")
    price = per("second", 8, of=("audio",), note="KIE counts the seconds that come out.")


class AvatarPro(Avatar):
    """Kling Avatar Pro: a portrait speaks or sings a recording, in 1080p."""

    id = "kling/ai-avatar-pro"
    aliases = ("kling-avatar-pro",)
    price = per("second", 16, of=("audio",), note="KIE counts the seconds that come out.")


class Motion(Kling):
    """The fields that both motion models share."""

    task_type = "motion-control"
    usual_seconds = 240

    image: Annotated[Image, InList] = wire("input_urls")
    video: Annotated[Video, InList] = wire("video_urls")
    prompt: str | None = Field(None, max_length=2500)
    resolution: Literal["720p", "1080p"] = wire("mode", "720p")
    orientation: Literal["image", "video"] = wire(
        "character_orientation", "video", description="Whose the figure keeps; image: video of 10 s at most."
    )


class Motion26(Motion):
    """Kling 2.6: the figure in a picture moves as somebody does in a clip."""

    id = "kling-2.6/motion-control"
    aliases = ("kling-2.6-motion", "kling-motion", "kling-motion-control")
    price = per("second", rate(11, resolution="720p"), rate(18, resolution="1080p"), of=("video",))

    # KIE excludes 300; 65535 is JPEG's own bound.
    image: Annotated[Image, InList, Limits("jpeg png", mb=10, side_px=(301, 65535), ratio=(0.4, 2.5))] = wire(
        "input_urls"
    )
    video: Annotated[Video, InList, Limits("mp4 quicktime", mb=100, seconds=(3, 30))] = wire("video_urls")

    @model_validator(mode="after")
    def clip_is_short_for_the_pictures_orientation(self) -> Self:
        """A figure that keeps the picture's orientation moves for 10 s at most."""
        if self.orientation == "image":
            self.video.limits = replace(self.video.limits, seconds=(3, 10))
        return self


class Motion30(Motion):
    """Kling 3.0: the figure in a picture moves as somebody does in a clip, before either background."""

    id = "kling-3.0/motion-control"
    aliases = ("kling-3.0-motion",)
    price = per("second", rate(20, resolution="720p"), rate(27, resolution="1080p"), of=("video",))
    wants_callback = True

    background: Literal["input_video", "input_image"] = wire("background_source", "input_video")


VIDEO = Family(
    "kling_video",
    "Make a video, or animate a picture, with Kling: 3.0 by default, 2.5 turbo for less.",
    (
        Kling30,
        Kling3TurboText,
        Kling3TurboImage,
        Kling26Text,
        Kling26Image,
        Kling25Text,
        Kling25Image,
        Kling21Standard,
        Kling21Pro,
        Kling21MasterText,
        Kling21MasterImage,
    ),
)
AVATAR = Family(
    "kling_avatar",
    "Make a portrait speak or sing up to 5 minutes with Kling: 8 credits a second in 720p, pro 16 in 1080p.",
    (AvatarStandard, AvatarPro),
)
MOTION = Family(
    "kling_motion",
    "Make the figure in a picture move as in a clip with Kling, from 11 credits a second; both must show the torso.",
    (Motion26, Motion30),
)
