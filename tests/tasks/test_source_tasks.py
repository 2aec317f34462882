"""The earlier tasks that a call follows on: those that KIE would refuse are refused before anything is sent."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.tasks import NOW, task

from kie_mcp.catalog.fields import Source, TaskRef, Track
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.schema import walk_annotation
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.source_tasks import check_source

pytestmark = pytest.mark.anyio

EXTEND = "veo/extend", {"task_id": "t_1", "prompt": "on"}
SECTION = {"prompt": "it rains", "lyrics": "rain", "style": "folk", "title": "Rain", "start": 10, "end": 20}


def find_ref(model: str, arguments: dict[str, Any]) -> TaskRef | Track:
    refs = MODELS[model].model_validate(arguments).references()
    return next(ref for ref in refs if isinstance(ref, TaskRef | Track) and ref.source)


async def add(ledger: Ledger, model: str, **more: Any) -> Any:
    made = task(
        **{
            "tool": "run_model",
            "model": model,
            "kind": MODELS[model].kind if model in MODELS else "image",
            "state": "succeeded",
            "kie_id": f"kie-{more.get('id')}",
            **more,
        }
    )
    await ledger.add(made)
    return made


async def refusal(ledger: Ledger, source: Any, model: str, arguments: dict[str, Any]) -> InvalidCall:
    with pytest.raises(InvalidCall) as caught:
        await check_source(source, find_ref(model, arguments), ledger)
    return caught.value


def fields_for_tasks() -> Iterator[tuple[str, list[Any]]]:
    """Yield each field of a model that takes an earlier task, with the parts of its annotation."""
    for id_, model in MODELS.items():
        for name, field in model.model_fields.items():
            parts = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
            if TaskRef in parts or Track in parts:
                yield f"{id_} {name}", parts


def test_every_field_for_an_earlier_task_says_which_tasks_it_takes() -> None:
    found = {name: [part for part in parts if isinstance(part, Source)] for name, parts in fields_for_tasks()}
    assert len(found) > 20
    assert [name for name, sources in found.items() if not sources] == []
    makers = {maker for sources in found.values() for source in sources for maker in source.makers.split()}
    assert {maker for maker in makers if maker not in FAMILIES.places and maker not in MODELS} == set()


@pytest.mark.parametrize(
    ("model", "arguments", "maker", "wanted"),
    [
        (*EXTEND, "google/nano-banana", "a Veo generation task"),
        (*EXTEND, "kling-3.0/video", "a Veo generation task"),
        (*EXTEND, "veo/get-1080p-video", "a Veo generation task"),
        ("veo/get-4k-video", {"task_id": "t_1"}, "kling-3.0/video", "a Veo generation task"),
        ("runway/extend-ai-video", {"task_id": "t_1", "prompt": "on"}, "veo3", "a Runway generation task"),
        ("grok-imagine/upscale", {"task_id": "t_1"}, "google/nano-banana", "a finished KIE video task"),
        ("grok-imagine/extend", {"task_id": "t_1", "prompt": "on"}, "ai-music-api/generate", "a finished KIE video"),
        ("grok-imagine/image-to-video", {"image_task": "t_1"}, "google/nano-banana", "a Grok image task"),
        (
            "grok-imagine/image-to-video",
            {"image_task": "t_1"},
            "grok-imagine-image-2-0/segment-map",
            "a Grok image task",
        ),
        ("grok-imagine-image-2-0/segment-map", {"task_id": "t_1"}, "grok-imagine/text-to-image", "image task of 2.0"),
        ("pixverse-v6/extend", {"task_id": "t_1", "prompt": "it rains"}, "z-image", "undeleted video task"),
        (
            "bytedance/seedance-2-5",
            {"extension_task": "t_1", "prompt": "on"},
            "bytedance/seedance-2",
            "a Seedance 2.5 task",
        ),
        ("mj_upscale", {"task_id": "t_1", "index": 0}, "mj_video", "a Midjourney image task"),
        ("mj_video_extend_auto", {"task_id": "t_1", "index": 0}, "mj_txt2img", "a Midjourney video task"),
        ("ai-music-api/cover-generate", {"task_id": "t_1"}, "veo3_fast", "a music generation task"),
        ("ai-music-api/suno-recovery-audio", {"task_id": "t_1"}, "z-image", "a music generation task"),
        ("ai-music-api/convert-to-wav-format", {"track": "task:t_1#1"}, "z-image", "a music generation task"),
        ("ai-music-api/extend", {"track": "task:t_1#a-b"}, "veo3", "a music generation task"),
        ("ai-music-api/replace-section", {"track": "t_1#1", **SECTION}, "veo3", "a music generation task"),
        (
            "ai-music-api/generate-midi-from-audio",
            {"task_id": "t_1"},
            "ai-music-api/generate",
            "a vocal separation task",
        ),
        (
            "ai-music-api/generate-midi-from-audio",
            {"track": "task:t_1#2"},
            "ai-music-api/generate",
            "a vocal separation task",
        ),
        (
            "ai-music-api/create-voice",
            {"task_id": "t_1", "audio": "a.mp3"},
            "ai-music-api/create-voice",
            "a voice phrase task",
        ),
        (
            "ai-music-api/check-voice",
            {"task_id": "t_1"},
            "ai-music-api/validation-phrase",
            "a voice creation task",
        ),
    ],
)
async def test_a_task_that_a_call_cannot_follow_on_is_refused_with_what_it_takes(
    ledger: Ledger, model: str, arguments: dict[str, Any], maker: str, wanted: str
) -> None:
    error = await refusal(ledger, await add(ledger, maker), model, arguments)
    assert "t_1" in error.message
    assert f" is a task of {maker} ({MODELS[maker].kind}); this call takes " in error.message
    assert wanted in error.message
    assert error.next_step.startswith("Nothing was sent. Make one first")


@pytest.mark.parametrize(
    ("model", "arguments", "maker"),
    [
        (*EXTEND, "veo3_lite"),
        (*EXTEND, "veo/extend"),
        ("veo/get-1080p-video", {"task_id": "t_1"}, "veo-3-1"),
        ("grok-imagine/upscale", {"task_id": "t_1"}, "kling-3.0/video"),
        (
            "grok-imagine-image-2-0/segment-edit",
            {"task_id": "t_1", "prompt": "x"},
            "grok-imagine-image-2-0/segment-map",
        ),
        ("ai-music-api/convert-to-wav-format", {"track": "task:t_1#1"}, "ai-music-api/mashup"),
        ("ai-music-api/generate-midi-from-audio", {"task_id": "t_1"}, "ai-music-api/separate-vocals"),
        ("ai-music-api/create-voice", {"task_id": "t_1", "audio": "a.mp3"}, "ai-music-api/regenerate-phrase"),
    ],
)
async def test_a_task_that_kie_takes_is_taken(
    ledger: Ledger, model: str, arguments: dict[str, Any], maker: str
) -> None:
    await check_source(await add(ledger, maker), find_ref(model, arguments), ledger)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"state": "running"}, "the task is running"),
        ({"state": "prepared", "kie_id": None}, "the task is prepared"),
        ({"state": "failed"}, "has failed, so nothing can follow on it"),
        ({"state": "unknown", "kie_id": None}, "has no id at KIE, so nothing can follow on it"),
    ],
)
async def test_a_task_that_has_not_succeeded_is_refused(ledger: Ledger, more: dict[str, Any], told: str) -> None:
    error = await refusal(ledger, await add(ledger, "veo3", **more), *EXTEND)
    assert told in error.message


async def test_a_task_whose_results_have_expired_can_still_give_new_links(ledger: Ledger) -> None:
    expired = await add(ledger, "ai-music-api/generate", state="expired")
    await check_source(expired, find_ref("ai-music-api/suno-recovery-audio", {"task_id": "t_1"}), ledger)


async def test_what_a_model_of_kies_list_alone_has_made_counts_by_its_kind(ledger: Ledger) -> None:
    clip = await add(ledger, "vendor/new", kind="video")
    await check_source(clip, find_ref(*EXTEND), ledger)
    picture = await add(ledger, "vendor/new", id="t_2", kind="image")
    assert "is a task of vendor/new (image)" in (await refusal(ledger, picture, *EXTEND)).message
    # What an adopted task of such a model has made is a guess at first.
    await check_source(await add(ledger, "vendor/new", id="t_3", tool="", kind="image"), find_ref(*EXTEND), ledger)


async def test_a_refusal_names_the_newest_tasks_that_would_do(ledger: Ledger) -> None:
    for number, model in enumerate(("veo3", "veo3_fast", "veo3", "kling-3.0/video", "veo3_lite")):
        await add(ledger, model, id=f"t_v{number}", created=NOW + number)
    await add(ledger, "veo3", id="t_v9", created=NOW + 9, state="failed")
    error = await refusal(ledger, await add(ledger, "z-image"), *EXTEND)
    assert error.next_step == "Nothing was sent. These would do: t_v4 (veo3_lite), t_v2 (veo3), t_v1 (veo3_fast)."


async def test_a_refusal_names_the_tools_if_no_task_would_do(ledger: Ledger) -> None:
    picture = await add(ledger, "z-image")
    assert (await refusal(ledger, picture, *EXTEND)).next_step.endswith("Make one first, with veo_video or veo_extend.")
    upscale = await refusal(ledger, picture, "grok-imagine/upscale", {"task_id": "t_1"})
    assert upscale.next_step.endswith("Make one first: find_models names the models for video.")


async def test_no_paid_request_leaves_for_a_task_of_another_kind(client: Any, sandbox: Sandbox) -> None:
    made = (await client.call_tool("z_image", {"prompt": "a fox"})).structured_content
    calls = [("veo_upscale", {"model": "veo-4k"}), ("run_model", {"model": "veo/get-4k-video"})]
    for tool, arguments in calls:
        given = {"task_id": made["task_id"]}
        given = {"input": given} if tool == "run_model" else given
        refused = (await client.call_tool(tool, {**arguments, **given})).structured_content
        assert refused["error"]["category"] == "invalid_call"
        assert "this call takes a Veo generation task" in refused["error"]["message"]
    assert len(sandbox.accepted) == 1
    # KIE decides about a task that this ledger does not know.
    await client.call_tool("veo_upscale", {"task_id": "made-elsewhere"})
    assert len(sandbox.accepted) == 2
