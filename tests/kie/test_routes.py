from typing import Any

import httpx2
import pytest

from kie_mcp.catalog.fields import snake_case
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.errors import NotOffered
from kie_mcp.kie import routes, status
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.routes import JOBS, NO_CALLBACK_URL, PRODUCTS

pytestmark = pytest.mark.anyio

FILES = {"a.png": "https://f.example/1.png", "a.mp4": "https://f.example/1.mp4", "t1": "k1", "task:t1#1": "song"}
ENGLISH = {"enableTranslation": False}
NOBODY = {"callBackUrl": "https://kie-mcp.invalid/"}
CLIP_OF_8_S = {"duration": 8, "resolution": "720p"}
CLIP_OF_5_S = {"duration": "5", "quality": "720p"}

# Written from KIE's pages and the model list: what goes out for a call, by each way that takes it.
BODIES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "google/nano-banana",
        {"prompt": "rain"},
        "jobs",
        {"model": "google/nano-banana", "input": {"prompt": "rain", "aspect_ratio": "1:1", "output_format": "png"}},
    ),
    (
        "kling-2.6/image-to-video",
        {"prompt": "rain", "image": "a.png", "duration": 10},
        "jobs",
        {
            "model": "kling-2.6/image-to-video",
            "input": {"prompt": "rain", "image_urls": [FILES["a.png"]], "duration": "10", "sound": False},
        },
    ),
    (
        "veo3_fast",
        {"prompt": "rain", "images": ["a.png"]},
        "veo",
        {
            "prompt": "rain",
            "imageUrls": [FILES["a.png"]],
            "aspect_ratio": "16:9",
            **CLIP_OF_8_S,
            "model": "veo3_fast",
            **ENGLISH,
        },
    ),
    (
        "veo-3-1",
        {"prompt": "rain", "images": ["a.png"]},
        "jobs:veo-3-1",
        {
            "model": "veo-3-1",
            "input": {
                "prompt": "rain",
                "image_urls": [FILES["a.png"]],
                "aspect_ratio": "16:9",
                **CLIP_OF_8_S,
                "enable_translation": False,
            },
        },
    ),
    (
        "runway",
        {"prompt": "rain", "image": "a.png"},
        "runway",
        {"prompt": "rain", "imageUrl": FILES["a.png"], **CLIP_OF_5_S, "aspectRatio": "16:9", **NOBODY},
    ),
    (
        "runway",
        {"prompt": "rain", "image": "a.png"},
        "jobs:runway",
        {
            "model": "runway",
            "input": {"prompt": "rain", "image_url": FILES["a.png"], **CLIP_OF_5_S, "aspect_ratio": "16:9"},
        },
    ),
    (
        "runway",
        {"prompt": "rain", "image": "a.png"},
        "service:runway/generate",
        {"model": "runway", "prompt": "rain", "imageUrl": FILES["a.png"], **CLIP_OF_5_S, "aspectRatio": "16:9"},
    ),
    (
        "runway/gen4-aleph",
        {"prompt": "rain", "video": "a.mp4", "image": "a.png", "seed": 7},
        "aleph",
        {"prompt": "rain", "videoUrl": FILES["a.mp4"], "referenceImage": FILES["a.png"], "seed": 7},
    ),
    (
        "runway/gen4-aleph",
        {"prompt": "rain", "video": "a.mp4", "image": "a.png", "seed": 7},
        "jobs:runway/gen4-aleph",
        {
            "model": "runway/gen4-aleph",
            "input": {"prompt": "rain", "video_url": FILES["a.mp4"], "reference_image": FILES["a.png"], "seed": 7},
        },
    ),
    (
        "luma-modify",
        {"prompt": "rain", "video": "a.mp4", "watermark": "me"},
        "luma",
        {"prompt": "rain", "videoUrl": FILES["a.mp4"], "watermark": "me"},
    ),
    (
        "4o-image-api",
        {"prompt": "rain", "images": ["a.png"]},
        "gpt4o-image",
        {"prompt": "rain", "filesUrl": [FILES["a.png"]], "size": "1:1"},
    ),
    (
        "4o-image-api",
        {"prompt": "rain", "images": ["a.png"]},
        "jobs:4o-image-api",
        {"model": "4o-image-api", "input": {"prompt": "rain", "files_url": [FILES["a.png"]], "size": "1:1"}},
    ),
    (
        "flux-kontext-max",
        {"prompt": "rain", "image": "a.png"},
        "flux-kontext",
        {
            "prompt": "rain",
            "inputImage": FILES["a.png"],
            "outputFormat": "jpeg",
            "promptUpsampling": False,
            "enableTranslation": True,
            "safetyTolerance": 2,
            "model": "flux-kontext-max",
        },
    ),
    (
        "flux1-kontext",
        {"prompt": "rain", "image": "a.png"},
        "jobs:flux1-kontext",
        {
            "model": "flux1-kontext",
            "input": {
                "prompt": "rain",
                "input_image": FILES["a.png"],
                "output_format": "jpeg",
                "prompt_upsampling": False,
                "enable_translation": True,
                "safety_tolerance": 2,
            },
        },
    ),
    (
        "mj_txt2img",
        {"prompt": "rain", "version": "v7", "speed": "Relax", "aspect_ratio": "16:9"},
        "midjourney",
        {
            "taskType": "mj_txt2img",
            "prompt": "rain",
            "version": "7",
            "speed": "relaxed",
            "aspectRatio": "16:9",
            **ENGLISH,
        },
    ),
    (
        "mj_txt2img",
        {"prompt": "rain"},
        "service:mj/generate",
        {"model": "mj_txt2img", "taskType": "mj_txt2img", "prompt": "rain", **ENGLISH},
    ),
    (
        "ai-music-api/generate",
        {"prompt": "rain"},
        "suno",
        {"prompt": "rain", "customMode": False, "instrumental": False, "model": "V5_5", **NOBODY},
    ),
    (
        "ai-music-api/generate",
        {"prompt": "rain"},
        "jobs:ai-music-api/generate",
        {
            "model": "ai-music-api/generate",
            "input": {"prompt": "rain", "custom_mode": False, "instrumental": False, "model": "V5_5"},
        },
    ),
    (
        "ai-music-api/generate",
        {"prompt": "rain"},
        "service:suno/generate",
        {"model": "V5_5", "prompt": "rain", "customMode": False, "instrumental": False},
    ),
    (
        "ai-music-api/generate-lyrics",
        {"prompt": "rain"},
        "suno-lyrics",
        {"prompt": "rain", **NOBODY},
    ),
    (
        "ai-music-api/convert-to-wav-format",
        {"track": "task:t1#1"},
        "suno-wav",
        {"taskId": "k1", "audioId": "song", **NOBODY},
    ),
    (
        "ai-music-api/convert-to-wav-format",
        {"track": "task:t1#1"},
        "jobs:ai-music-api/convert-to-wav-format",
        {"model": "ai-music-api/convert-to-wav-format", "input": {"task_id": "k1", "audio_id": "song"}},
    ),
    (
        "ai-music-api/cover-generate",
        {"task_id": "t1"},
        "suno-cover",
        {"taskId": "k1", **NOBODY},
    ),
    (
        "bytedance/seedream-v4-text-to-image",
        {"prompt": "rain"},
        "service:seedream/generate",
        {
            "model": "bytedance/seedream-v4-text-to-image",
            "prompt": "rain",
            "imageSize": "square_hd",
            "imageResolution": "1K",
            "maxImages": 1,
        },
    ),
    (
        "veo3",
        {"prompt": "rain"},
        "service:veo/generate",
        {"model": "veo3", "prompt": "rain", "aspectRatio": "16:9", **CLIP_OF_8_S, **ENGLISH},
    ),
]


