"""Luma Modify: edits a video; KIE stopped documenting it in 2026."""

from typing import Annotated

from pydantic import Field

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Limits, Prompt, Video, wire
from kie_mcp.catalog.model import KieModel


class LumaModify(KieModel):
    """Luma Modify: changes the style or the objects of a clip of up to 10 s."""

    id = "luma-modify"
    kind = "video"
    task_type = "video-to-video"
    aliases = ("luma",)
    routes = ("luma",)
    service = "luma/generate"
    legacy = "runway_aleph"
    usual_seconds = 180

    prompt: Prompt = Field(description="In English.")
    video: Annotated[Video, Limits("mp4 quicktime x-msvideo", mb=500, seconds=(0, 10))] = wire("videoUrl")
    watermark: str | None = None


MODIFY = Family(
    "luma_modify",
    "Edit a video of up to 10 s with Luma.",
    (LumaModify,),
    rare=("watermark",),
)
