"""Flux Kontext (Black Forest Labs): pictures, and edits that leave the rest of a picture alone."""

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, Prompt, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate

Ratio = Literal["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"]


class FluxKontext(KieModel):
    """A Flux Kontext tier; only the product API can choose between them."""

    kind = "image"
    task_type = "text-to-image"
    routes: ClassVar[tuple[str, ...]] = ("flux-kontext", "jobs:flux1-kontext")
    service = "flux/kontext/generate"
    usual_seconds = 30

    prompt: Prompt
    image: Image | None = wire("inputImage", None, description="To edit.")
    # Not sent unless given: an edit then keeps the picture's own ratio.
    aspect_ratio: Ratio | None = wire("aspectRatio", None, description="Default 16:9; editing keeps image's.")
    format: Literal["jpeg", "png"] = wire("outputFormat", "jpeg")
    prompt_expansion: bool = wire("promptUpsampling", default=False)
    translate: bool = wire("enableTranslation", default=True, description="prompt to English.")
    safety_tolerance: int = wire("safetyTolerance", 2, ge=0, le=6, description="With image at most 2.")
    watermark: str | None = None

    def route_ids(self) -> tuple[str, ...]:
        """Only the product API can choose a tier; KIE does not tell which one the unified id bills."""
        return self.routes[:1]

    @model_validator(mode="after")
    def edits_are_moderated_more_strictly(self) -> Self:
        """An edit allows less than a new picture."""
        if self.image and self.safety_tolerance > 2:
            raise ValueError("with image, safety_tolerance is 0 to 2")
        return self


class FluxKontextPro(FluxKontext):
    """Flux Kontext Pro: quick and cheap."""

    id = "flux-kontext-pro"
    aliases = ("flux-kontext",)
    constants: ClassVar[dict[str, Any]] = {"model": "flux-kontext-pro"}
    price = per("image", 5)


class FluxKontextMax(FluxKontext):
    """Flux Kontext Max: for hard scenes and lettering, at twice the price."""

    id = "flux-kontext-max"
    constants: ClassVar[dict[str, Any]] = {"model": "flux-kontext-max"}
    price = per("image", 10)


class Flux1Kontext(FluxKontext):
    """Flux Kontext of any tier: KIE does not tell which one this id bills."""

    id = "flux1-kontext"
    unlisted = True
    routes = ("jobs:flux1-kontext",)
    price = per("image", rate(5, tier="pro"), rate(10, tier="max"))


IMAGE = Family(
    "flux_kontext_image",
    "Make a picture with Flux Kontext, or edit one and keep the rest as it is: pro by default, max for hard scenes.",
    (FluxKontextPro, FluxKontextMax, Flux1Kontext),
    rare=("safety_tolerance", "watermark"),
)
