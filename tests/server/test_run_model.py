"""`run_model`: built-in models, models that only KIE's list has, and wrong inputs."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from support.answers import answer, text
from support.cases import for_each
from support.fake_kie import retry_at_once
from support.new_model import NEW, SCHEMA, read_refusal, run_model

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.published_schema import read_schema
from kie_mcp.config import Settings
from kie_mcp.kie.routes import JOBS
from kie_mcp.kie.snapshot import SNAPSHOT_FILE, OfferedModel, Snapshot
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.sandbox.offers import Offer

pytestmark = pytest.mark.anyio

PICTURE = "https://files.example/a.png"
SEEDANCE = "bytedance/seedance-2-5"
WITHOUT_SCHEMA = "gpt-image-2-5-flare-text-to-image"
"""A model for which neither KIE nor the snapshot has a schema."""


@for_each(
    "model, fields, path",
    [
        (
            "kling-2.6/image-to-video",
            {"prompt": "x", "image_urls": [PICTURE], "sound": False, "duration": "5"},
            JOBS.create,
        ),
        (
            "google/nano-banana",
            {"prompt": "x", "output_format": "png", "aspect_ratio": "1:1", "nsfw_checker": True},
            JOBS.create,
        ),
        ("veo-3-1", {"prompt": "x", "image_urls": [PICTURE], "aspect_ratio": "9:16"}, JOBS.create),
        ("veo3_fast", {"prompt": "x", "imageUrls": [PICTURE], "aspect_ratio": "9:16"}, "/api/v1/veo/generate"),
    ],
)
async def test_what_is_pasted_from_kies_pages_is_sent_as_it_stands_there(
    client: Client, sandbox: Sandbox, model: str, fields: dict[str, Any], path: str
) -> None:
    earlier = len(sandbox.accepted)
    result = await run_model(client, model, fields)
    assert not result.is_error, text(result)
    (task,) = sandbox.accepted[earlier:]
    assert task.path == path
    assert task.model == model
    sent = task.body.get("input", task.body)
    assert fields.items() <= sent.items()


async def test_an_example_of_kies_runs_with_its_callback_which_is_ignored_in_a_word(
    client: Client, sandbox: Sandbox
) -> None:
    fields = {"prompt": "x", "image_url": PICTURE, "tail_image_url": "", "duration": "5", "negative_prompt ": "blur"}
    given = {"model": "kling/v2-1-pro", "callBackUrl": "https://example.com/hook", "input": fields}
    result = await client.call_tool("run_model", given)
    assert not result.is_error, text(result)
    assert text(result).endswith("\ncallBackUrl: ignored.")
    assert answer(result)["note"] == "callBackUrl: ignored."
    (task,) = sandbox.accepted
    assert "callBackUrl" not in task.body
    assert "tail_image_url" not in task.body["input"]
    assert task.body["input"]["negative_prompt"] == "blur"
    quoted = await client.call_tool("run_model", {**given, "quote": True})
    assert answer(quoted)["note"].endswith("callBackUrl: ignored.")
    assert "ignored" not in text(await client.call_tool("run_model", {**given, "callBackUrl": ""}))


@for_each("model", ["kling/v2-1-pro", "kling-2.1-pro", NEW])
async def test_a_whole_request_of_kies_is_understood_as_input(client: Client, new_model: Sandbox, model: str) -> None:
    fields = {"prompt": "x", "image_url": PICTURE} if model != NEW else {"prompt": "x"}
    id_ = "kling/v2-1-pro" if model != NEW else NEW
    whole = {"model": id_, "progressCallBackUrl": "https://example.com/hook", "input": fields}
    ways: list[dict[str, Any]] = [
        {"input": whole},
        {"input": json.dumps(whole)},
        {"input": {}, "input_json": json.dumps(whole)},
        {"input": {"input": json.dumps(fields)}},
        {"input": {**fields, "webhook_url": "https://example.com/hook"}, "callbackUrl": "https://example.com/hook"},
    ]
    for number, given in enumerate(ways, 1):
        result = await client.call_tool("run_model", {"model": model, "variation": number, **given})
        assert not result.is_error, text(result)
        assert fields.items() <= new_model.accepted[-1].body["input"].items()
        assert new_model.accepted[-1].model == id_


async def test_a_whole_request_of_another_model_is_refused(client: Client, sandbox: Sandbox) -> None:
    result = await run_model(client, "z-image", {"model": "qwen/text-to-image", "input": {"prompt": "x"}})
    assert "z-image does not take input" in text(result)
    assert sandbox.accepted == []


async def test_a_body_of_a_product_api_runs_with_its_fields_beside_the_model(client: Client, sandbox: Sandbox) -> None:
    body = {"model": "veo3_fast", "prompt": "x", "imageUrls": [PICTURE], "callBackUrl": "https://example.com/hook"}
    result = await client.call_tool("run_model", body)
    assert not result.is_error, text(result)
    (task,) = sandbox.accepted
    assert task.body["imageUrls"] == [PICTURE]
    assert text(result).endswith("callBackUrl: ignored.")


@for_each(
    "given, words",
    [
        ({}, "input is required"),
        ({"input": {"prompt": "x"}, "prompt": "y"}, "there is no argument prompt"),
        ({"inputs": {"prompt": "x"}}, "does not take inputs"),
        ({"prompt": "x", "unchecked": True}, "input is required"),
    ],
)
async def test_fields_beside_the_model_are_no_input_where_that_is_not_clear(
    client: Client, sandbox: Sandbox, given: dict[str, Any], words: str
) -> None:
    result = await client.call_tool("run_model", {"model": "z-image", **given})
    assert words in text(result)
    assert result.is_error
    assert sandbox.accepted == []


@for_each(
    "given",
    [
        {"input": {}, "input_json": '{"prompt": "x", "aspect_ratio": "16:9"}'},
        {"input_json": '{"prompt": "x", "aspect_ratio": "16:9"}'},
        {"input": {"prompt": "x"}, "input_json": '{"prompt": "y", "aspect_ratio": "16:9"}'},
        {"input": '{"prompt": "x", "aspect_ratio": "16:9"}', "input_json": ""},
    ],
)
async def test_a_host_that_closes_the_input_passes_it_as_text(
    client: Client, sandbox: Sandbox, given: dict[str, Any]
) -> None:
    result = await client.call_tool("run_model", {"model": "z-image", **given})
    assert not result.is_error, text(result)
    assert sandbox.accepted[-1].body["input"].items() >= {"prompt": "x", "aspect_ratio": "16:9"}.items()


@for_each("name", ["quote", "Quote", " quote "])
async def test_an_option_in_the_input_is_refused_and_not_left_out(client: Client, sandbox: Sandbox, name: str) -> None:
    said = await read_refusal(client, "z-image", {"prompt": "x", name: True})
    assert "quote: not a field of z-image's input" in said
    assert sandbox.accepted == []


@for_each("given", ["prompt: x", "[1]", '"x"'])
async def test_a_text_that_is_no_object_is_no_input(client: Client, sandbox: Sandbox, given: str) -> None:
    result = await client.call_tool("run_model", {"model": "z-image", "input": {}, "input_json": given})
    assert result.is_error
    assert "input_json is no JSON object" in text(result)
    assert sandbox.accepted == []


async def test_empty_fields_are_left_out_of_a_new_model_too(client: Client, new_model: Sandbox) -> None:
    given = {"prompt ": "x", "image_urls": [""], "duration": "", "callBackUrl": "https://example.com", "model": NEW}
    assert not (await run_model(client, NEW, given)).is_error
    assert new_model.accepted[0].body["input"] == {"prompt": "x", "duration": "5"}


@for_each("nothing", ["null", "None", "undefined", ["null"], "[]"])
async def test_placeholders_are_left_out_of_a_new_model_too(client: Client, new_model: Sandbox, nothing: Any) -> None:
    assert not (await run_model(client, NEW, {"prompt": "x", "image_urls": nothing})).is_error
    assert new_model.accepted[-1].body["input"] == {"prompt": "x", "duration": "5"}


async def test_our_own_names_and_other_names_of_a_model_do_as_well(client: Client, sandbox: Sandbox) -> None:
    await run_model(client, " Kling-2.1-Pro ", {"prompt": "x", "image": PICTURE, "duration": 10})
    await run_model(client, " veo-3-1 ", {"prompt": "x", "images": [PICTURE]})
    assert [task.model for task in sandbox.accepted] == ["kling/v2-1-pro", "veo-3-1"]
    assert sandbox.accepted[0].body["input"]["duration"] == "10"


async def test_an_alias_means_the_sister_model_that_takes_the_file(client: Client, sandbox: Sandbox) -> None:
    fields = {"prompt": "x", "image_url": PICTURE, "cfg_scale": 0.5}
    assert not (await run_model(client, "kling-2.5-turbo", fields)).is_error
    assert sandbox.accepted[0].model == "kling/v2-5-turbo-image-to-video-pro"
    refused = await read_refusal(client, "kling/v2-5-turbo-text-to-video-pro", fields)
    assert "The same with image is kling/v2-5-turbo-image-to-video-pro." in refused


async def test_a_unified_id_is_run_as_that_and_not_otherwise(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.removed.add("veo-3-1")
    assert "veo-3-1" in await read_refusal(client, "veo-3-1", {"prompt": "x"})
    assert sandbox.accepted == []


@for_each(
    "fields, words",
    [({"prompt": "x"}, "image is required"), ({"prompt": "x", "image": PICTURE, "sed": 1}, "does not take sed")],
)
async def test_a_built_in_model_is_checked_by_its_class(
    client: Client, sandbox: Sandbox, fields: dict[str, Any], words: str
) -> None:
    assert words in await read_refusal(client, "kling-2.6/image-to-video", fields)
    assert sandbox.accepted == []


async def test_a_new_model_is_checked_by_its_schema_and_run(client: Client, new_model: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "fox.png").write_bytes(render_file("fox.png", MediaContent("a fox", "1")))
    result = await run_model(client, f" {NEW} ", {"prompt": "x", "image_urls": [str(tmp_path / "fox.png")]})
    assert answer(result)["status"] == "succeeded", text(result)
    (task,) = new_model.accepted
    (url,) = task.body["input"]["image_urls"]
    assert url.startswith("https://")
    assert task.body == {"model": NEW, "input": {"prompt": "x", "image_urls": [url], "duration": "5"}}


@for_each(
    "fields, words",
    [
        ({}, "prompt is required"),
        ({"prompt": "x" * 51}, "prompt: String should have at most 50"),
        ({"prompt": " \n"}, "prompt: nothing but blanks"),
        ({"prompt": "x", "sed": 1}, "there is no argument sed"),
        ({"prompt": "x", "duration": "6"}, "duration: Input should be '5' or '10'"),
    ],
)
async def test_what_the_schema_of_a_new_model_refuses_is_not_sent(
    client: Client, new_model: Sandbox, fields: dict[str, Any], words: str
) -> None:
    assert words in await read_refusal(client, NEW, fields, unchecked=True)
    assert new_model.accepted == []


@for_each("models", [[{"name": "lora", "weight": 0.5}], 3, "lora"])
async def test_a_new_model_may_have_a_field_called_models(client: Client, sandbox: Sandbox, models: Any) -> None:
    sandbox.discovery.add_model(NEW, {"properties": {"models": {}}})
    assert answer(await run_model(client, NEW, {"models": models}))["status"] == "succeeded"
    assert sandbox.accepted[-1].body["input"] == {"models": models}


async def test_without_a_schema_the_caller_has_to_be_sure(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.add_model("vendor/odd", None)
    assert "unchecked" in await read_refusal(client, "vendor/odd", {"prompt": "x", "odd": [1]})
    assert sandbox.accepted == []
    assert "quote" in await read_refusal(client, "vendor/odd", {"prompt": "x", "quote": True}, unchecked=True)
    assert not (await run_model(client, "vendor/odd", {"prompt": "x", "odd": [1]}, unchecked=True)).is_error
    assert sandbox.accepted[0].body["input"] == {"prompt": "x", "odd": [1]}


IMAGE = {"type": "string", "format": "uri"}


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"image": {"oneOf": [IMAGE, {"type": "array", "items": IMAGE}]}},
        {"image": {"type": ["string", "array"]}},
        {"image": {}},
        {"part": {"type": "object"}},
    ],
    ids=str,
)
async def test_a_file_is_uploaded_where_a_schema_does_not_tell_files(
    client: Client, sandbox: Sandbox, tmp_path: Path, schema: dict[str, Any] | None
) -> None:
    sandbox.discovery.add_model(NEW, schema and {"properties": {"prompt": {}, **schema}})
    (tmp_path / "a.png").write_bytes(render_file("a.png", MediaContent("a", "1")))
    file = str(tmp_path / "a.png")
    # The second file is the result of the call with the first one.
    for _ in range(2):
        fields = {"part": {"image": [file]}} if schema and "part" in schema else {"image": file}
        result = await run_model(client, NEW, {"prompt": f"Like {file}, in blue", **fields}, unchecked=True)
        assert not result.is_error, (file, text(result))
        sent = sandbox.accepted[-1].body["input"]
        (url,) = sent["part"]["image"] if "part" in sent else [sent["image"]]
        assert url.startswith("https://"), file
        assert sent["prompt"] == f"Like {file}, in blue"
        file = f"task:{answer(result)['task_id']}#1"


@for_each("model", ["vendor/odd", "vendor/plain", "z-image"])
@for_each(
    "stray",
    [
        "task:t_x#1",
        "task:t_x#1, task:t_x#2",
        "`t_x#2`",
        "{folder}/a b.png, task:t_x#1",
        "kie://uploads/u_1",
        "file:///home/me/a b.png",
        '["task:t_x#1"]',
        "{folder}/a b.png",
        "  {folder}/a b.png\n",
    ],
)
async def test_a_reference_in_a_field_that_takes_no_file_never_reaches_kie(
    client: Client, sandbox: Sandbox, tmp_path: Path, model: str, stray: str
) -> None:
    sandbox.discovery.add_model("vendor/odd", None)
    sandbox.discovery.add_model("vendor/plain", {"properties": {"prompt": {"type": "string"}}})
    (tmp_path / "a b.png").write_bytes(render_file("a.png", MediaContent("a", "1")))
    said = await read_refusal(client, model, {"prompt": stray.format(folder=tmp_path)}, unchecked=True)
    assert said.startswith("failed: prompt")
    assert "is known only on this machine" in said
    assert sandbox.accepted == []


@for_each("name", ["a.png", "a.mp4", "a.mp3"])
async def test_a_field_that_does_not_tell_what_it_takes_takes_any_file(
    client: Client, sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(render_file(name, MediaContent("a", "1")))
    sandbox.discovery.add_model(NEW, {"properties": {"source": {"type": "string"}}})
    quoted = await run_model(client, NEW, {"source": f"file://{tmp_path / name}"}, quote=True)
    assert not quoted.is_error, text(quoted)
    assert "there is no file" in (await read_refusal(client, NEW, {"source": f"file://{tmp_path}/b.png"})).lower()


@for_each(
    "model, field, value, words",
    [
        ("z-image", "nsfw_checker", "maybe", "nsfw_checker: Input should be a valid boolean"),
        ("z-image", "enable_safety_checker", {"a": [1]}, "enable_safety_checker: Input should be a valid boolean"),
        ("z-image", "upload_method", "ftp", "upload_method: Input should be"),
        ("veo3_fast", "seeds", "many", "seeds: Input should be a valid integer"),
        (
            "elevenlabs/text-to-speech-multilingual-v2",
            "language_code",
            "de",
            "language_code: KIE does not take this field here",
        ),
    ],
)
async def test_a_hidden_field_with_a_wrong_value_is_refused(
    client: Client, sandbox: Sandbox, model: str, field: str, value: Any, words: str
) -> None:
    assert words in await read_refusal(client, model, {"prompt": "x", field: value})
    assert sandbox.accepted == []


@for_each(
    "model, field, given, sent",
    [
        ("z-image", "nsfw_checker", "false", {"nsfw_checker": False}),
        ("z-image", "nsfw_checker", True, {"nsfw_checker": True}),
        (WITHOUT_SCHEMA, "upload_method", "S3", {"upload_method": "s3"}),
        (WITHOUT_SCHEMA, "language_code", "de", {"language_code": "de"}),
        ("z-image", "sync_mode", False, {}),
    ],
)
async def test_a_hidden_field_is_sent_as_its_schema_wants_it(
    client: Client, sandbox: Sandbox, model: str, field: str, given: Any, sent: dict[str, Any]
) -> None:
    result = await run_model(client, model, {"prompt": "x", field: given})
    assert not result.is_error, text(result)
    body = sandbox.accepted[-1].body["input"]
    assert {name: body[name] for name in (field,) if name in body} == sent


@for_each(
    "model, field, value",
    [
        ("z-image", "sync_mode", True),
        ("z-image", "upload_method", "s3"),
        ("z-image", "language_code", "en"),
        ("happyhorse-1-1/text-to-video", "nsfw_checker", True),
        ("veo3_fast", "uploadCn", True),
    ],
)
async def test_a_hidden_field_that_the_model_does_not_have_is_refused(
    client: Client, sandbox: Sandbox, model: str, field: str, value: object
) -> None:
    assert f"{model} does not take {field}" in await read_refusal(client, model, {"prompt": "x", field: value})
    assert sandbox.accepted == []


@pytest.mark.parametrize("named", ["{}", "task:{}#1"])
async def test_the_task_that_a_clip_goes_on_from_reaches_kie_under_kies_id(
    client: Client, sandbox: Sandbox, named: str
) -> None:
    first = answer(await run_model(client, SEEDANCE, {"prompt": "a fox runs"}))["task_id"]
    await client.call_tool("get_task", {"task_ids": first, "wait_seconds": 60})
    fields = {"prompt": "it goes on", "extension_task_id": named.format(first)}
    result = await run_model(client, SEEDANCE, fields)
    assert sandbox.accepted[-1].body["input"]["extension_task_id"] == sandbox.accepted[0].id
    assert "no longer has" not in text(result)


async def test_a_reference_in_a_hidden_field_never_reaches_kie(client: Client, sandbox: Sandbox) -> None:
    said = await read_refusal(client, WITHOUT_SCHEMA, {"prompt": "x", "language_code": "task:t_x#1"})
    assert "language_code: task:t_x#1 is known only on this machine" in said
    assert sandbox.accepted == []


@for_each("name, near", [("vendor/new-imag", NEW), ("veo-33", "veo3"), ("", "find_models")])
@for_each("unchecked", [True, False])
async def test_an_id_that_exists_nowhere_never_reaches_a_create(
    client: Client, new_model: Sandbox, name: str, near: str, unchecked: bool
) -> None:
    assert near in await read_refusal(client, name, {"prompt": "x"}, unchecked=unchecked, anyway=True)
    assert new_model.accepted == []


async def test_when_kie_tells_nothing_known_models_run_and_unknown_ones_say_so(
    client: Client, new_model: Sandbox
) -> None:
    new_model.inject_fault("discovery", "503", 100)
    with retry_at_once():
        assert answer(await run_model(client, "google/nano-banana", {"prompt": "x"}))["status"] == "succeeded"
        said = await read_refusal(client, "vendor/new-imag", {"prompt": "x"})
        nearest = await read_refusal(client, "veo-33", {"prompt": "x"})
    assert "'vendor/new-imag' is not built in, and KIE could not be asked for it." in said
    assert "veo3" in nearest
    assert len(new_model.accepted) == 1


FAN_OUT = {
    "properties": {"x": {"$ref": "#/$defs/0"}},
    "$defs": {str(level): {"anyOf": [{"$ref": f"#/$defs/{level + 1}"}] * 4} for level in range(14)} | {"14": {}},
}


def publish_document(sandbox: Sandbox, schema: dict[str, Any]) -> None:
    """Let KIE publish a schema whose references lead into it."""
    place = "#/paths/~1api~1v1~1jobs~1createTask/post/requestBody/content/application~1json/schema/properties/input"
    written = json.dumps(schema).replace("#/$defs/", f"{place}/$defs/")
    sandbox.discovery.extra_models["vendor/odd"] = Offer(
        dynamic_model.unchecked_model("vendor/odd", kind="image", task_type="text-to-image"), "jobs"
    )
    sandbox.discovery.extra_schemas["vendor/odd"] = json.loads(written)


async def test_a_schema_that_fans_out_is_refused_in_a_word_and_not_kept(client: Client, sandbox: Sandbox) -> None:
    publish_document(sandbox, FAN_OUT)
    with anyio.fail_after(60):
        said = await read_refusal(client, "vendor/odd", {"prompt": "x"})
        described = text(await client.call_tool("describe_model", {"model": "vendor/odd"}))
    assert "KIE's schema cannot be used, because it is too large" in said
    assert "unchecked" in said
    assert "it is too large" in described
    assert not (await run_model(client, "vendor/odd", {"prompt": "x"}, unchecked=True)).is_error
    # KIE has mended its schema, and nobody has to wait until an answer that was kept is a day old.
    sandbox.discovery.extra_schemas["vendor/odd"] = {"properties": {"prompt": {"type": "string", "maxLength": 3}}}
    assert "at most 3" in await read_refusal(client, "vendor/odd", {"prompt": "long"})


@pytest.mark.parametrize(
    "odd", [{"enum": "x"}, {"multipleOf": 0}, {"maxLength": "5000"}, {"items": [{}]}, None], ids=str
)
async def test_no_odd_schema_is_an_internal_error(client: Client, sandbox: Sandbox, odd: Any) -> None:
    sandbox.discovery.add_model("vendor/odd", {"properties": {"x": odd, "prompt": {"type": "string"}}})
    described = await client.call_tool("describe_model", {"model": "vendor/odd"})
    assert "prompt: string" in text(described)
    assert not (await run_model(client, "vendor/odd", {"prompt": "x"})).is_error


async def test_a_model_that_only_the_snapshot_knows_runs_checked_while_kie_tells_nothing(
    client: Client, sandbox: Sandbox, snapshot_model: str
) -> None:
    sandbox.discovery.add_model(snapshot_model, None)
    sandbox.inject_fault("discovery", "503", 100)
    with retry_at_once():
        refused = await read_refusal(client, snapshot_model, {"prompt": "x" * 51})
        quoted = await run_model(client, snapshot_model, {"prompt": "x"}, quote=True)
        result = await run_model(client, snapshot_model, {"prompt": "x"})
        listed = text(await client.call_tool("find_models", {"words": "kept"}))
    assert "prompt: String should have at most 50" in refused
    assert answer(result)["status"] == "succeeded", text(result)
    assert sandbox.accepted[0].body["input"] == {"prompt": "x", "duration": "5"}
    assert "KIE did not answer: its price text is of 2099-01-01." in text(quoted)
    assert answer(quoted)["estimated_credits"] == [7, 7]
    assert "At KIE on 2099-01-01" in listed


@pytest.fixture
def snapshot_model(settings: Settings) -> str:
    """A model that stands only in the snapshot in the data folder."""
    model = OfferedModel("vendor/kept", "Kept", "Vendor", ("text-to-image",), "7 credits per image", "2099-01-01")
    snapshot = Snapshot("2099-01-01", {model.id: model}, {model.id: read_schema(SCHEMA)})
    snapshot.write(settings.state_dir / SNAPSHOT_FILE)
    return model.id
