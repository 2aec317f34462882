"""HappyHorse (Alibaba): video from words and pictures, and videos changed by words."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, InList, Limits, Prompt, Seed, Video, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate

CHINESE = re.compile("[\u3400-\u9fff]")
LONGEST_PROMPT = 5000

# KIE names the shortest side only; no JPEG has more than the other.
FRAME_SIDE = (300, 65535)
REFERENCE_SIDE = (400, 65535)
RATIO = (0.4, 2.5)

Seconds = Annotated[int, Field(ge=3, le=15)]


class HappyHorse(KieModel):
    """The fields that every HappyHorse model has."""

    kind = "video"
    service = "happyhorse/generate"
    usual_seconds = 120
    price = per("second", rate(28, resolution="720p"), rate(48, resolution="1080p"))

    prompt: Prompt | None = Field(None, max_length=LONGEST_PROMPT)
    resolution: Literal["720p", "1080p"] = "1080p"

    @model_validator(mode="after")
    def chinese_counts_twice(self) -> Self:
        """KIE cuts off what is longer."""
        if len(self.prompt or "") + len(CHINESE.findall(self.prompt or "")) > LONGEST_PROMPT:
            raise ValueError(f"prompt has at most {LONGEST_PROMPT} characters, a Chinese one counting as two")
        return self


class HappyHorse11(HappyHorse):
    """The fields that every HappyHorse 1.1 model has."""

    price = per("second", rate(22.5, resolution="720p"), rate(29, resolution="1080p"))

    duration: Seconds = 5


class Text11(HappyHorse11):
    """HappyHorse 1.1: from words."""

    id = "happyhorse-1-1/text-to-video"
    task_type = "text-to-video"
    aliases = ("happyhorse-1.1", "happyhorse-1-1", "happyhorse")

    prompt: Prompt = Field(max_length=4999)
    aspect_ratio: Literal["16:9", "9:16", "1:1", "4:3", "3:4", "4:5", "5:4", "9:21", "21:9"] = "16:9"


class Image11(HappyHorse11):
    """HappyHorse 1.1: from a first frame."""

    id = "happyhorse-1-1/image-to-video"
    task_type = "image-to-video"

    image: Annotated[Image, Limits("jpeg png webp", mb=20, side_px=FRAME_SIDE, ratio=RATIO), InList] = wire(
        "image_urls"
    )


class Reference11(HappyHorse11):
    """HappyHorse 1.1: with who and what up to nine pictures show."""

    id = "happyhorse-1-1/reference-to-video"
    task_type = "reference-to-video"

    prompt: Prompt = Field(max_length=LONGEST_PROMPT)
    images: tuple[Annotated[Image, Limits("jpeg png webp", mb=20, side_px=REFERENCE_SIDE)], ...] = wire(
        "reference_image",
        min_length=1,
        max_length=9,
        description="[Image 1] in the prompt; with 1.0: character1.",
    )
    aspect_ratio: Literal["16:9", "9:16", "3:4", "4:3", "4:5", "5:4", "1:1", "9:21", "21:9"] = "16:9"


class HappyHorse1(HappyHorse):
    """The fields that every HappyHorse 1.0 model has."""

    kie_defaults: ClassVar[dict[str, Any]] = {"seed": 0}

    seed: Seed | None = None


class Text1(HappyHorse1):
    """HappyHorse 1.0: from words."""

    id = "happyhorse/text-to-video"
    task_type = "text-to-video"
    aliases = ("happyhorse-1.0", "happyhorse-1-0")

    prompt: Prompt = Field(max_length=LONGEST_PROMPT)
    duration: Seconds = 5
    aspect_ratio: Literal["16:9", "9:16", "1:1", "4:3", "3:4"] = "16:9"


class Image1(HappyHorse1):
    """HappyHorse 1.0: from a first frame."""

    id = "happyhorse/image-to-video"
    task_type = "image-to-video"

    image: Annotated[Image, Limits("jpeg png webp", mb=10, side_px=FRAME_SIDE, ratio=RATIO), InList] = wire(
        "image_urls"
    )
    duration: Seconds = 5


class Reference1(HappyHorse1):
    """HappyHorse 1.0: with who and what up to nine pictures show."""

    id = "happyhorse/reference-to-video"
    task_type = "reference-to-video"

    prompt: Prompt = Field(max_length=LONGEST_PROMPT)
    images: tuple[Annotated[Image, Limits("jpeg png webp", mb=10, side_px=REFERENCE_SIDE)], ...] = wire(
        "reference_image", min_length=1, max_length=9
    )
    duration: Seconds = 5
    aspect_ratio: Literal["16:9", "9:16", "1:1", "4:3", "3:4"] = "16:9"


class Edit(HappyHorse1):
    """HappyHorse 1.0: a video of 3 to 60 s changed by words and, if given, pictures."""

    id = "happyhorse/video-edit"
    task_type = "video-edit"
    aliases = ("happyhorse-edit",)
    service = "happyhorse/edit"
    # Once for the video, and once for the result, which is as long.
    price = per(
        "second",
        *HappyHorse.price.rates,
        of=("video", "video"),
        note="The seconds of video count as well as the result's.",
    )

    prompt: Prompt = Field(max_length=LONGEST_PROMPT)
    video: Annotated[Video, Limits("mp4 quicktime", mb=100, seconds=(3, 60), side_px=(320, 2160), ratio=RATIO)] = wire(
        "video_url"
    )
    images: tuple[Annotated[Image, Limits("jpeg png webp", mb=10, side_px=FRAME_SIDE, ratio=RATIO)], ...] | None = wire(
        "reference_image", None, max_length=5
    )
    audio_setting: Literal["auto", "origin"] = Field("auto", description="origin: the video's.")


VIDEO = Family(
    "happyhorse_video",
    "Make a video with HappyHorse (Alibaba) from words, a first frame or references, or change one with video-edit.",
    (Text11, Image11, Reference11, Text1, Image1, Reference1, Edit),
)
