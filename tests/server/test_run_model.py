"""`run_model`, and what finding, describing and health owe to KIE's list of today."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp_types import CallToolResult
from support.clock import JumpingClock
from support.fake_kie import no_waiting

from kie_mcp.catalog.registry import MODELS
from kie_mcp.kie.client import READ_ATTEMPTS, KieClient
from kie_mcp.kie.discovery import HOUR, Discovery, OfferedModel
from kie_mcp.kie.routes import JOBS, listed
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.media import Work, render
from kie_mcp.server import health, live_models

pytestmark = pytest.mark.anyio

NEW = "vendor/new-image"
SCHEMA = {
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "string", "maxLength": 50},
        "image_urls": {"type": "array", "items": {"type": "string", "format": "uri"}, "maxItems": 2},
        "duration": {"type": "string", "enum": ["5", "10"], "default": "5"},
    },
}
PICTURE = "https://files.example/a.png"


def answer(result: CallToolResult) -> dict[str, Any]:
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text(result: CallToolResult) -> str:
    content, *links = result.content
    assert content.type == "text"
    assert {link.type for link in links} <= {"resource_link"}
    return content.text


def tokens(result: CallToolResult) -> float:
    """The size of the larger form."""
    structured = json.dumps(result.structured_content, separators=(",", ":"), ensure_ascii=False)
    return max(len(structured.encode()), len(text(result).encode())) / 4


async def run(client: Client, model: str, fields: dict[str, Any], **more: Any) -> CallToolResult:
    return await client.call_tool("run_model", {"model": model, "input": fields, **more})


async def refused(client: Client, model: str, fields: dict[str, Any], **more: Any) -> str:
    result = await run(client, model, fields, **more)
    assert result.is_error
    assert answer(result)["error"]["billed"] is False
    return text(result)


@pytest.fixture
def new(sandbox: Sandbox) -> Sandbox:
    sandbox.discovery.add(NEW, SCHEMA)
    return sandbox


@pytest.mark.parametrize(
    ("model", "fields", "path"),
    [
        (
            "kling-2.6/image-to-video",
            {"prompt": "x", "image_urls": [PICTURE], "sound": False, "duration": "5", "nsfw_checker": True},
            JOBS.create,
        ),
        ("google/nano-banana", {"prompt": "x", "output_format": "png", "aspect_ratio": "1:1"}, JOBS.create),
        ("veo-3-1", {"prompt": "x", "image_urls": [PICTURE], "aspect_ratio": "9:16"}, JOBS.create),
        ("veo3_fast", {"prompt": "x", "imageUrls": [PICTURE], "aspect_ratio": "9:16"}, "/api/v1/veo/generate"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_what_is_pasted_from_kies_pages_is_sent_as_it_stands_there(
    client: Client, sandbox: Sandbox, model: str, fields: dict[str, Any], path: str
) -> None:
    result = await run(client, model, fields)
    assert not result.is_error, text(result)
    (task,) = sandbox.accepted
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


async def test_a_body_of_a_product_api_runs_with_its_fields_beside_the_model(client: Client, sandbox: Sandbox) -> None:
    body = {"model": "veo3_fast", "prompt": "x", "imageUrls": [PICTURE], "callBackUrl": "https://example.com/hook"}
    result = await client.call_tool("run_model", body)
    assert not result.is_error, text(result)
    (task,) = sandbox.accepted
    assert task.body["imageUrls"] == [PICTURE]
    assert text(result).endswith("callBackUrl: ignored.")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "input is required"),
        ({"input": {"prompt": "x"}, "prompt": "y"}, "there is no argument prompt"),
        ({"inputs": {"prompt": "x"}}, "does not take inputs"),
        ({"prompt": "x", "unchecked": True}, "input is required"),
    ],
    ids=str,
)
async def test_fields_beside_the_model_are_no_input_where_that_is_not_clear(
    client: Client, sandbox: Sandbox, given: dict[str, Any], words: str
) -> None:
    result = await client.call_tool("run_model", {"model": "z-image", **given})
    assert words in text(result)
    assert result.is_error
    assert sandbox.accepted == []


async def test_empty_fields_are_left_out_of_a_new_model_too(client: Client, new: Sandbox) -> None:
    given = {"prompt ": "x", "image_urls": [""], "duration": "", "callBackUrl": "https://example.com", "model": NEW}
    assert not (await run(client, NEW, given)).is_error
    assert new.accepted[0].body["input"] == {"prompt": "x", "duration": "5"}


async def test_our_own_names_and_other_names_of_a_model_do_as_well(client: Client, sandbox: Sandbox) -> None:
    await run(client, " Kling-2.1-Pro ", {"prompt": "x", "image": PICTURE, "duration": 10})
    await run(client, " veo-3-1 ", {"prompt": "x", "images": [PICTURE]})
    assert [task.model for task in sandbox.accepted] == ["kling/v2-1-pro", "veo-3-1"]
    assert sandbox.accepted[0].body["input"]["duration"] == "10"


async def test_a_unified_id_is_run_as_that_and_not_otherwise(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.dropped.add("veo-3-1")
    assert "veo-3-1" in await refused(client, "veo-3-1", {"prompt": "x"})
    assert sandbox.accepted == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"prompt": "x"}, "image is required"), ({"prompt": "x", "image": PICTURE, "sed": 1}, "does not take sed")],
)
async def test_a_built_in_model_is_checked_by_its_class(
    client: Client, sandbox: Sandbox, fields: dict[str, Any], words: str
) -> None:
    assert words in await refused(client, "kling-2.6/image-to-video", fields)
    assert sandbox.accepted == []


async def test_a_new_model_is_checked_by_its_schema_and_run(client: Client, new: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "fox.png").write_bytes(render("fox.png", Work("a fox", "1")))
    result = await run(client, f" {NEW} ", {"prompt": "x", "image_urls": [str(tmp_path / "fox.png")]})
    assert answer(result)["status"] == "succeeded", text(result)
    (task,) = new.accepted
    (url,) = task.body["input"]["image_urls"]
    assert url.startswith("https://")
    assert task.body == {"model": NEW, "input": {"prompt": "x", "image_urls": [url], "duration": "5"}}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "prompt is required"),
        ({"prompt": "x" * 51}, "prompt: String should have at most 50"),
        ({"prompt": "x", "sed": 1}, "there is no argument sed"),
        ({"prompt": "x", "duration": "6"}, "duration: Input should be '5' or '10'"),
    ],
    ids=str,
)
async def test_what_the_schema_of_a_new_model_refuses_is_not_sent(
    client: Client, new: Sandbox, fields: dict[str, Any], words: str
) -> None:
    assert words in await refused(client, NEW, fields, unchecked=True)
    assert new.accepted == []


async def test_without_a_schema_the_caller_has_to_be_sure(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.add("vendor/odd", None)
    assert "unchecked" in await refused(client, "vendor/odd", {"prompt": "x", "odd": [1]})
    assert sandbox.accepted == []
    assert not (await run(client, "vendor/odd", {"prompt": "x", "odd": [1]}, unchecked=True)).is_error
    assert sandbox.accepted[0].body["input"] == {"prompt": "x", "odd": [1]}


@pytest.mark.parametrize(("name", "near"), [("vendor/new-imag", NEW), ("veo-33", "veo3"), ("", "find_models")])
@pytest.mark.parametrize("unchecked", [True, False])
async def test_an_id_that_exists_nowhere_never_reaches_a_create(
    client: Client, new: Sandbox, name: str, near: str, unchecked: bool
) -> None:
    assert near in await refused(client, name, {"prompt": "x"}, unchecked=unchecked, anyway=True)
    assert new.accepted == []


async def test_when_kie_tells_nothing_known_models_run_and_unknown_ones_say_so(client: Client, new: Sandbox) -> None:
    new.fault("discovery", "503", 100)
    with no_waiting():
        assert answer(await run(client, "google/nano-banana", {"prompt": "x"}))["status"] == "succeeded"
        said = await refused(client, "vendor/new-imag", {"prompt": "x"})
        nearest = await refused(client, "veo-33", {"prompt": "x"})
    assert "'vendor/new-imag' is not built in, and KIE could not be asked for it." in said
    assert "veo3" in nearest
    assert len(new.accepted) == 1


async def test_finding_shows_what_is_new_and_what_is_gone(client: Client, new: Sandbox) -> None:
    new.discovery.dropped.add("z-image")
    new.discovery.prices[NEW] = "1K: 4 credits\n2K: 9 credits"
    (row,) = answer(await client.call_tool("find_models", {"words": "VENDOR image", "kind": "image"}))["models"]
    assert row == {
        "model": NEW,
        "tool": "run_model",
        "mode": "text-to-image",
        "credits": "1K: 4 credits 2K: 9 credits",
        "about": "New at KIE: Vendor New Image, Dynamic Model.",
    }
    (gone, *_) = answer(await client.call_tool("find_models", {"words": "z-image"}))["models"]
    assert gone["about"].endswith("(gone from KIE's list of today)")
    for other in ({"words": "vendor", "kind": "video"}, {"words": "vendor", "mode": "to-video"}, {"words": "vendr"}):
        assert answer(await client.call_tool("find_models", other))["models"] == []
    # What a stranger costs is told in words, and words cannot be compared.
    assert answer(await client.call_tool("find_models", {"words": "vendor", "max_credits": 1000}))["models"] == []


async def test_a_page_of_strangers_with_much_to_say_stays_small(client: Client, sandbox: Sandbox) -> None:
    for number in range(30):
        id_ = f"vendor/a-model-with-quite-a-long-name-{number}"
        sandbox.discovery.add(id_, SCHEMA)
        sandbox.discovery.prices[id_] = "720p: 10 credits a second ($0.05)\n" * 20
    for page in (1, 2, 3):
        result = await client.call_tool("find_models", {"words": "vendor", "page": page})
        assert answer(result)["pages"] == 3
        assert tokens(result) <= 1000


async def test_the_resource_of_models_is_merged_too(client: Client, new: Sandbox) -> None:
    new.discovery.dropped.add("z-image")
    (content,) = (await client.read_resource("kie://models")).contents
    rows = {row["model"]: row for row in json.loads(getattr(content, "text", ""))["models"]}
    assert rows.keys() == {*MODELS, NEW}
    assert "gone" in rows["z-image"]["about"]
    assert rows[NEW]["tool"] == "run_model"


async def test_a_description_shows_kies_price_of_today_beside_ours(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.prices["z-image"] = "1 credit\n($0.005)"
    sandbox.discovery.dropped.add("google/nano-banana")
    described = await client.call_tool("describe_model", {"model": "z-image"})
    assert answer(described)["live_price"] == "1 credit ($0.005)"
    assert "KIE's price today: 1 credit ($0.005)" in text(described)
    gone = await client.call_tool("describe_model", {"model": "google/nano-banana"})
    assert "KIE's list today: gone" in text(gone)


async def test_a_description_has_room_for_kies_price_of_any_model(client: Client, sandbox: Sandbox) -> None:
    for offered in (id_ for model in MODELS.values() for id_ in listed(model)):
        sandbox.discovery.prices[offered] = "720p: 10 credits a second ($0.05)\n" * 20
    for id_ in MODELS:
        result = await client.call_tool("describe_model", {"model": id_})
        assert tokens(result) <= 600, id_


async def test_a_new_model_is_described_in_kies_own_names(client: Client, new: Sandbox) -> None:
    new.discovery.add("vendor/copy", {"properties": {"copy": {"type": "string"}, "x": {}}, "required": ["copy"]})
    assert text(await client.call_tool("describe_model", {"model": f" {NEW}"})).splitlines() == [
        f"{NEW} (tool run_model): {NEW}, as KIE describes it today.",
        "text-to-image, usually 60 s.",
        "Credits (2026-10-02): unknown.",
        "KIE's price today: not told",
        "prompt*: string up to 50",
        "image_urls: list at most 2 - file",
        "duration: 5, 10 (default 5)",
    ]
    assert "\ncopy*: string\nx: anything" in text(await client.call_tool("describe_model", {"model": "vendor/copy"}))


async def test_a_model_without_a_schema_is_described_by_what_is_known(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.add("vendor/odd", None)
    sandbox.discovery.prices["vendor/odd"] = "7 credits"
    said = text(await client.call_tool("describe_model", {"model": "vendor/odd"}))
    assert "unchecked: true" in said
    assert "7 credits" in said


@pytest.mark.parametrize(
    "properties",
    [
        {f"field_{n}": {"type": "string", "enum": [f"choice {each}" for each in range(90)]} for n in range(9)},
        {f"field_{n}": {"type": "string", "description": "x" * 500} for n in range(9)},
        {
            f"field_{n}": {"type": "array", "items": {"type": "object", "properties": SCHEMA["properties"]}}
            for n in "ab"
        },
        {f"a_field_with_a_long_name_{n}": {} for n in range(300)},
        {"x" * 5000: {"type": "string"}},
    ],
    ids=["enums", "prose", "parts", "many", "long name"],
)
async def test_a_description_of_a_huge_schema_says_what_there_is_room_for(
    client: Client, sandbox: Sandbox, properties: dict[str, Any]
) -> None:
    schema = {"properties": {**properties, "prompt": {"type": "string"}}, "required": ["prompt"]}
    sandbox.discovery.add(NEW, schema)
    result = await client.call_tool("describe_model", {"model": NEW})
    assert tokens(result) <= 600
    shown = answer(result)["input_schema"]["properties"]
    assert next(iter(shown)) == "prompt"
    left_out = len(properties) + 1 - len(shown)
    assert (f"{left_out} more fields have no room here" in text(result)) == (left_out > 0)


async def test_when_kie_tells_nothing_built_in_models_are_described_and_others_are_not(
    client: Client, new: Sandbox
) -> None:
    new.fault("discovery", "503", 100)
    with no_waiting():
        assert "live_price" not in answer(await client.call_tool("describe_model", {"model": "z-image"}))
        result = await client.call_tool("describe_model", {"model": "veo-33"})
    assert "There is no model 'veo-33' here." in text(result)
    assert "veo3" in text(result)


async def test_a_model_that_fails_today_is_refused_with_a_substitute(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.success |= {"nano-banana-2-1": 20.0, "nano-banana-2-lite": 49.0}
    for tool, given in (
        ("nano_banana_image", {"prompt": "x"}),
        ("run_model", {"model": "nano-banana-2-1", "input": {"prompt": "x"}}),
    ):
        result = await client.call_tool(tool, given)
        assert answer(result)["error"]["category"] == "unhealthy"
        assert answer(result)["error"]["billed"] is False
        assert "succeeded in 20% of its tasks in the last hour" in text(result)
        substitute = text(result).partition("Take ")[2].partition(" instead")[0]
        assert MODELS[substitute].does == "text-to-image"
        assert substitute != "nano-banana-2-lite"
        assert 4 / 3 <= (MODELS[substitute].usual_estimate().low or 4) <= 12
    assert sandbox.accepted == []
    for no in (False, "false", "no", 1):
        assert (await client.call_tool("nano_banana_image", {"prompt": "x", "anyway": no})).is_error
    for yes in (True, "true"):
        assert not (await client.call_tool("nano_banana_image", {"prompt": "x", "anyway": yes})).is_error
    assert not (await run(client, "nano-banana-2-1", {"prompt": "y"}, anyway=True)).is_error
    assert len(sandbox.accepted) == 3


async def test_half_is_enough(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.success["google/nano-banana"] = 50.0
    assert not (await run(client, "google/nano-banana", {"prompt": "x"})).is_error


async def test_where_nothing_else_does_the_same_no_substitute_is_named(client: Client, new: Sandbox) -> None:
    new.discovery.add(NEW, SCHEMA, does="text-to-hologram")
    new.discovery.success[NEW] = 10.0
    said = await refused(client, NEW, {"prompt": "x"})
    assert "Take" not in said
    assert "anyway: true" in said
    assert not (await run(client, NEW, {"prompt": "x"}, anyway=True)).is_error


async def test_the_other_tiers_of_a_model_are_no_substitutes_for_it(client: Client, sandbox: Sandbox) -> None:
    """KIE counts their success as one."""
    sandbox.discovery.success["veo-3-1"] = 10.0
    said = await refused(client, "veo3_fast", {"prompt": "x"})
    assert "Take " in said
    assert "Take veo3" not in said


async def test_what_kie_has_no_figures_of_is_run(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.dropped.add("veo-3-1")
    assert not (await run(client, "veo3_fast", {"prompt": "x"})).is_error


async def test_nobody_waits_for_figures_longer_than_they_are_worth(clock: JumpingClock, tmp_path: Path) -> None:
    async def silent(_: Any, __: Any, ___: Any) -> None:
        await anyio.sleep_forever()

    async with KieClient("sandbox", transport=httpx2.ASGITransport(app=silent), clock=clock) as client:
        live = Discovery(client, tmp_path, clock=clock)
        with anyio.fail_after(5):
            await health.check_health(live, MODELS["z-image"], patience=0.01)
            # No list of KIE's has it, so nothing is asked.
            await health.check_health(live, MODELS["mj_txt2img"], patience=60)
    assert live_models.PATIENCE == 5


async def test_figures_of_another_hour_say_nothing(client: Client, sandbox: Sandbox, clock: JumpingClock) -> None:
    sandbox.discovery.success["z-image"] = 0.0
    assert "succeeded in 0%" in await refused(client, "z-image", {"prompt": "x"})
    clock.now += 2 * HOUR
    with no_waiting():
        sandbox.fault("discovery", "503", READ_ATTEMPTS)
        assert not (await run(client, "z-image", {"prompt": "x"})).is_error


@pytest.mark.parametrize(
    ("modes", "kind"),
    [
        (("text-to-image", "image-to-video"), "video"),
        (("text-to-speech",), "audio"),
        (("sound-effect",), "audio"),
        (("generate-lyrics",), "text"),
        (("upscale",), "image"),
        ((), "image"),
    ],
)
def test_what_a_new_model_makes_is_told_by_its_task_types(modes: tuple[str, ...], kind: str) -> None:
    model = OfferedModel(id="x", title="", provider="", does=modes, price="")
    assert live_models.kind_of(model) == kind
    assert live_models.does(model) == (modes[0] if modes else "")
