"""KIE's JSON Schemas, as they are read from its documents."""

import json
import time
import tracemalloc
from typing import Any

import pytest
from support.cases import for_each
from support.facts import market

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.published_schema import (
    MAX_SCHEMA_CHARS,
    UnusableSchema,
    extract_input_schema,
    merge_alternatives,
    read_schema,
)
from kie_mcp.catalog.schema_check import SchemaCheck


def document(schema: Any, **components: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {
        "paths": {"/api/v1/jobs/createTask": {"summary": "x", "post": {"requestBody": {"content": content}}}},
        "components": {"schemas": components},
    }


def read(schema: Any, **components: Any) -> Any:
    found = extract_input_schema(document({"properties": {"input": schema}}, **components))
    return found and merge_alternatives(found)["properties"]


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("#/components/schemas/a%20picture%20", "a picture"),
        ("#/components/schemas/a picture", "a picture "),
        ("#/components/schemas/a~1b", "a/b"),
        ("#/components/schemas/plain", "plain"),
    ],
)
def test_a_reference_is_found_whatever_has_become_of_its_blanks(reference: str, key: str) -> None:
    fields = {"prompt ": {"$ref": reference, "maxLength": 9}}
    found = read({"properties": fields}, **{key: {"type": "string", "maxLength": 5}})
    assert found == {"prompt": {"type": "string", "maxLength": 9}}


def test_a_reference_to_nothing_says_nothing() -> None:
    assert read({"properties": {"x": {"$ref": "#/components/schemas/gone"}, "y": {"$ref": "#/paths/0/1"}}}) == {
        "x": {},
        "y": {},
    }


def test_a_schema_may_refer_to_itself() -> None:
    node = {"type": "object", "properties": {side: {"$ref": "#/components/schemas/node"} for side in "abcdefgh"}}
    found = read({"properties": {"tree": {"$ref": "#/components/schemas/node"}}}, node=node)
    assert found["tree"]["properties"]["a"] == {}


def test_every_reference_on_the_way_is_followed() -> None:
    body = {"$ref": "#/components/schemas/body"}
    parts = {
        "body": {"allOf": [{"$ref": "#/components/schemas/input"}]},
        "input": {"properties": {"input": {"properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}}},
    }
    assert extract_input_schema(document(body, **parts)) == {
        "properties": {"prompt": {"type": "string"}},
        "required": ["prompt"],
    }


A, B = {"type": "string"}, {"type": "integer"}


@for_each(
    "schema, properties, required",
    [
        (
            {"oneOf": [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}, "required": ["b"]}]},
            {"a": A, "b": B},
            [],
        ),
        (
            {
                "anyOf": [
                    {"properties": {"a": A}, "required": ["a", "p"]},
                    {"properties": {"a": A}, "required": ["p"]},
                ],
                "properties": {"p": A},
            },
            {"a": A, "p": A},
            ["p"],
        ),
        (
            {
                "allOf": [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}}],
                "properties": {"c": A},
                "required": ["c"],
            },
            {"a": A, "b": B, "c": A},
            ["a", "c"],
        ),
        (
            {
                "oneOf": [
                    {"properties": {"n": {"type": "integer", "enum": [1, 2], "maximum": 2}}},
                    {"properties": {"n": {"type": "integer", "enum": [2, 3], "maximum": 3}}},
                ]
            },
            {"n": {"type": "integer", "enum": [1, 2, 3]}},
            [],
        ),
        ({"properties": {"v": {"anyOf": [{"enum": ["a"], **A}, A]}}}, {"v": A}, []),
        ({"properties": {"v": {"anyOf": [A, B]}}}, {"v": {"type": ["string", "integer"]}}, []),
        ({"properties": {"v": {"anyOf": [A, {"type": "null"}], "default": None}}}, {"v": A}, []),
        ({"properties": {"v": {"oneOf": "?"}, "w": True}}, {"v": {}, "w": {}}, []),
    ],
)
def test_alternatives_become_one_that_takes_what_any_of_them_takes(
    schema: Any, properties: Any, required: list[str]
) -> None:
    found = extract_input_schema(document({"properties": {"input": schema}}))
    assert found
    merged = merge_alternatives(found)
    assert (merged["properties"], merged.get("required", [])) == (properties, required)


@pytest.mark.parametrize(
    "given",
    [{}, {"paths": []}, document(None), document({"properties": {}}), document({"properties": {"input": A}})],
    ids=str,
)
def test_a_document_without_fields_has_no_schema(given: dict[str, Any]) -> None:
    assert extract_input_schema(given) is None


def fan_out(keyword: str, depth: int = 14) -> dict[str, Any]:
    """A document of two kilobytes whose references lead to 4 to the power of `depth` schemas."""
    parts: dict[str, Any] = {f"n{depth}": {"type": "string"}}
    for level in range(depth):
        below = {"$ref": f"#/components/schemas/n{level + 1}"}
        parts[f"n{level}"] = {keyword: dict.fromkeys("abcd", below) if keyword == "properties" else [below] * 4}
    return document({"properties": {"input": {"properties": {"x": {"$ref": "#/components/schemas/n0"}}}}}, **parts)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"x": schema}}
    return schema


