"""MiniMax H3: video from words, frames or references."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Audio, Image, Limits, Prompt, Video, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate

SIDE = (256, 5760)
RATIO = (0.4, 2.5)
FREE_PICTURES = 5
CREDITS_PER_PICTURE = 4

Picture = Annotated[Image, Limits("jpeg png webp heic heif", mb=30, side_px=SIDE, ratio=RATIO)]
Clip = Annotated[Video, Limits("mp4 quicktime", mb=50, seconds=(2, 15), total_seconds=15, side_px=SIDE, ratio=RATIO)]
Sound = Annotated[Audio, Limits("wav mpeg", mb=15, seconds=(2, 15), total_seconds=15)]


class MiniMax(KieModel):
    """The fields that every MiniMax H3 model has."""

    kind = "video"
    service = "minimax/generate"
    usual_seconds = 150
    price = per("second", rate(8, resolution="768P"), rate(13, resolution="2K"))

    prompt: Prompt = Field(max_length=7000)
    duration: Annotated[int, Field(ge=4, le=15)] = 6
    resolution: Literal["768P", "2K"] = "2K"


class MiniMaxText(MiniMax):
    """MiniMax H3: from words."""

    id = "minimax-h3/text-to-video"
    task_type = "text-to-video"
    aliases = ("minimax-h3", "minimax")

    aspect_ratio: Literal["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"] = "16:9"


class MiniMaxImage(MiniMax):
    """MiniMax H3: from a first frame, to a last one, or both."""

    id = "minimax-h3/image-to-video"
    task_type = "image-to-video"

    image: Picture | None = wire("first_frame_url", None)
    last_image: Picture | None = wire("last_frame_url", None)

    @model_validator(mode="after")
    def a_frame(self) -> Self:
        """One frame at least."""
        if not (self.image or self.last_image):
            raise ValueError("give image (first frame), last_image, or both")
        return self


class MiniMaxReference(MiniMax):
    """MiniMax H3: with people, things, motion and sounds from references."""

    id = "minimax-h3/reference-to-video"
    task_type = "reference-to-video"
    price = per(
        "second",
        *MiniMax.price.rates,
        of=("duration", "videos"),
        note="The seconds of videos cost as much as the result's; pictures beyond 5 cost 4 each.",
    )

    images: tuple[Picture, ...] | None = wire("reference_image_urls", None, min_length=1, max_length=9)
    videos: tuple[Clip, ...] | None = wire(
        "reference_video_urls", None, min_length=1, max_length=3, description="15 s together."
    )
    audios: tuple[Sound, ...] | None = wire(
        "reference_audio_urls", None, min_length=1, max_length=3, description="15 s together."
    )
    aspect_ratio: Literal["adaptive", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"] = "adaptive"

    @model_validator(mode="after")
    def something_to_see(self) -> Self:
        """Sound alone is no reference."""
        if not (self.images or self.videos):
            raise ValueError("give images or videos; audios only go with them")
        return self

    def extra_credits(self) -> float:
        """Pictures beyond the free ones."""
        return max(0, len(self.images or ()) - FREE_PICTURES) * CREDITS_PER_PICTURE


VIDEO = Family(
    "minimax_video",
    "Make a video of up to 2K with MiniMax H3, from words, first and last frame, or references.",
    (MiniMaxText, MiniMaxImage, MiniMaxReference),
)
