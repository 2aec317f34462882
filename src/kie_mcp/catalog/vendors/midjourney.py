"""Midjourney: four pictures a task, or a picture that moves, and what can follow on them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, Kind, Number, Prompt, ResultRef, Source, aliases, wire
from kie_mcp.catalog.joined_arguments import fill_index
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import UNPUBLISHED

Ratio = Literal["1:2", "9:16", "2:3", "3:4", "5:6", "6:5", "4:3", "3:2", "1:1", "16:9", "2:1"]
Version = Annotated[
    Literal["7", "6.1", "6", "5.2", "5.1", "niji6"],
    aliases({"v7": "7", "v6.1": "6.1", "v6": "6", "v5.2": "5.2", "v5.1": "5.1", "niji 6": "niji6"}),
]
Speed = Annotated[Literal["relaxed", "fast", "turbo"], aliases({"relax": "relaxed"})]


OF_ONE_TASK = frozenset({"images", "fileUrls", "speed", "ow", "omni_weight", "videoBatchSize", "count", "motion"})
"""The fields that only some tasks have, in KIE's words and in ours."""


class Midjourney(KieModel):
    """A kind of Midjourney task."""

    kind: ClassVar[Kind] = "image"
    price = UNPUBLISHED
    routes = ("midjourney",)
    service = "mj/generate"
    legacy = "nano_banana_image"
    usual_seconds = 60

    prompt: Prompt = Field(max_length=2000)
    aspect_ratio: Ratio | None = wire("aspectRatio", None)
    version: Version | None = None
    variety: Annotated[int, Field(ge=0, le=100, multiple_of=5)] | None = None
    stylization: Annotated[int, Field(ge=0, le=1000)] | None = None
    weirdness: Annotated[int, Field(ge=0, le=3000)] | None = None
    watermark: str | None = wire("waterMark", None)
    translate: bool = wire("enableTranslation", default=False, description="Needed unless prompt is English.")

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """KIE's example has the fields of every task, of which a task reads its own; one picture has its own name."""
        given = super().received(fields)
        if one := given.pop("fileUrl", None):
            given.setdefault("images", [one])
        return {name: value for name, value in given.items() if name in cls.model_fields or name not in OF_ONE_TASK}


class MidjourneyText(Midjourney):
    """Midjourney: four pictures from words."""

    id = "mj_txt2img"
    task_type = "text-to-image"
    aliases = ("midjourney", "mj")
    constants: ClassVar[dict[str, Any]] = {"taskType": "mj_txt2img"}

    speed: Speed | None = None


class MidjourneyImages(Midjourney):
    """The fields of the tasks that start from pictures."""

    task_type = "image-to-image"

    images: tuple[Image, ...] = wire("fileUrls", min_length=1)


class MidjourneyImage(MidjourneyImages):
    """Midjourney: four pictures from pictures and words."""

    id = "mj_img2img"
    aliases = ("midjourney-image",)
    constants: ClassVar[dict[str, Any]] = {"taskType": "mj_img2img"}

    speed: Speed | None = None


class MidjourneyStyle(MidjourneyImages):
    """Midjourney: four pictures in the style of given ones."""

    id = "mj_style_reference"
    constants: ClassVar[dict[str, Any]] = {"taskType": "mj_style_reference"}

    speed: Speed | None = None


class MidjourneyOmni(MidjourneyImages):
    """Midjourney: four pictures with the person or thing of a given one."""

    id = "mj_omni_reference"
    constants: ClassVar[dict[str, Any]] = {"taskType": "mj_omni_reference"}

    omni_weight: Annotated[int, Field(ge=1, le=1000)] | None = wire("ow", None)


class MidjourneyVideo(MidjourneyImages):
    """Midjourney: a picture comes alive."""

    id = "mj_video"
    kind = "video"
    task_type = "image-to-video"
    aliases = ("midjourney-video",)
    legacy = "kling_video"
    constants: ClassVar[dict[str, Any]] = {"taskType": "mj_video"}
    usual_seconds = 150

    images: tuple[Image, ...] = wire("fileUrls", min_length=1, max_length=1)
    motion: Literal["high", "low"] = "high"
    count: Annotated[Literal[1, 2, 4], Number] = wire("videoBatchSize", 1)


class MidjourneyVideoHd(MidjourneyVideo):
    """Midjourney: a picture comes alive, in HD."""

    id = "mj_video_hd"
    aliases = ("midjourney-video-hd",)
    constants: ClassVar[dict[str, Any]] = {"taskType": "mj_video_hd"}


MAKERS = "midjourney_image midjourney_follow_up"
"""The tools whose tasks a follow-up takes."""


class FollowUp(KieModel):
    """What is made of one result of an earlier task."""

    kind: ClassVar[Kind] = "image"
    price = UNPUBLISHED

    task_id: Annotated[ResultRef, Source("a Midjourney image task", MAKERS, "image")] = wire(
        "taskId", description="Of midjourney_image."
    )
    index: Annotated[int, Field(ge=0, le=3)] = wire("imageIndex", description="Result, 0 is the first.")
    watermark: str | None = wire("waterMark", None)

    @classmethod
    def join(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The number of a result is its index."""
        return fill_index(super().join(given), "task_id", "index")


class MidjourneyUpscale(FollowUp):
    """Midjourney: one of four pictures, larger."""

    id = "mj_upscale"
    task_type = "image-upscale"
    aliases = ("midjourney-upscale",)
    routes = ("midjourney-upscale",)
    service = "mj/upscale"
    legacy = "recraft_upscale"


class MidjourneyVary(FollowUp):
    """Midjourney: four variations of one of four pictures."""

    id = "mj_vary"
    task_type = "image-to-image"
    aliases = ("midjourney-vary",)
    routes = ("midjourney-vary",)
    service = "mj/vary"
    legacy = "nano_banana_image"


class MidjourneyExtend(FollowUp):
    """The fields of both ways to make a video longer."""

    kind = "video"
    task_type = "extend-video"
    routes = ("midjourney-extend",)
    service = "mj/extend"
    legacy = "kling_video"
    usual_seconds = 150

    task_id: Annotated[ResultRef, Source("a Midjourney video task", MAKERS, "video")] = wire(
        "taskId", description="Of midjourney_image."
    )
    index: Annotated[int, Field(ge=0, le=3)] = wire("index", description="Result, 0 is the first.")


class MidjourneyExtendManual(MidjourneyExtend):
    """Midjourney: a video goes on, as the prompt says."""

    id = "mj_video_extend_manual"
    constants: ClassVar[dict[str, Any]] = {"taskType": "mj_video_extend_manual"}

    prompt: Prompt = Field(max_length=2000)


class MidjourneyExtendAuto(MidjourneyExtend):
    """Midjourney: a video goes on by itself."""

    id = "mj_video_extend_auto"
    constants: ClassVar[dict[str, Any]] = {"taskType": "mj_video_extend_auto"}


IMAGE = Family(
    "midjourney_image",
    "Make four pictures with Midjourney, or a video of one picture.",
    (MidjourneyText, MidjourneyImage, MidjourneyStyle, MidjourneyOmni, MidjourneyVideo, MidjourneyVideoHd),
    rare=("variety", "weirdness", "watermark", "speed", "omni_weight", "motion", "count"),
)

FOLLOW_UP = Family(
    "midjourney_follow_up",
    "Upscale or vary one of Midjourney's four pictures, or extend its video.",
    (MidjourneyUpscale, MidjourneyVary, MidjourneyExtendManual, MidjourneyExtendAuto),
)
