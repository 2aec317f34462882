"""Topaz: larger pictures and videos."""

from typing import Annotated

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Limits, Video, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import per, rate
from kie_mcp.catalog.vendors.recraft import Factor, TopazUpscale


class TopazImage(TopazUpscale):
    """Topaz: a picture larger by a chosen factor, with detail added."""


class TopazVideo(KieModel):
    """Topaz: a video larger by a chosen factor, with detail added."""

    id = "topaz/video-upscale"
    kind = "video"
    task_type = "upscale"
    aliases = ("topaz-video-upscale", "topaz-video")
    price = per("second", rate(8, factor=1), rate(8, factor=2), rate(14, factor=4), of=("video",))
    service = "topaz/upscale"
    usual_seconds = 180

    video: Annotated[Video, Limits("mp4 quicktime x-matroska", mb=50)] = wire("video_url")
    factor: Factor = wire("upscale_factor", 2)


UPSCALE = Family(
    "topaz_upscale",
    "Enlarge a video with Topaz, for 8 credits a second, by four 14; or a picture: recraft_upscale is cheaper.",
    (TopazImage, TopazVideo),
)
