"""Hailuo (MiniMax): short videos from words or pictures."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Image, Limits, Number, Prompt, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate

Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]
Length = Annotated[Literal[6, 10], Number, AsText]


class Hailuo(KieModel):
    """A Hailuo model."""

    kind = "video"
    service = "hailuo/generate"
    usual_seconds = 150


class Hailuo02(Hailuo):
    """The fields that every Hailuo 02 model has."""

    # MiniMax has it on unless told otherwise; KIE documents no default.
    kie_defaults: ClassVar[dict[str, Any]] = {"prompt_expansion": True}

    prompt: Prompt = Field(max_length=1500)
    prompt_expansion: bool | None = wire("prompt_optimizer", None)


class Hailuo02TextStandard(Hailuo02):
    """Hailuo 02 Standard: from words, 768P."""

    id = "hailuo/02-text-to-video-standard"
    task_type = "text-to-video"
    aliases = ("hailuo-02-standard", "hailuo-02", "hailuo")
    price = per("second", 5)

    duration: Length = 6


class Hailuo02TextPro(Hailuo02):
    """Hailuo 02 Pro: from words, always 6 s in 1080P."""

    id = "hailuo/02-text-to-video-pro"
    task_type = "text-to-video"
    aliases = ("hailuo-02-pro",)
    price = per("video", 57)


class Hailuo02ImageStandard(Hailuo02):
    """Hailuo 02 Standard: from a first frame and, if given, to a last one."""

    id = "hailuo/02-image-to-video-standard"
    task_type = "image-to-video"
    price = per("second", rate(2, resolution="512P"), rate(5, resolution="768P"))

    image: Picture = wire("image_url")
    last_image: Picture | None = wire("end_image_url", None)
    duration: Length = 10
    resolution: Literal["512P", "768P"] = "768P"


class Hailuo02ImagePro(Hailuo02):
    """Hailuo 02 Pro: from a first frame and, if given, to a last one, always 6 s in 1080P."""

    id = "hailuo/02-image-to-video-pro"
    task_type = "image-to-video"
    price = per("video", 57)

    image: Picture = wire("image_url")
    last_image: Picture | None = wire("end_image_url", None)


class Hailuo23(Hailuo):
    """The fields that both Hailuo 2.3 models share."""

    task_type = "image-to-video"

    prompt: Prompt = Field(max_length=5000)
    image: Picture = wire("image_url")
    duration: Length = 6
    resolution: Literal["768P", "1080P"] = "768P"

    @model_validator(mode="after")
    def long_is_768p(self) -> Self:
        """10 s come in 768P only."""
        if self.duration == 10 and self.resolution == "1080P":
            raise ValueError("10 s come in 768P only: set duration to 6 or resolution to 768P")
        return self


class Hailuo23Standard(Hailuo23):
    """Hailuo 2.3 Standard: from a first frame, at a low price."""

    id = "hailuo/2-3-image-to-video-standard"
    aliases = ("hailuo-2.3-standard", "hailuo-2.3")
    price = per(
        "video",
        rate(30, duration=6, resolution="768P"),
        rate(50, duration=10, resolution="768P"),
        rate(50, duration=6, resolution="1080P"),
    )


class Hailuo23Pro(Hailuo23):
    """Hailuo 2.3 Pro: from a first frame, the finest motion."""

    id = "hailuo/2-3-image-to-video-pro"
    aliases = ("hailuo-2.3-pro",)
    price = per(
        "video",
        rate(45, duration=6, resolution="768P"),
        rate(90, duration=10, resolution="768P"),
        rate(80, duration=6, resolution="1080P"),
    )


VIDEO = Family(
    "hailuo_video",
    "Make a silent video with Hailuo (MiniMax): 02 from words or frames, 2.3 from a first frame; pro is finer.",
    (Hailuo02TextStandard, Hailuo23Standard, Hailuo23Pro, Hailuo02TextPro, Hailuo02ImageStandard, Hailuo02ImagePro),
)
