"""Grok Imagine (xAI): video and pictures, and what can be made of them afterwards."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.arguments import is_given
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Image, Kind, Limits, Number, Prompt, ResultRef, Source, TaskRef, wire
from kie_mcp.catalog.joined_arguments import fill_index
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import FREE, per, rate

Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]
LargePicture = Annotated[Image, Limits("jpeg png webp", mb=20)]
Ratio = Literal["2:3", "3:2", "1:1", "16:9", "9:16"]
AnyRatio = Literal["2:3", "3:2", "1:1", "16:9", "9:16", "auto"]
Mode = Literal["fun", "normal", "spicy"]
Resolution = Literal["480p", "720p", "1080p"]
Seconds = Annotated[int, AsText, Field(ge=6, le=30)]

PER_SECOND = per("second", rate(2.4, resolution="480p"), rate(4.5, resolution="720p"), rate(8, resolution="1080p"))


ONE_PICTURE = "One picture keeps its own."
AnyVideoTask = Annotated[TaskRef, Source("a finished KIE video task", kind="video"), Field(description="Of a video.")]
PICTURES_2 = " ".join(f"grok-imagine-image-2-0/{mode}" for mode in ("text-to-image", "image-edit", "segment-edit"))
"""The models of Image 2.0 that make pictures."""


class GrokVideo(KieModel):
    """A Grok video model."""

    kind = "video"
    service = "grok/generate"
    usual_seconds = 90


class TextToVideo(GrokVideo):
    """Grok Imagine: from words, 6 to 30 s, with sound."""

    id = "grok-imagine/text-to-video"
    task_type = "text-to-video"
    aliases = ("grok-imagine", "grok-imagine-video", "grok-video", "grok")
    price = PER_SECOND

    prompt: Prompt = Field(max_length=5000)
    aspect_ratio: Ratio = "2:3"
    duration: Seconds = 6
    resolution: Resolution = "480p"
    mode: Mode = "normal"


class FromImages(GrokVideo):
    """What holds for every video from pictures."""

    task_type = "image-to-video"

    images: tuple[Picture, ...] | None = wire(
        "image_urls", None, min_length=1, max_length=7, description="@image1, @image2, … in the prompt."
    )
    aspect_ratio: AnyRatio | None = Field(None, description=ONE_PICTURE)
    resolution: Resolution = "480p"

    @model_validator(mode="after")
    def several_pictures_are_small(self) -> Self:
        """Several pictures exclude 1080p."""
        if len(self.images or ()) > 1 and self.resolution == "1080p":
            raise ValueError("1080p takes one picture: give one, or choose 720p")
        return self


class ImageToVideo(FromImages):
    """Grok Imagine: from up to seven pictures, or from one that Grok made; 6 to 30 s, with sound."""

    id = "grok-imagine/image-to-video"
    price = PER_SECOND
    kie_defaults: ClassVar[dict[str, Any]] = {"aspect_ratio": "16:9", "image_index": 0}

    prompt: Prompt | None = Field(None, max_length=5000)
    aspect_ratio: Ratio | None = Field(None, description=ONE_PICTURE)
    image_task: Annotated[ResultRef, Source("a Grok image task", "grok_image", "image")] | None = wire(
        "task_id", None, description="Of Grok's pictures, instead of images."
    )
    image_index: int | None = wire("index", None, ge=0, le=5, description="Which of them, from 0.")
    duration: Seconds = 6
    mode: Mode = "normal"

    @model_validator(mode="after")
    def pictures_come_one_way(self) -> Self:
        """Files or an earlier task of Grok's, which alone allows everything."""
        if bool(self.images) == bool(self.image_task):
            raise ValueError("give either images or image_task")
        if self.images and self.image_index is not None:
            raise ValueError("image_index goes with image_task; leave it out beside images")
        if self.images and self.mode == "spicy":
            raise ValueError("mode spicy does not take images: choose fun or normal, or give image_task")
        return self

    @classmethod
    def join(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The number of a result is its index."""
        return fill_index(super().join(given), "image_task", "image_index")

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """KIE's example has a task beside the pictures, of which its page says that they exclude each other."""
        given = super().received(fields)
        if is_given(given.get("images"), {}):
            return {name: value for name, value in given.items() if name not in ("image_task", "image_index")}
        return given


class Preview15(FromImages):
    """Grok Imagine 1.5, a preview: from pictures, words or both, 1 to 15 s, with sound."""

    id = "grok-imagine-video-1-5-preview"
    aliases = ("grok-imagine-video-1.5", "grok-imagine-1.5")
    price = per("second", *PER_SECOND.rates[:2], note="No figure for 1080p.")

    prompt: Prompt | None = Field(None, max_length=4096)
    images: tuple[LargePicture, ...] | None = wire("image_urls", None, min_length=1, max_length=7)
    aspect_ratio: AnyRatio = Field("auto", description=ONE_PICTURE)
    duration: Annotated[int, Field(ge=1, le=15)] = 8

    @model_validator(mode="after")
    def something_to_show(self) -> Self:
        """Neither is required, but one is needed."""
        if not (self.prompt or self.images):
            raise ValueError("give prompt, images, or both")
        return self


class Extend(GrokVideo):
    """Grok Imagine: a finished video goes on for 6 or 10 s."""

    id = "grok-imagine/extend"
    task_type = "video-extend"
    aliases = ("grok-extend",)
    service = "grok/extend"
    price = per(
        "second", rate(2.4, source="480p"), rate(4.5, source="720p"), note="By the resolution of the earlier video."
    )

    task_id: AnyVideoTask
    prompt: Prompt
    continue_at: float = wire("extend_at", 2, ge=2, description="Second of the video to go on from.")
    duration: Annotated[Literal[6, 10], Number, AsText] = wire("extend_times", 6)


class Upscale(GrokVideo):
    """Grok Imagine: a finished video in 720p or 1080p."""

    id = "grok-imagine/upscale"
    task_type = "upscale"
    aliases = ("grok-upscale",)
    service = "grok/upscale"
    price = per(
        "video",
        rate(10, resolution="720p"),
        rate(20, resolution="1080p", source="720p"),
        rate(30, resolution="1080p", source="480p"),
        note="By the resolution of the earlier video.",
    )

    task_id: AnyVideoTask
    resolution: Literal["720p", "1080p"] = "720p"


class GrokImage(KieModel):
    """A Grok picture model."""

    kind: ClassVar[Kind] = "image"
    task_type = "image-to-image"
    service = "grok-image/generate"
    usual_seconds = 30


class Image2(GrokImage):
    """Grok Imagine Image 2.0: from words."""

    id = "grok-imagine-image-2-0/text-to-image"
    task_type = "text-to-image"
    aliases = ("grok-imagine-image-2-0", "grok-imagine-image-2.0", "grok-imagine-image", "grok-image")
    price = per("image", 4)

    prompt: Prompt
    aspect_ratio: Ratio = "1:1"


class Image2Edit(GrokImage):
    """Grok Imagine Image 2.0: changes or combines up to five pictures."""

    id = "grok-imagine-image-2-0/image-edit"
    aliases = ("grok-image-edit",)
    price = per("image", 4)

    prompt: Prompt | None = Field(None, max_length=390000)
    images: tuple[Picture, ...] = wire("image_urls", min_length=1, max_length=5)
    aspect_ratio: AnyRatio = "auto"


class SegmentEdit(GrokImage):
    """Grok Imagine Image 2.0: a picture of Grok's changed by words, whole or in the segments named."""

    id = "grok-imagine-image-2-0/segment-edit"
    aliases = ("grok-segment-edit",)
    price = per("image", 4)

    task_id: Annotated[
        TaskRef,
        Source("a Grok image task of 2.0, or a segment map", f"{PICTURES_2} grok-imagine-image-2-0/segment-map"),
    ] = Field(description="Of a 2.0 picture, or of a segment map of any.")
    prompt: Prompt
    segments: tuple[Annotated[int, Field(ge=1)], ...] | None = wire(
        "mask_indexs", None, min_length=1, description="What to change: places in the segment map, from 1."
    )


class SegmentMap(GrokImage):
    """Grok Imagine Image 2.0: the segments of a picture, which an edit can then name."""

    id = "grok-imagine-image-2-0/segment-map"
    kind = "text"
    task_type = "segmentation"
    aliases = ("grok-segment-map",)
    service = "grok-image/segment-map"
    price = FREE

    task_id: Annotated[TaskRef, Source("a Grok image task of 2.0", PICTURES_2, "image")] | None = Field(
        None, description="Of a 2.0 picture."
    )
    image: Image | None = wire("image_url", None)

    @model_validator(mode="after")
    def one_picture(self) -> Self:
        """Grok's own, or a file."""
        if bool(self.task_id) == bool(self.image):
            raise ValueError("give either task_id or image")
        return self


class TextToImage(GrokImage):
    """Grok Imagine: two pictures from words, quick or fine."""

    id = "grok-imagine/text-to-image"
    task_type = "text-to-image"
    aliases = ("grok-imagine-1-image",)
    price = per("task", rate(4, fine=False), rate(5, fine=True), note="One task makes two pictures.")

    prompt: Prompt = Field(max_length=5000)
    aspect_ratio: Ratio = "1:1"
    fine: bool = wire("enable_pro", default=False, description="Quality before speed.")


class ImageToImage(GrokImage):
    """Grok Imagine: a picture from up to five others."""

    id = "grok-imagine/image-to-image"
    price = per("image", 4)

    prompt: Prompt | None = Field(None, max_length=390000)
    images: tuple[Picture, ...] = wire(
        "image_urls", min_length=1, max_length=5, description="@image1, @image2, … in the prompt."
    )


VIDEO = Family(
    "grok_video",
    "Make a video with sound with Grok Imagine (xAI); task_id enlarges a finished one, with prompt extends it.",
    (TextToVideo, ImageToVideo, Preview15, Upscale, Extend),
)
IMAGE = Family(
    "grok_image",
    "Make or change a picture with Grok Imagine (xAI); segment-map finds the parts that segment-edit can change.",
    (Image2, ImageToImage, Image2Edit, SegmentEdit, SegmentMap, TextToImage),
)
