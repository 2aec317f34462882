"""Runway: Gen-3 Alpha makes videos and continues them, Aleph edits them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AnySeed, AsText, Image, Number, Prompt, Source, TaskRef, Video, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import UNPUBLISHED, per, rate


class Runway(KieModel):
    """A Runway model."""

    kind = "video"

    prompt: Prompt
    watermark: str | None = wire("waterMark", None)

    def route_ids(self) -> tuple[str, ...]:
        """A watermark takes the product API: KIE's two generations do not spell it alike."""
        return self.routes[:1] if self.watermark else self.routes


class Gen3(Runway):
    """Runway Gen-3 Alpha: 5 or 10 s, from words or a first frame."""

    id = "runway"
    task_type = "text-to-video"
    aliases = ("runway-gen-3", "runway-gen3", "gen-3-alpha", "gen-3")
    routes = ("runway", "jobs:runway")
    service = "runway/generate"
    usual_seconds = 90
    price = per(
        "video",
        rate(12, duration=5, resolution="720p"),
        rate(30, duration=10, resolution="720p"),
        rate(30, duration=5, resolution="1080p"),
    )

    prompt: Prompt = Field(max_length=1800)
    image: Image | None = wire("imageUrl", None)
    duration: Annotated[Literal[5, 10], Number, AsText] = 5
    resolution: Literal["720p", "1080p"] = wire("quality", "720p", description="1080p: 5 s only.")
    aspect_ratio: Literal["16:9", "4:3", "1:1", "3:4", "9:16"] = wire(
        "aspectRatio", "16:9", description="image overrides it."
    )

    def find_shape_source(self) -> Image | None:
        """Return nothing, as KIE itself takes the shape of the image."""
        return None

    @model_validator(mode="after")
    def long_is_720p(self) -> Self:
        """10 s come in 720p only."""
        if self.duration == 10 and self.resolution == "1080p":
            raise ValueError("10 s come in 720p only: set duration to 5 or resolution to 720p")
        return self


class Extend(Runway):
    """Runway Gen-3 Alpha: a video goes on, as the prompt says."""

    id = "runway/extend-ai-video"
    task_type = "extend-video"
    aliases = ("runway-extend",)
    routes = ("runway-extend", "jobs:runway/extend-ai-video")
    service = "runway/extend"
    usual_seconds = 90
    price = UNPUBLISHED

    task_id: Annotated[TaskRef, Source("a Runway generation task", "runway_video runway_extend", "video")] = wire(
        "taskId", description="Of runway_video."
    )
    resolution: Literal["720p", "1080p"] = wire("quality", "720p")


class Aleph(Runway):
    """Runway Aleph: edits a clip as the prompt says."""

    id = "runway/gen4-aleph"
    task_type = "video-to-video"
    aliases = ("aleph", "runway-aleph", "gen4-aleph")
    routes = ("aleph", "jobs:runway/gen4-aleph")
    service = "aleph/generate"
    usual_seconds = 180
    price = per("video", 110, note="From KIE's site of 2026-09-24.")

    video: Video = wire("videoUrl")
    image: Image | None = wire("referenceImage", None, description="A reference, e.g. for the style.")
    # Before Python 3.14, an optional choice has the order in which the same values were written first, as for Flux.
    aspect_ratio: Literal["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"] | None = wire("aspectRatio", None)
    seed: AnySeed | None = None


VIDEO = Family(
    "runway_video", "Make a video with Runway Gen-3 Alpha, from words or a first frame.", (Gen3,), rare=("watermark",)
)

EXTEND = Family("runway_extend", "Continue a video of runway_video as a prompt says.", (Extend,))

ALEPH = Family(
    "runway_aleph",
    "Change or edit a video with Runway Aleph: give it a style, remove or add an object, relight.",
    (Aleph,),
    rare=("watermark",),
)
