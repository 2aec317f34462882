"""The manner of Studio Ghibli: words that other vendors' models are asked with."""

from typing import Annotated, Any, Self

from pydantic import model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, InList, Prompt, wire
from kie_mcp.catalog.model import KieModel, Resolve
from kie_mcp.catalog.vendors import flux_kontext, gpt4o

STYLE = (
    "Style: Studio Ghibli animation, hand-drawn lines, soft watercolor backgrounds, warm natural light, gentle mood."
)
REDRAW = "Redraw this picture; keep who and what is in it, and where."


class Ghibli(KieModel):
    """A model that is asked for the style."""

    kind = "image"
    task_type = "text-to-image"

    prompt: Prompt | None = None
    image: Image | None = None

    @model_validator(mode="after")
    def prompt_or_image(self) -> Self:
        """There has to be something to draw."""
        if not (self.prompt or self.image):
            raise ValueError("give prompt, image or both")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """The fields, with the words for the style after the prompt."""
        return {**super().sent(resolve), "prompt": f"{self.prompt or REDRAW}\n{STYLE}"}


class GhibliFlux(Ghibli):
    """Flux Kontext asked for the style."""

    routes = flux_kontext.FluxKontext.routes
    service = flux_kontext.FluxKontext.service
    usual_seconds = flux_kontext.FluxKontext.usual_seconds

    image: Image | None = wire("inputImage", None, description="To redraw.")
    aspect_ratio: flux_kontext.Ratio | None = wire("aspectRatio", None)

    def route_ids(self) -> tuple[str, ...]:
        """Only the product API can choose a tier; KIE does not tell which one the unified id bills."""
        return self.routes[:1]


class GhibliFluxPro(GhibliFlux):
    """Flux Kontext Pro in the style of Studio Ghibli: the cheapest."""

    id = flux_kontext.FluxKontextPro.id
    aliases = flux_kontext.FluxKontextPro.aliases
    constants = flux_kontext.FluxKontextPro.constants
    price = flux_kontext.FluxKontextPro.price


class GhibliFluxMax(GhibliFlux):
    """Flux Kontext Max in the style of Studio Ghibli: for hard scenes."""

    id = flux_kontext.FluxKontextMax.id
    constants = flux_kontext.FluxKontextMax.constants
    price = flux_kontext.FluxKontextMax.price


class GhibliGpt4o(Ghibli):
    """GPT-4o Image in the style of Studio Ghibli: other shapes."""

    id = gpt4o.Gpt4oImage.id
    aliases = gpt4o.Gpt4oImage.aliases
    price = gpt4o.Gpt4oImage.price
    routes = gpt4o.Gpt4oImage.routes
    service = gpt4o.Gpt4oImage.service
    usual_seconds = gpt4o.Gpt4oImage.usual_seconds

    image: Annotated[gpt4o.Picture, InList] | None = wire("filesUrl", None, description="To redraw.")
    aspect_ratio: gpt4o.Ratio = wire("size", "1:1")


IMAGE = Family(
    "ghibli_image",
    "Make a picture in Studio Ghibli's style, or redraw one in it: Flux Kontext by default, or GPT-4o Image.",
    (GhibliFluxPro, GhibliFluxMax, GhibliGpt4o),
)
