"""Imagen 4 (Google): pictures from words."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AnySeed, Prompt
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per

# Any words will do; a number is what everybody gives.
SeedText = Annotated[
    str | None,
    Field(max_length=500),
    BeforeValidator(lambda given: None if str(given) == "-1" else str(given)),
    WithJsonSchema({"type": "integer"}),
]


class Imagen(KieModel):
    """An Imagen model."""

    kind = "image"
    task_type = "text-to-image"
    service = "imagen/generate"
    usual_seconds = 25

    prompt: Prompt = Field(max_length=5000)
    negative_prompt: str | None = Field(None, max_length=5000)
    aspect_ratio: Literal["1:1", "16:9", "9:16", "3:4", "4:3", "auto"] = "1:1"


class Imagen4(Imagen):
    """Imagen 4: a picture from words."""

    id = "google/imagen4"
    aliases = ("imagen4", "imagen-4", "imagen")
    price = per("image", 8)

    seed: SeedText | None = None


class Imagen4Fast(Imagen):
    """Imagen 4 Fast: sooner, for half the price."""

    id = "google/imagen4-fast"
    aliases = ("imagen4-fast", "imagen-4-fast")
    price = per("image", 4)
    usual_seconds = 15

    aspect_ratio: Literal["1:1", "16:9", "9:16", "3:4", "4:3", "auto"] = "16:9"
    seed: AnySeed | None = None


class Imagen4Ultra(Imagen):
    """Imagen 4 Ultra: the finest."""

    id = "google/imagen4-ultra"
    aliases = ("imagen4-ultra", "imagen-4-ultra")
    price = per("image", 12)
    usual_seconds = 35

    seed: SeedText | None = None


IMAGE = Family(
    "imagen_image",
    "Make a picture from words with Imagen 4 (Google): fast for half the price, ultra finest.",
    (Imagen4, Imagen4Fast, Imagen4Ultra),
)
