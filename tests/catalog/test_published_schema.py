"""KIE's JSON Schemas, as they are read from its documents."""

from typing import Any

import pytest

from kie_mcp.catalog.published_schema import extract_input_schema, merge_alternatives


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


@pytest.mark.parametrize(
    ("schema", "properties", "required"),
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
        ({"properties": {"v": {"anyOf": [A, B]}}}, {"v": {}}, []),
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
