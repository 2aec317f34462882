"""Veo 3.1 (Google): video with its own sound, made longer or larger afterwards."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, Number, Prompt, RandomLeftOut, Source, TaskRef, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate


class Veo(KieModel):
    """A Veo 3.1 tier; only the product API can choose between them."""

    kind = "video"
    task_type = "text-to-video"
    routes: ClassVar[tuple[str, ...]] = ("veo", "jobs:veo-3-1")
    service = "veo/generate"
    usual_seconds = 180

    prompt: Prompt
    images: tuple[Image, ...] | None = wire(
        "imageUrls", None, min_length=1, max_length=3, description="First and last frame, or up to 3 references."
    )
    generation_type: Literal["TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"] | None = wire(
        "generationType", None, description="What images are; default frames."
    )
    aspect_ratio: Literal["16:9", "9:16", "Auto"] = "16:9"
    duration: Annotated[Literal[4, 6, 8], Number] = 8
    resolution: Literal["720p", "1080p", "4k"] = "720p"
    translate: bool = wire("enableTranslation", default=False)
    watermark: str | None = None

    @classmethod
    def hidden_fields(cls) -> dict[str, Mapping[str, Any]]:
        """The page's example has a seed, of which its schema knows nothing."""
        return super().hidden_fields() | {"seeds": {"type": "integer"}}

    def route_ids(self) -> tuple[str, ...]:
        """Only the product API can choose a tier; KIE does not tell which one the unified id bills."""
        return self.routes[:1]

    def find_shape_source(self) -> Image | None:
        """Return the first frame; references give no shape."""
        return self.images[0] if self.images and self.generation_type != "REFERENCE_2_VIDEO" else None

    @model_validator(mode="after")
    def images_fit_the_generation_type(self) -> Self:
        """Each generation type has its own number of images."""
        count = len(self.images or ())
        match self.generation_type:
            case "TEXT_2_VIDEO" if count:
                raise ValueError("TEXT_2_VIDEO takes no images; leave generation_type out to use them as frames")
            case "FIRST_AND_LAST_FRAMES_2_VIDEO" if count not in (1, 2):
                raise ValueError("FIRST_AND_LAST_FRAMES_2_VIDEO takes 1 or 2 images: first and last frame")
            case "REFERENCE_2_VIDEO" if not count:
                raise ValueError("REFERENCE_2_VIDEO takes 1 to 3 images")
            case "REFERENCE_2_VIDEO" if self.duration != 8:
                raise ValueError("REFERENCE_2_VIDEO makes 8 s: set duration to 8")
            case "REFERENCE_2_VIDEO" if self.id == "veo3":
                raise ValueError("REFERENCE_2_VIDEO works with veo3_fast or veo3_lite")
            case None if count > 2:
                raise ValueError("as frames, images are 1 or 2; for 3 set generation_type to REFERENCE_2_VIDEO")
            case _:
                return self


class Veo3Fast(Veo):
    """Veo 3.1 Fast: the usual choice."""

    id = "veo3_fast"
    aliases = ("veo3.1-fast", "veo-3.1-fast", "veo3-fast", "veo")
    constants: ClassVar[dict[str, Any]] = {"model": "veo3_fast"}
    price = per("video", rate(60, resolution="720p"), rate(65, resolution="1080p"), rate(180, resolution="4k"))


class Veo3(Veo):
    """Veo 3.1 Quality: the finest and dearest."""

    id = "veo3"
    aliases = ("veo3.1", "veo-3.1", "veo3.1-quality", "veo3-quality")
    constants: ClassVar[dict[str, Any]] = {"model": "veo3"}
    price = per("video", rate(250, resolution="720p"), rate(255, resolution="1080p"), rate(370, resolution="4k"))


class Veo3Lite(Veo):
    """Veo 3.1 Lite: the cheapest."""

    id = "veo3_lite"
    aliases = ("veo3.1-lite", "veo-3.1-lite", "veo3-lite")
    constants: ClassVar[dict[str, Any]] = {"model": "veo3_lite"}
    price = per("video", rate(30, resolution="720p"), rate(35, resolution="1080p"), rate(150, resolution="4k"))


class Veo31(Veo):
    """Veo 3.1 of any tier: KIE does not tell which one this id bills."""

    id = "veo-3-1"
    unlisted = True
    routes = ("jobs:veo-3-1",)
    price = per(
        "video",
        *(
            rate(each.credits, tier=tier, **dict(each.when))
            for tier, model in {"lite": Veo3Lite, "fast": Veo3Fast, "quality": Veo3}.items()
            for each in model.price.rates
        ),
    )


Made = Annotated[
    TaskRef,
    Source("a Veo generation task", "veo_video veo_extend", "video"),
    Field(description="Of veo_video."),
]


class Extend(KieModel):
    """Veo 3.1: a video goes on, as the prompt says."""

    id = "veo/extend"
    kind = "video"
    task_type = "extend-video"
    aliases = ("veo-extend", "veo3.1-extend")
    routes = ("veo-extend", "jobs:veo/extend")
    service = "veo/extend"
    usual_seconds = 180
    price = per("video", rate(60, tier="fast"), rate(250, tier="quality"), rate(30, tier="lite"))

    task_id: Made = wire("taskId")
    prompt: Prompt
    tier: Literal["fast", "quality", "lite"] = wire("model", "fast")
    seed: Annotated[int | None, Field(ge=10000, le=99999), RandomLeftOut] | None = wire("seeds", None)
    watermark: str | None = None

    def route_ids(self) -> tuple[str, ...]:
        """Only the product API can choose a tier; KIE does not tell which one the unified id bills."""
        return self.routes[:1]


class Upscale(KieModel):
    """The fields of both larger versions."""

    kind = "video"
    task_type = "video-upscale"
    service = "veo/upscale"

    task_id: Made = wire("taskId")
    index: Annotated[int, Field(ge=0)] = 0


class Upscale1080p(Upscale):
    """Veo 3.1: a video in 1080p."""

    id = "veo/get-1080p-video"
    aliases = ("veo-1080p",)
    routes = ("veo-1080p", "jobs:veo/get-1080p-video")
    usual_seconds = 120
    price = per("video", 5)


class Upscale4k(Upscale):
    """Veo 3.1: a video in 4K."""

    id = "veo/get-4k-video"
    aliases = ("veo-4k",)
    routes = ("veo-4k", "jobs:veo/get-4k-video")
    usual_seconds = 450
    price = per("video", 120)


VIDEO = Family(
    "veo_video",
    "Make a video with sound with Google's Veo 3.1, from words or images; veo3 is finest, lite cheapest.",
    (Veo3Fast, Veo3, Veo3Lite, Veo31),
    rare=("watermark",),
)
EXTEND = Family("veo_extend", "Continue a video of veo_video as a prompt says; do it before veo_upscale.", (Extend,))
UPSCALE = Family(
    "veo_upscale",
    "Get a Veo video in 1080p, the default, or in 4K. After 1080p it cannot be extended.",
    (Upscale1080p, Upscale4k),
)
