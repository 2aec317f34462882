"""Create requests that the sandbox refuses as KIE does, beside those for missing fields and too long texts."""

from typing import Any

import pytest
from support.sandbox_caller import Kie

from kie_mcp.kie import routes

pytestmark = pytest.mark.anyio

CALLBACK = {"callBackUrl": "https://a.example"}


async def make(kie: Kie, path: str, body: dict[str, Any]) -> str:
    """Create a task, wait for its end, and return its id."""
    task: str = (await kie.post(path, body))["data"]["taskId"]
    kie.wait()
    return task


def job(model: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return routes.JOBS.create, {"model": model, "input": fields}


SONG = "/api/v1/generate", {"model": "V5", "prompt": "rain", "customMode": False, "instrumental": False, **CALLBACK}
PICTURE = job("google/nano-banana", prompt="rain")
CLIP = job("kling/v2-1-master-text-to-video", prompt="rain")
VEO = "/api/v1/veo/generate", {"prompt": "rain"}


@pytest.mark.parametrize(
    ("source", "path", "body", "wanted"),
    [
        (PICTURE, "/api/v1/veo/extend", {"prompt": "on"}, "a Veo generation task"),
        (CLIP, "/api/v1/veo/get-4k-video", {}, "a Veo generation task"),
        (VEO, "/api/v1/runway/extend", {"prompt": "on", "quality": "720p", **CALLBACK}, "a Runway generation task"),
        (SONG, "/api/v1/midi/generate", CALLBACK, "a vocal separation task"),
        (CLIP, "/api/v1/suno/cover/generate", CALLBACK, "a music generation task"),
        (PICTURE, "/api/v1/wav/generate", {"audioId": "a1", **CALLBACK}, "a music generation task"),
    ],
)
async def test_a_request_that_follows_on_a_task_of_another_kind_is_refused(
    source: tuple[str, dict[str, Any]], path: str, body: dict[str, Any], wanted: str
) -> None:
    kie = Kie()
    task = await make(kie, *source)
    refused = await kie.post(path, {"taskId": task, **body})
    assert (refused["code"], refused["msg"], refused["data"]) == (422, f"taskId must be {wanted}", None)
    assert (await kie.post(path, {"taskId": "made-elsewhere", **body}))["code"] == 200
    assert len(kie.sandbox.accepted) == 2


async def test_a_request_follows_only_on_a_task_that_has_succeeded() -> None:
    kie = Kie()
    task = (await kie.post(*VEO))["data"]["taskId"]
    extend = "/api/v1/veo/extend", {"taskId": task, "prompt": "on"}
    unfinished = await kie.post(*extend)
    kie.wait()
    finished = await kie.post(*extend)
    again = await kie.job("grok-imagine/upscale", task_id=task)
    assert [each["code"] for each in (unfinished, finished, again)] == [422, 200, 200]
    kie.sandbox.inject_fault("create", "fail")
    failed = await make(kie, *VEO)
    assert (await kie.job("grok-imagine/upscale", task_id=failed))["msg"] == "taskId must be a finished KIE video task"
