"""Z-Image (Alibaba): pictures from words for less than a credit."""

from typing import Literal

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Prompt
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per


class ZImage(KieModel):
    """Z-Image: a picture from words, quick and the cheapest of all."""

    id = "z-image"
    kind = "image"
    task_type = "text-to-image"
    aliases = ("z-image-turbo", "zimage")
    price = per("image", 0.8)
    service = "z-image/generate"
    usual_seconds = 15

    prompt: Prompt = Field(max_length=1000)
    aspect_ratio: Literal["1:1", "4:3", "3:4", "16:9", "9:16"] = "1:1"


IMAGE = Family("z_image", "Make a picture from words with Z-Image (Alibaba): quick, and the cheapest.", (ZImage,))