def body(model: str, arguments: dict[str, Any], way: str, callback_url: str = "") -> dict[str, Any]:
    call = MODELS[model].model_validate(arguments)
    return routes.build_body(call, way, lambda ref: FILES[str(ref)], callback_url)


@pytest.mark.parametrize(("model", "arguments", "way", "sent"), BODIES)
def test_each_way_has_its_own_spelling(model: str, arguments: dict[str, Any], way: str, sent: dict[str, Any]) -> None:
    call = MODELS[model].model_validate(arguments)
    assert way in (*routes.route_ids(call, service=False), *routes.route_ids(call, service=True))
    assert body(model, arguments, way) == sent


@pytest.mark.parametrize(("model", "arguments", "way", "sent"), BODIES)
def test_a_receiver_of_ones_own_is_named_everywhere(
    model: str, arguments: dict[str, Any], way: str, sent: dict[str, Any]
) -> None:
    here = "https://hooks.example/kie"
    assert body(model, arguments, way, here) == {**sent, "callBackUrl": here}


# What KIE's pages call required.
INSISTING = (
    *("generate", "generate/extend", "generate/upload-cover", "generate/upload-extend", "generate/mashup"),
    *("generate/add-instrumental", "generate/add-vocals", "vocal-removal/generate"),
    *("wav/generate", "mp4/generate", "midi/generate"),
)