def nested_list(levels: int) -> list[Any]:
    items: list[Any] = []
    for _ in range(levels):
        items = [items]
    return items


@pytest.mark.parametrize("keyword", ["properties", "anyOf", "allOf", "oneOf"])
def test_a_schema_that_fans_out_is_refused_at_once_in_a_word(keyword: str) -> None:
    given = fan_out(keyword)
    assert len(json.dumps(given)) < 4000
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(UnusableSchema, match="it is too large"):
        extract_input_schema(given)
    assert time.process_time() - started < 1
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "schema",
    [
        nested(200),
        {"properties": {"x": {"default": nested_list(900)}}},
        {"properties": {"x": {"enum": nested_list(40)}}},
    ],
)
def test_a_schema_that_is_nested_too_deeply_is_refused_in_a_word(schema: dict[str, Any]) -> None:
    with pytest.raises(UnusableSchema, match="nested too deeply"):
        read_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"properties": {f"f{n}": {"type": "string"}}, "required": [f"f{n}"]} for n in range(900)]},
        {"allOf": [{"properties": {f"f{n}": {"type": "string"}}, "required": [f"f{n}"]} for n in range(900)]},
        {"properties": {"p": {"anyOf": [{"enum": [f"v{n}"]} for n in range(1500)]}}},
        {"properties": {f"f{n}": {"type": "string", "pattern": "^(a+)+$"} for n in range(1000)}},
        {"properties": {"p": {"enum": list(range(15000))}}},
    ],
    ids=["any", "all", "choices", "patterns", "numbers"],
)
def test_the_largest_schemas_that_are_taken_cost_less_than_a_second(schema: dict[str, Any]) -> None:
    started = time.process_time()
    model = dynamic_model.model_from_schema("x", read_schema(schema), kind="image", task_type="y")
    dynamic_model.summarize_schema(model.input_schema)
    with pytest.raises(ValueError, match=r"."):
        dynamic_model.parse_call(model, {"none": 1})
    assert time.process_time() - started < 1


def test_kies_own_schemas_are_a_tenth_of_what_is_taken() -> None:
    assert max(len(json.dumps(model["input"])) for model in market().values()) < MAX_SCHEMA_CHARS / 10


ODD: list[Any] = [
    *({"enum": "x"}, {"enum": []}, {"multipleOf": 0}, {"minLength": -1}, {"maxLength": "5000"}, {"maxLength": "long"}),
    *({"properties": [1], "type": "object"}, {"items": [{}], "type": "array"}, {"required": ["a", 1, None]}),
    *(
        {"type": "file"},
        {"type": ["string", "file"]},
        {"type": 5},
        {"minimum": float("inf")},
        {"default": float("nan")},
    ),
    *({"exclusiveMinimum": True, "minimum": 3}, {"pattern": "("}, {"patternProperties": {"(": {}}}, {"$ref": 5}),
    *({"$ref": "https://kie.example/schema"}, {"$ref": "#/nothing"}, {"$schema": "x", "$id": "y", "$anchor": "z"}),
    *({"anyOf": []}, {"anyOf": "x"}, {"allOf": {}}, {"if": 5, "then": {}}, {"additionalProperties": "x"}),
    *({"dependentRequired": [1]}, {"dependentRequired": {"x": "y"}}, {"uniqueItems": "yes"}, {"const": None}),
    *({"properties": {"": {}, " ": {}, "a\nb": {}}}, {"minItems": 1.5}, {"prefixItems": []}, {"enum": [{"a": 1}, [1]]}),
    *(None, 5, "x", [], True, False),
]


@for_each("odd", ODD)
def test_of_an_odd_schema_is_used_what_can_be_used(odd: Any) -> None:
    model = dynamic_model.model_from_schema(
        "x",
        read_schema({"properties": {"x": odd, "prompt": {"type": "string"}}, "required": ["prompt"]}),
        kind="image",
        task_type="y",
    )
    assert dynamic_model.summarize_schema(model.input_schema)["properties"]["prompt"] == {"type": "string"}
    assert dynamic_model.parse_call(model, {"prompt": "p"}).sent(str) == {"prompt": "p"}
    with pytest.raises(ValueError, match="prompt is required"):
        dynamic_model.parse_call(model, {})
    SchemaCheck(read_schema(odd))


def test_a_limit_that_is_written_as_text_is_a_number() -> None:
    assert read_schema({"maxLength": "5000", "multipleOf": "0.1", "minItems": "x"}) == {
        "maxLength": 5000,
        "multipleOf": 0.1,
    }


def test_the_choices_of_a_list_are_those_of_its_items() -> None:
    found = read({"properties": {"x": {"type": "array", "enum": ["a"], "items": A}}})
    assert found == {"x": {"type": "array", "items": {**A, "enum": ["a"]}}}


def test_the_fields_of_a_condition_are_fields_too() -> None:
    schema = {"properties": {"a": A}, "if": {"required": ["a"]}, "then": {"properties": {"b": {**B, "maximum": 5}}}}
    assert read(schema) == {"b": B, "a": A}
