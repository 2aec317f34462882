"""Ideogram: pictures with lettering, edits behind a mask, and characters that stay the same."""

from typing import Annotated, Literal

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AnySeed, AsText, Image, InList, Limits, Number, Prompt, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import UNPUBLISHED, per, rate
from kie_mcp.catalog.vendors.seedream import SixShapes

Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]
MaskedPicture = Annotated[Image, Limits("jpeg png webp", mb=10, same_size=True)]
Pictures = Annotated[tuple[Picture, ...], Field(min_length=1)]
Count = Annotated[Literal[1, 2, 3, 4], Number, AsText]
Style = Literal["AUTO", "GENERAL", "REALISTIC", "DESIGN"]
CharacterStyle = Literal["AUTO", "REALISTIC", "FICTION"]


class Ideogram(KieModel):
    """The fields that all models share."""

    kind = "image"
    task_type = "image-to-image"
    service = "ideogram/generate"
    price = per("image", rate(3.5, speed="TURBO"), rate(7, speed="BALANCED"), rate(10, speed="QUALITY"))
    usual_seconds = 30

    prompt: Prompt = Field(max_length=5000)
    speed: Literal["TURBO", "BALANCED", "QUALITY"] = wire("rendering_speed", "BALANCED")
    prompt_expansion: bool = wire("expand_prompt", default=True)
    seed: AnySeed | None = None


class IdeogramNew(Ideogram):
    """The fields of a whole new picture."""

    aspect_ratio: SixShapes = wire("image_size", "1:1")
    style: Style = "AUTO"
    negative_prompt: str | None = Field(None, max_length=5000)


class IdeogramText(IdeogramNew):
    """Ideogram 3: a picture from words, strong in lettering and design."""

    id = "ideogram/v3-text-to-image"
    task_type = "text-to-image"
    aliases = ("ideogram", "ideogram-v3", "ideogram-3")


class IdeogramEdit(Ideogram):
    """Ideogram 3: paints anew what a mask marks."""

    id = "ideogram/v3-edit"
    aliases = ("ideogram-edit", "ideogram-v3-edit")

    image: MaskedPicture = wire("image_url")
    mask: MaskedPicture = wire("mask_url", description="As large as image; prompt tells what goes there.")


class IdeogramRemix(IdeogramNew):
    """Ideogram 3: a new picture after a given one."""

    id = "ideogram/v3-remix"
    aliases = ("ideogram-remix", "ideogram-v3-remix")
    price = UNPUBLISHED

    image: Picture = wire("image_url")
    strength: float = Field(0.8, ge=0.01, le=1, description="Weight of image.")
    count: Count = wire("num_images", 1)


class IdeogramCharacter(Ideogram):
    """The fields that the character models share."""

    price = per("image", rate(12, speed="TURBO"), rate(18, speed="BALANCED"), rate(24, speed="QUALITY"))

    # KIE takes a list, and uses its first picture only.
    character: Annotated[Picture, InList] = wire("reference_image_urls", description="A picture of who shall appear.")
    style: CharacterStyle = "AUTO"
    count: Count = wire("num_images", 1)


class IdeogramCharacterNew(IdeogramCharacter):
    """Ideogram Character: somebody from a picture, in a new one."""

    id = "ideogram/character"
    aliases = ("ideogram-character",)

    aspect_ratio: SixShapes = wire("image_size", "1:1")
    negative_prompt: str | None = Field(None, max_length=5000)


class IdeogramCharacterEdit(IdeogramCharacter):
    """Ideogram Character: puts somebody where a mask marks a picture."""

    id = "ideogram/character-edit"
    aliases = ("ideogram-character-edit",)

    image: MaskedPicture = wire("image_url")
    mask: MaskedPicture = wire("mask_url", description="As large as image.")


class IdeogramCharacterRemix(IdeogramCharacter):
    """Ideogram Character: somebody in a new picture after a given one."""

    id = "ideogram/character-remix"
    aliases = ("ideogram-character-remix",)

    image: Picture = wire("image_url")
    strength: float = Field(0.8, ge=0.1, le=1)
    aspect_ratio: SixShapes = wire("image_size", "1:1")
    negative_prompt: str | None = Field(None, max_length=500)
    style_images: Pictures | None = wire("image_urls", None, description="Together up to 10 MB.")
    character_mask: Picture | None = wire("reference_mask_urls", None, description="Marks who in character.")


IMAGE = Family(
    "ideogram_image",
    "Make pictures with Ideogram, good at lettering: image for a remix, mask too for edits, character for a likeness.",
    (
        IdeogramText,
        IdeogramRemix,
        IdeogramEdit,
        IdeogramCharacterNew,
        IdeogramCharacterRemix,
        IdeogramCharacterEdit,
    ),
)