def test_where_kie_insists_on_a_receiver_one_is_made_up() -> None:
    insisting = {route.create for route in PRODUCTS.values() if route.wants_callback}
    assert {f"/api/v1/{path}" for path in INSISTING} <= insisting
    assert all(route.callback for route in PRODUCTS.values() if route.wants_callback)
    assert not JOBS.wants_callback
    assert not routes.find("service:suno/generate").wants_callback
    assert httpx2.URL(NO_CALLBACK_URL).host.endswith(".invalid")


def test_kies_misspelling_is_kept_and_nobody_is_named_where_nobody_is_called() -> None:
    spoken = body("ai-music-api/regenerate-phrase", {"task_id": "t1"}, "suno-voice-regenerate")
    assert spoken == {"taskId": "k1", "calBackUrl": NO_CALLBACK_URL}
    larger = body("veo/get-1080p-video", {"task_id": "t1"}, "veo-1080p", "https://hooks.example/kie")
    assert larger == {"taskId": "k1", "index": 0}


@pytest.mark.parametrize(
    ("model", "way", "spelled"),
    [
        ("google/nano-banana", "jobs", "uploadCn"),
        ("runway", "runway", "uploadCn"),
        ("runway", "jobs:runway", "upload_cn"),
    ],
)
def test_further_fields_go_where_the_others_are_and_never_in_their_place(model: str, way: str, spelled: str) -> None:
    call = MODELS[model].model_validate({"prompt": "rain"})
    plain, more = (
        routes.build_body(call, way, str, "", extra) for extra in (None, {"uploadCn": True, "prompt": "snow"})
    )
    fields = "input" if way.startswith("jobs") else ""
    added = {**plain.get(fields, plain), spelled: True}
    assert more == ({**plain, fields: added} if fields else added)


def test_no_two_tiers_of_a_model_are_made_under_one_id_of_kie() -> None:
    for family in FAMILIES:
        shared = [
            way for model in family.models for way in model.model_construct().route_ids() if way.startswith("jobs:")
        ]
        assert len(shared) == len(set(shared)), family.tool


@pytest.mark.parametrize(
    ("way", "create", "read", "shape"),
    [
        ("jobs", "/api/v1/jobs/createTask", "/api/v1/jobs/recordInfo", "jobs"),
        ("jobs:veo-3-1", "/api/v1/jobs/createTask", "/api/v1/jobs/recordInfo", "jobs"),
        ("runway", "/api/v1/runway/generate", "/api/v1/runway/record-detail", "runway"),
        ("suno-extend", "/api/v1/generate/extend", "/api/v1/generate/record-info", "suno-music"),
        ("service:kling/generate", "/api/v1/kling/generate", "/api/v1/kling/record-info", "service"),
        (
            "service:flux/kontext/generate",
            "/api/v1/flux/kontext/generate",
            "/api/v1/flux/kontext/record-info",
            "service",
        ),
    ],
)
def test_a_way_leads_to_where_a_task_is_made_and_read(way: str, create: str, read: str, shape: str) -> None:
    route = routes.find(way)
    assert (route.create, route.status, route.shape) == (create, read, shape)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_a_way_that_its_status_can_be_read_by(model: str) -> None:
    for way in (*MODELS[model].routes, f"service:{MODELS[model].service}"):
        route = routes.find(way)
        assert route.shape in status.SHAPES
        assert route.create.startswith("/api/v1/")
        assert not route.create.endswith("/")


@pytest.mark.parametrize(
    ("camel", "snake"),
    [
        ("imageUrls", "image_urls"),
        ("callBackUrl", "call_back_url"),
        ("cfgScale2", "cfg_scale2"),
        ("nFrames", "n_frames"),
    ],
)
def test_names_are_spelled_both_ways(camel: str, snake: str) -> None:
    assert snake_case(camel) == snake_case(snake) == snake
    assert routes.camel_case(snake) == routes.camel_case(camel) == camel


async def test_a_task_is_unknown_to_any_route_but_its_own(kie: KieClient) -> None:
    call = MODELS["google/nano-banana"].model_validate({"prompt": "rain"})
    id_ = await kie.create_task(JOBS.create, routes.build_body(call, "jobs", str))
    for way in ("veo", "service:nano-banana/generate"):
        route = routes.find(way)
        assert status.parse_status(route.shape, await kie.read_status(route.status, id_)).state == "missing"


async def test_a_way_that_kie_does_not_have_is_not_offered(kie: KieClient) -> None:
    with pytest.raises(NotOffered):
        await kie.create_task("/api/v1/kling/generation", {})
