"""Kling (Kuaishou): video from words, from pictures, from a list of shots."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Audio, Image, InList, Limits, Number, Prompt, wire
from kie_mcp.catalog.model import KieModel, Part, Resolve
from kie_mcp.catalog.price import per, rate

Picture = Annotated[Image, Limits("jpeg png", mb=10)]
Ratio = Literal["16:9", "9:16", "1:1"]
Short = Annotated[Literal[5, 10], Number, AsText]
Guidance = Annotated[float, Field(ge=0, le=1)]


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
    does = "image-to-video"
    aliases = ("kling-2.1-standard", "kling-2.1")
    price = per("video", rate(25, duration=5), rate(50, duration=10))

    image: Picture = wire("image_url")


class Kling21Pro(Kling2):
    """Kling 2.1 Pro: from a first frame and, if given, to a last one."""

    id = "kling/v2-1-pro"
    does = "image-to-video"
    aliases = ("kling-2.1-pro",)
    price = per("video", rate(50, duration=5), rate(100, duration=10))

    image: Picture = wire("image_url")
    last_image: Picture | None = wire("tail_image_url", None)


class Kling21MasterText(Kling2):
    """Kling 2.1 Master: from words, the finest and dearest of 2.1."""

    id = "kling/v2-1-master-text-to-video"
    does = "text-to-video"
    aliases = ("kling-2.1-master",)
    price = per("video", rate(160, duration=5), rate(320, duration=10))

    aspect_ratio: Ratio = "16:9"


class Kling21MasterImage(Kling2):
    """Kling 2.1 Master: from a picture, the finest and dearest of 2.1."""

    id = "kling/v2-1-master-image-to-video"
    does = "image-to-video"
    price = per("video", rate(160, duration=5), rate(320, duration=10))

    image: Picture = wire("image_url")


class Kling25Text(Kling2):
    """Kling 2.5 Turbo: from words, quick and cheap for its quality."""

    id = "kling/v2-5-turbo-text-to-video-pro"
    does = "text-to-video"
    aliases = ("kling-2.5-turbo", "kling-2.5")
    price = per("video", rate(42, duration=5), rate(84, duration=10))

    prompt: Prompt = Field(max_length=2500)
    negative_prompt: str | None = Field(None, max_length=2500)
    aspect_ratio: Ratio = "16:9"


class Kling25Image(Kling2):
    """Kling 2.5 Turbo: from a first frame and, if given, to a last one."""

    id = "kling/v2-5-turbo-image-to-video-pro"
    does = "image-to-video"
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
    does = "text-to-video"
    aliases = ("kling-2.6",)

    aspect_ratio: Ratio = "1:1"


class Kling26Image(Kling26):
    """Kling 2.6: from a picture, with its own sound if wanted."""

    id = "kling-2.6/image-to-video"
    does = "image-to-video"

    image: Annotated[Picture, InList] = wire("image_urls")


class Shot(Part):
    """One shot of a scene."""

    prompt: Prompt = Field(max_length=500)
    duration: Annotated[int, Field(ge=1, le=12)]


class Element(Part):
    """Somebody or something that prompts call @name."""

    name: str = Field(pattern=r"^\w+$")
    description: str
    images: tuple[Annotated[Image, Limits("jpeg png mp4 quicktime", mb=10)], ...] = wire(
        "element_input_urls", min_length=1, max_length=4, description="2 to 4 pictures, or one clip."
    )
    voices: tuple[Annotated[Audio, Limits(seconds=(5, 30))], ...] | None = wire("element_input_audio_urls", None)
    start_time: int | None = Field(None, ge=0, description="ms, for a clip.")
    end_time: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def three_to_eight_seconds_of_a_clip(self) -> Self:
        """KIE takes 3 to 8 s of a clip."""
        if self.end_time is not None and not 3000 <= self.end_time - (self.start_time or 0) <= 8000:
            raise ValueError("end_time must be 3000 to 8000 ms after start_time")
        return self


MENTION = re.compile(r"@(\w+)")
MENTION_LENGTH = 37


class Kling30(Kling):
    """Kling 3.0: 3 to 15 s up to 4K, one scene or up to five shots, recurring elements."""

    id = "kling-3.0/video"
    does = "text-to-video"
    aliases = ("kling-3.0", "kling-3", "kling")
    price = per(
        "second",
        rate(14, mode="std", sound=False),
        rate(20, mode="std", sound=True),
        rate(18, mode="pro", sound=False),
        rate(27, mode="pro", sound=True),
        rate(67, mode="4K"),
    )

    prompt: Prompt | None = None
    image: Annotated[Image, InList] | None = wire("image_urls", None)
    last_image: Image | None = None
    aspect_ratio: Ratio = "16:9"
    duration: Annotated[int, AsText, Field(ge=3, le=15)] = 5
    mode: Literal["std", "pro", "4K"] = Field("pro", description="720p, 1080p, 4K.")
    sound: bool = False
    shots: tuple[Shot, ...] | None = wire(
        "multi_prompt", None, min_length=1, max_length=5, description="Instead of prompt; seconds add up to duration."
    )
    elements: tuple[Element, ...] | None = wire("kling_elements", None, min_length=1, max_length=3)

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
        """KIE wants all of prompt, multi_shots and multi_prompt, whichever is used, and the frames in one list."""
        fields = super().sent(resolve)
        if last := fields.pop("last_image", None):
            fields["image_urls"].append(last)
        return {"prompt": "", "multi_prompt": [], "multi_shots": bool(self.shots), **fields}


VIDEO = Family(
    "kling_video",
    "Make a video with Kling (Kuaishou): 3.0 by default, 2.5 turbo for less.",
    (
        Kling30,
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
