"""Sora 2 (OpenAI): KIE stopped documenting it in 2026."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Image, InList, Limits, Number, Prompt, aliases, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.part import Part

Picture = Annotated[Image, Limits("jpeg png webp", mb=10), InList]
Orientation = Annotated[Literal["landscape", "portrait"], aliases({"16:9": "landscape", "9:16": "portrait"})]


class Sora(KieModel):
    """A Sora 2 model."""

    kind = "video"
    service = "sora/generate"
    legacy = "veo_video"
    usual_seconds = 180


class SoraScene(Sora):
    """The fields of every Sora 2 model that makes one scene."""

    prompt: Prompt = Field(max_length=10000)
    aspect_ratio: Orientation = "landscape"
    duration: Annotated[Literal[10, 15], Number, AsText] = wire("n_frames", 10)
    remove_watermark: bool = True
    characters: tuple[str, ...] | None = wire(
        "character_id_list", None, max_length=5, description="KIE's character ids."
    )


class Sora2Text(SoraScene):
    """Sora 2: from words, with sound."""

    id = "sora-2-text-to-video"
    task_type = "text-to-video"
    aliases = ("sora-2", "sora2", "sora")


class Sora2Image(SoraScene):
    """Sora 2: from a first frame, with sound."""

    id = "sora-2-image-to-video"
    task_type = "image-to-video"

    image: Picture = wire("image_urls")


class Sora2ProText(SoraScene):
    """Sora 2 Pro: from words, finer than Sora 2."""

    id = "sora-2-pro-text-to-video"
    task_type = "text-to-video"
    aliases = ("sora-2-pro", "sora2-pro")

    size: Literal["standard", "high"] = "high"


class Sora2ProImage(SoraScene):
    """Sora 2 Pro: from a first frame, finer than Sora 2."""

    id = "sora-2-pro-image-to-video"
    task_type = "image-to-video"

    image: Picture = wire("image_urls")
    size: Literal["standard", "high"] = "standard"


class Shot(Part):
    """One shot of a storyboard."""

    prompt: Prompt = wire("Scene")
    duration: Annotated[float, Field(ge=0.1, le=15)]


class Sora2Storyboard(Sora):
    """Sora 2 Pro Storyboard: up to ten shots, up to 25 s together."""

    id = "sora-2-pro-storyboard"
    task_type = "multi-shot-to-video"
    aliases = ("sora-2-storyboard",)

    shots: tuple[Shot, ...] = Field(min_length=1, max_length=10)
    image: Picture | None = wire("image_urls", None)
    aspect_ratio: Orientation = "landscape"
    duration: Annotated[Literal[10, 15, 25], Number, AsText] = wire("n_frames", 15)

    @model_validator(mode="after")
    def shots_fit(self) -> Self:
        """The shots are not longer than the video."""
        if (total := sum(shot.duration for shot in self.shots)) > self.duration:
            raise ValueError(f"the shots take {total:g} s: shorten them to duration, {self.duration} s, or raise it")
        return self


VIDEO = Family(
    "sora_video",
    "Make a video with OpenAI's Sora 2, from words, a first frame or shots.",
    (Sora2Text, Sora2Image, Sora2ProText, Sora2ProImage, Sora2Storyboard),
    rare=("remove_watermark", "characters"),
)
