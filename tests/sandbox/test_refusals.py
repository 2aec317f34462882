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


async def test_a_cover_and_a_persona_are_made_once_of_each_song() -> None:
    kie = Kie()
    song, other = await make(kie, *SONG), await make(kie, *SONG)
    covers = [
        await kie.post("/api/v1/suno/cover/generate", {"taskId": task, **CALLBACK}) for task in (song, song, other)
    ]
    assert [each["code"] for each in covers] == [200, 409, 200]
    assert covers[1]["data"]["taskId"] == covers[0]["data"]["taskId"]
    persona = {"taskId": song, "name": "Ann", "description": "soft"}
    personas = [
        await kie.post("/api/v1/generate/generate-persona", {**persona, "audioId": audio})
        for audio in ("a1", "a1", "a2")
    ]
    assert [each["code"] for each in personas] == [200, 409, 200]
    assert personas[1]["data"] is None
    assert len(kie.sandbox.accepted) == 6


async def test_a_cover_that_failed_can_be_made_again() -> None:
    kie = Kie()
    song = await make(kie, *SONG)
    kie.sandbox.inject_fault("create", "fail")
    await make(kie, "/api/v1/suno/cover/generate", {"taskId": song, **CALLBACK})
    assert (await kie.post("/api/v1/suno/cover/generate", {"taskId": song, **CALLBACK}))["code"] == 200


@pytest.mark.parametrize(
    ("request_", "status", "most"),
    [(PICTURE, routes.JOBS.status, 10), (SONG, "/api/v1/generate/record-info", 3)],
    ids=["jobs", "suno"],
)
async def test_a_task_is_read_only_so_often_in_a_second(
    request_: tuple[str, dict[str, Any]], status: str, most: int
) -> None:
    kie = Kie()
    task, other = await make(kie, *request_), await make(kie, *request_)

    async def read(id_: str) -> int:
        code: int = (await kie.get(status, taskId=id_))["code"]
        return code

    assert [await read(task) for _ in range(most + 2)] == [200] * most + [429] * 2
    assert await read(other) == 200
    kie.wait(1)
    assert await read(task) == 200


async def test_the_old_path_for_links_of_4o_image_works_too() -> None:
    kie = Kie()
    task = await make(kie, *PICTURE)
    (url,) = await kie.urls(task)
    answer = await kie.post("/api/v1/gpt4o-image/download-url", {"taskId": task, "url": url})
    assert (answer["code"], (await kie.http.get(answer["data"])).status_code) == (200, 200)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (*job("kling-2.6/text-to-video", prompt="rain", sound=False, duration=5), "duration: Input should be"),
        (*job("kling-2.6/text-to-video", prompt="rain", sound="no", duration="5"), "sound: Input should be a valid"),
        (*job("google/nano-banana", prompt=7), "prompt: Input should be a valid string"),
        (*job("google/nano-banana-edit", prompt="x", image_urls="a.png"), "image_urls: Input should be a valid list"),
        (*job("hailuo/02-text-to-video-standard", prompt="rain", duration="long"), "duration: Input should be"),
        ("/api/v1/veo/generate", {"prompt": "rain", "duration": 5}, "duration: Input should be 4, 6 or 8"),
        ("/api/v1/veo/extend", {"prompt": "on", "taskId": "t", "seeds": 1}, "seeds: Input should be greater than or"),
    ],
)
async def test_a_value_of_a_wrong_type_or_beyond_a_limit_is_refused(
    path: str, body: dict[str, Any], message: str
) -> None:
    kie = Kie()
    refused = await kie.post(path, body)
    assert (refused["code"], refused["msg"].startswith(message)) == (422, True), refused["msg"]
    assert not kie.sandbox.accepted
