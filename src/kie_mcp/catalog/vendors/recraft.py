"""Recraft, and Topaz beside it: larger pictures, and pictures without their background."""

from typing import Annotated, Literal

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Image, Limits, Number, aliases, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate

Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]
Factor = Annotated[Literal[1, 2, 4], Number, aliases({"1x": "1", "2x": "2", "4x": "4"}), AsText]


class RecraftUpscale(KieModel):
    """Recraft Crisp Upscale: larger and sharper, at next to no cost."""

    id = "recraft/crisp-upscale"
    kind = "image"
    task_type = "upscale"
    aliases = ("recraft-upscale", "crisp-upscale", "recraft")
    price = per("image", 0.5)
    service = "recraft/upscale"
    usual_seconds = 20

    image: Picture


class TopazUpscale(KieModel):
    """Topaz: larger by a chosen factor, with detail added."""

    id = "topaz/image-upscale"
    kind = "image"
    task_type = "upscale"
    aliases = ("topaz-upscale", "topaz")
    price = per(
        "image",
        rate(10, result="up to 2K"),
        rate(20, result="up to 4K"),
        rate(40, result="larger"),
        note="KIE lists no figure for larger ones.",
    )
    service = "recraft/upscale"
    usual_seconds = 40

    image: Picture = wire("image_url")
    factor: Factor = wire("upscale_factor", 2)


class RecraftRemoveBackground(KieModel):
    """Recraft: cuts out what is in front, as a PNG with transparency."""

    id = "recraft/remove-background"
    kind = "image"
    task_type = "background-removal"
    aliases = ("recraft-remove-background", "remove-background")
    price = per("image", 1)
    service = "recraft/remove-background"
    usual_seconds = 20

    image: Annotated[Image, Limits("jpeg png webp", mb=5, side_px=(256, 4096), pixels=(1, 16_000_000))]


UPSCALE = Family(
    "recraft_upscale",
    "Enlarge a picture: Recraft crisp by default, the cheapest; with factor 4 or 1, Topaz.",
    (RecraftUpscale, TopazUpscale),
)
REMOVE_BACKGROUND = Family(
    "recraft_remove_background",
    "Remove a picture's background with Recraft: a transparent PNG.",
    (RecraftRemoveBackground,),
)
