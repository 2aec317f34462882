"""GPT-4o Image (OpenAI): pictures with legible text."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, Limits, Number, Prompt, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per

Ratio = Literal["1:1", "3:2", "2:3"]
Picture = Annotated[Image, Limits("jpeg png webp")]


class Gpt4oImage(KieModel):
    """GPT-4o Image: draws, or changes up to five pictures as told."""

    id = "4o-image-api"
    kind = "image"
    task_type = "text-to-image"
    aliases = ("gpt4o-image", "gpt-4o-image", "gpt4o", "gpt-4o")
    price = per("image", 6)
    routes = ("gpt4o-image", "jobs:4o-image-api")
    service = "gpt4o-image/generate"
    usual_seconds = 40

    prompt: Prompt | None = None
    images: tuple[Picture, ...] | None = wire("filesUrl", None, max_length=5, description="To change or combine.")
    aspect_ratio: Ratio = wire("size", "1:1")
    # The page's schema has lost these two; KIE's quickstart shows them.
    count: Annotated[Literal[1, 2, 4], Number] | None = wire("nVariants", None)
    mask: Picture | None = wire("maskUrl", None, description="Black changes; with one image.")

    @model_validator(mode="after")
    def prompt_or_images(self) -> Self:
        """There has to be something to start from."""
        if not (self.prompt or self.images):
            raise ValueError("give prompt, images or both")
        if self.mask and len(self.images or ()) != 1:
            raise ValueError("mask goes with one image: give the picture that it covers as images")
        return self

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """KIE's older examples have one picture in a field of its own."""
        given = super().received(fields)
        if one := given.pop("fileUrl", None):
            given.setdefault("images", [one])
        return given

    @classmethod
    def hidden_fields(cls) -> dict[str, Mapping[str, Any]]:
        """What the quickstart shows besides: a longer prompt, and another model for when this one fails."""
        return super().hidden_fields() | {"isEnhance": {"type": "boolean"}, "fallbackModel": {"type": "string"}}

    def route_ids(self) -> tuple[str, ...]:
        """The unified id has neither variants nor a mask."""
        return self.routes[:1] if self.count or self.mask else self.routes


IMAGE = Family(
    "gpt4o_image",
    "Make or edit a picture with OpenAI's GPT-4o Image: follows long instructions, writes text correctly.",
    (Gpt4oImage,),
)
