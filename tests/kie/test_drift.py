"""How the built-in classes differ from what KIE publishes, found by changing what it publishes."""

import copy
from pathlib import Path
from typing import Any

import pytest
from support.clock import JumpingClock
from support.facts import market
from support.fake_kie import retry_at_once

from kie_mcp.catalog.published_schema import extract_input_schema
from kie_mcp.errors import ApiError
from kie_mcp.kie.client import READ_ATTEMPTS, KieClient
from kie_mcp.kie.discovery import REQUEST_INTERVAL, Discovery
from kie_mcp.kie.drift import ModelDrift, compare_models, list_built_in, schema_differences
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.offers import Offer

BUILT_IN = list_built_in()

pytestmark = pytest.mark.anyio

ID = "kling-2.6/image-to-video"


@pytest.fixture
def live(kie: KieClient, clock: JumpingClock, tmp_path: Path) -> Discovery:
    return Discovery(kie, tmp_path / "live", clock=clock)


async def found(live: Discovery, *only: str) -> list[ModelDrift]:
    return [each async for each in compare_models(live, only)]


async def test_nothing_has_changed_at_a_kie_that_publishes_the_classes(live: Discovery, clock: JumpingClock) -> None:
    started = clock.now
    compared = await found(live)
    assert [each for each in compared if each.changes] == []
    assert {each.id for each in compared} == {id_ for id_, (model, _) in BUILT_IN.items() if not model.legacy}
    assert clock.now - started == pytest.approx(REQUEST_INTERVAL * len(compared), rel=0.01)


async def test_new_and_gone_models_are_told(live: Discovery, sandbox: Sandbox) -> None:
    sandbox.discovery.add_model("vendor/new", None)
    sandbox.discovery.removed.update(("z-image", "veo-3-1"))
    assert await found(live, "vendor/new", "z-image", "veo-3-1", "nobody/nothing", ID) == [
        ModelDrift("vendor/new", ("new at KIE",)),
        ModelDrift("z-image", ("gone from KIE's list",)),
        ModelDrift("veo-3-1", ("gone from KIE's list",)),
        ModelDrift("nobody/nothing", ("neither at KIE nor built in",)),
        ModelDrift(ID),
    ]


async def test_a_legacy_model_is_not_missed(live: Discovery) -> None:
    (legacy,) = [id_ for id_, (model, _) in BUILT_IN.items() if model.legacy][:1]
    assert await found(live, legacy) == []


async def test_what_kie_publishes_no_schema_of_has_not_changed(live: Discovery, sandbox: Sandbox) -> None:
    sandbox.discovery.extra_schemas[ID] = None
    assert await found(live, ID) == [ModelDrift(ID)]


async def test_a_schema_that_cannot_be_read_is_told(live: Discovery, sandbox: Sandbox) -> None:
    await live.read_models()
    sandbox.inject_fault("discovery", "500", READ_ATTEMPTS)
    with retry_at_once():
        ((id_, changes),) = [(each.id, each.changes) for each in await found(live, ID)]
    assert id_ == ID
    assert changes[0].startswith("its schema cannot be read (")


async def test_without_the_list_there_is_nothing_to_compare(live: Discovery, sandbox: Sandbox) -> None:
    sandbox.inject_fault("discovery", "500", READ_ATTEMPTS)
    with retry_at_once(), pytest.raises(ApiError):
        await found(live)


SCHEMA: dict[str, Any] = Offer(*BUILT_IN[ID]).input_schema


@pytest.mark.parametrize(
    ("field", "change", "line"),
    [
        ("tempo", {"type": "integer"}, "tempo is new"),
        ("tempo", {"type": "integer", "deprecated": True}, None),
        ("nsfw_checker", {"type": "boolean"}, None),
        ("sound", None, "sound is gone"),
        ("duration", {"type": "string", "enum": ["5", "10", "15"]}, "duration also takes 15"),
        ("duration", {"type": "string", "enum": ["5"]}, "duration no longer takes 10"),
        ("duration", {"type": "string", "enum": ["5", "8"]}, "duration also takes 8; no longer takes 10"),
        ("duration", {"type": "integer", "enum": [10, 5]}, None),
        ("duration", {"type": "string"}, None),
        ("prompt", {"type": "string", "maxLength": 500}, "prompt has maxLength 500, not 1000"),
        ("image_urls", {"type": "array", "maxItems": 2}, "image_urls has maxItems 2, not 1"),
    ],
    ids=str,
)
async def test_each_kind_of_change_is_told(
    live: Discovery, sandbox: Sandbox, field: str, change: dict[str, Any] | None, line: str | None
) -> None:
    schema = copy.deepcopy(SCHEMA)
    if change is None:
        del schema["properties"][field]
    else:
        schema["properties"][field] = change
    sandbox.discovery.extra_schemas[ID] = schema
    assert await found(live, ID) == [ModelDrift(ID, (line,) if line else ())]


def test_a_field_that_kie_has_come_to_require_is_told() -> None:
    model, way = BUILT_IN["z-image"]
    published = Offer(model, way).input_schema
    seed = {"type": "integer"}
    new = {**published, "properties": published["properties"] | {"seed": seed}, "required": ["prompt", "seed"]}
    assert list(schema_differences(model, way, new)) == ["seed is new and required"]
    model, way = BUILT_IN["bytedance/seedream-v4-text-to-image"]
    wanted = {**Offer(model, way).input_schema, "required": ["prompt", "seed"]}
    assert list(schema_differences(model, way, wanted)) == ["seed is required"]


@pytest.mark.parametrize(
    "field",
    [
        {"enum": ["a", "b"]},
        {"type": "array", "minItems": 2, "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        {"type": "boolean"},
        {"type": "number", "minimum": 3},
        {"type": "string", "minLength": 3},
        {"type": "array"},
        {"type": "object"},
    ],
    ids=str,
)
def test_an_unknown_field_of_any_type_is_new(field: dict[str, Any]) -> None:
    model, way = BUILT_IN[ID]
    changed = {**SCHEMA, "properties": SCHEMA["properties"] | {"x": field}}
    assert list(schema_differences(model, way, changed)) == ["x is new"]


def current() -> dict[str, Any]:
    return {id_: model["input"] for id_, model in market().items() if model["status"] == "current"}


@pytest.mark.parametrize(("id_", "published"), current().items())
def test_no_class_differs_from_its_page(id_: str, published: Any) -> None:
    """The pages are KIE's own words: what the classes say was not made from the classes here."""
    content = {"application/json": {"schema": {"properties": {"input": published}}}}
    schema = extract_input_schema({"paths": {"x": {"post": {"requestBody": {"content": content}}}}})
    assert schema
    assert list(schema_differences(*BUILT_IN[id_], schema)) == []


def test_an_id_that_several_classes_share_is_that_of_the_first() -> None:
    assert BUILT_IN["veo-3-1"][0].id == "veo3_fast"
