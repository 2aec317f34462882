"""Models that only KIE knows, made from the schemas that it publishes."""

import keyword
from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog import dynamic_model, search
from kie_mcp.catalog.dynamic_model import DynamicModel, Schema
from kie_mcp.catalog.fields import Audio, Image, MediaRef, Video
from kie_mcp.catalog.published_schema import merge_alternatives, read_schema

ID = "vendor/new-model"
NAMES = [
    *("model", "kind", "id", "does", "price", "routes", "json", "copy", "schema", "dict", "sent", "estimate", "fields"),
    *("model_config", "model_fields", "model_dump", "model_extra", "validate", "construct", "__class__", "_private"),
    *("a-b", "a_b", "a b", "1st", "2", "-", "лиса", *keyword.kwlist),
]


def build_model(properties: Schema, *required: str, **more: Any) -> type[DynamicModel]:
    schema = read_schema({"properties": properties, "required": list(required), **more})
    return dynamic_model.model_from_schema(ID, schema, kind="image", task_type="text-to-image")


def sent_body(properties: Schema, *required: str, **fields: Any) -> dict[str, Any]:
    return dynamic_model.parse_call(build_model(properties, *required), fields).sent(str)


def refusal(properties: Schema, *required: str, **fields: Any) -> str:
    with pytest.raises(ValueError, match=r".") as refusal:
        dynamic_model.parse_call(build_model(properties, *required), fields)
    return str(refusal.value)


def test_it_is_a_model_like_any_other() -> None:
    model = build_model({"prompt": {"type": "string"}}, "prompt")
    assert (model.id, model.kind, model.task_type, model.routes) == (ID, "image", "text-to-image", ("jobs",))
    assert search.read_summary(model) == f"{ID}, as KIE describes it today."
    assert dynamic_model.parse_call(model, {"prompt": "x"}).estimate().low is None


@for_each("name", NAMES)
def test_a_field_may_have_any_name(name: str) -> None:
    text = {"type": "string"}
    assert sent_body({name: text, "part": {"type": "object", "properties": {name: text}}}, **{name: "x"}) == {name: "x"}
    assert sent_body({"part": {"type": "object", "properties": {name: text}}}, part={name: "x"}) == {
        "part": {name: "x"}
    }


def test_all_those_names_fit_into_one_model() -> None:
    given = dict.fromkeys(NAMES, "x")
    assert sent_body({name: {"type": "string"} for name in NAMES}, *NAMES, **given) == given


@for_each(
    "field, value, words",
    [
        ({"type": "string"}, None, "x is required"),
        ({"type": "string", "maxLength": 2}, "abc", "x: String should have at most 2"),
        ({"type": "string", "minLength": 2}, "a", "x: String should have at least 2"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "x: Input should be 'a' or 'b'"),
        ({"type": "integer", "enum": [5, 10, None], "minimum": 5}, 6, "x: Input should be 5 or 10"),
        ({"type": "integer", "minimum": 1}, 0, "x: Input should be greater than or equal to 1"),
        ({"type": "integer", "multipleOf": 8}, 9, "x: Input should be a multiple of 8"),
        ({"type": "number", "maximum": 1}, 1.5, "x: Input should be less than or equal to 1"),
        ({"type": "number", "exclusiveMinimum": 0}, 0, "x: Input should be greater than 0"),
        ({"type": "number", "exclusiveMaximum": 1}, 1, "x: Input should be less than 1"),
        ({"type": ["integer", "null"], "maximum": 9}, 10, "x: Input should be less than or equal to 9"),
        ({"type": "integer"}, 1.5, "x: Input should be a valid integer"),
        ({"type": "boolean"}, "perhaps", "x: Input should be a valid boolean"),
        ({"type": "array", "maxItems": 1}, [1, 2], "x: List should have at most 1 item"),
        ({"type": "array", "minItems": 1}, [], "x: List should have at least 1 item"),
        ({"type": "array", "items": {"type": "string", "maxLength": 1}}, ["ab"], "x.0: String should have at most 1"),
        ({"type": "array", "items": {"enum": ["a"]}}, ["b"], "x.0: Input should be 'a'"),
        ({"type": "object", "properties": {"y": {"type": "integer"}}}, {"y": "z"}, "x.y: Input should be a valid"),
        ({"type": "object", "properties": {"y": {}}}, {"z": 1}, "there is no argument x.z"),
        ({"type": "object", "properties": {"y": {}}, "required": ["y"]}, {}, "x.y is required"),
        ({"type": "object"}, "text", "x: Input should be a valid dictionary"),
    ],
)
def test_what_the_schema_refuses_is_refused_in_words(field: Schema, value: Any, words: str) -> None:
    assert refusal({"x": field}, "x", x=value).startswith(words)


AUTO_OR_SECONDS = {"oneOf": [{"type": "integer", "minimum": 2, "maximum": 15}, {"const": "auto"}]}
BY_M = {
    "oneOf": [
        {"properties": {"m": {"const": "a"}, "x": {"type": "integer"}}, "required": ["m"]},
        {"properties": {"m": {"const": "b"}, "y": {"type": "integer", "default": 2}}, "required": ["m"]},
    ]
}
A_OR_B = {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}


@for_each(
    "schema, fields, words",
    [
        ({"properties": {"x": {"pattern": "^[a-z]+$"}}}, {"x": "A1"}, "x: String should match the pattern ^[a-z]+$"),
        ({"properties": {"x": {"const": "v1"}}}, {"x": "v2"}, "x: Input should be 'v1'"),
        (
            {"properties": {"x": {"type": "number", "multipleOf": 0.1}}},
            {"x": 0.35},
            "x: Input should be a multiple of 0.1",
        ),
        (
            {"properties": {"x": AUTO_OR_SECONDS}},
            {"x": 1},
            "x: Input should be greater than or equal to 2; or x: Input",
        ),
        (
            {"properties": {"x": AUTO_OR_SECONDS}},
            {"x": "long"},
            "x: Input should be a valid integer; or x: Input should",
        ),
        ({"properties": {"x": False}}, {"x": 1}, "x: KIE does not take this field here"),
        ({"properties": {"x": {"not": {"const": 5}}}}, {"x": 5}, "x: Input should not be 5"),
        (
            {"properties": {"x": {"type": "array", "uniqueItems": True}}},
            {"x": [1, 1]},
            "x: List should have no item twice",
        ),
        ({**A_OR_B, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, "a is required; or b is required"),
        (
            {**A_OR_B, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": "x", "b": "y"},
            "KIE takes only one of: a, b",
        ),
        ({**A_OR_B, "not": {"required": ["a", "b"]}}, {"a": "x", "b": "y"}, "KIE does not take a and b together"),
        ({**A_OR_B, "dependentRequired": {"a": ["b"]}}, {"a": "x"}, "b is required"),
        ({**A_OR_B, "dependentSchemas": {"a": {"required": ["b"]}}}, {"a": "x"}, "b is required"),
        (
            {**A_OR_B, "if": {"properties": {"a": {"const": "x"}}, "required": ["a"]}, "then": {"required": ["b"]}},
            {"a": "x"},
            "b is required",
        ),
        ({"allOf": [A_OR_B, {"properties": {"a": {"maxLength": 1}}}]}, {"a": "xy"}, "a: String should have at most 1"),
        ({**A_OR_B, "additionalProperties": False}, {"c": 1}, "there is no argument c"),
        ({"properties": {"x": {"type": "object", **A_OR_B}}}, {"x": {"c": 1}}, "there is no argument x.c"),
        (BY_M, {"m": "a", "x": 1, "y": 1}, "there is no argument y"),
        (
            {"properties": {"parts": {"type": "array", "items": BY_M}}},
            {"parts": [{"m": "a", "x": 1, "y": 1}]},
            "there is no argument parts.0.y",
        ),
        ({"properties": {"x": BY_M}}, {"x": {"m": "b", "x": 1}}, "there is no argument x.x"),
        (
            {**A_OR_B, "patternProperties": {"^c": {"type": "integer"}}},
            {"c": "x"},
            "c: Input should be a valid integer",
        ),
        ({**A_OR_B, "patternProperties": {"^c": {"type": "integer"}}}, {"d": 1}, "there is no argument d"),
    ],
)
def test_every_keyword_of_a_schema_counts(schema: Schema, fields: dict[str, Any], words: str) -> None:
    model = dynamic_model.model_from_schema(ID, read_schema(schema), kind="image", task_type="text-to-image")
    with pytest.raises(ValueError, match=r".") as refused:
        dynamic_model.parse_call(model, fields)
    assert str(refused.value).startswith(words)


@for_each(
    "schema, fields",
    [
        ({"properties": {"x": {"type": "number", "multipleOf": 0.1}}}, {"x": 0.3}),
        ({"properties": {"x": {"type": "number", "multipleOf": 0.01}}}, {"x": 4.35}),
        ({"properties": {"x": AUTO_OR_SECONDS}}, {"x": "auto"}),
        ({"properties": {"x": AUTO_OR_SECONDS}}, {"x": 5}),
        ({"properties": {"x": {"type": "string", "format": "a-format-of-kies"}}}, {"x": "y"}),
        ({"properties": {"x": {"type": "string", "maxLength": "5"}}}, {"x": "12345"}),
        ({"properties": {"x": {"type": "string", "maxLength": "long"}}}, {"x": "123456"}),
        ({"properties": {"x": {"type": "string", "pattern": "("}}}, {"x": "y"}),
        ({"properties": {"x": {"type": "string", "pattern": r"^(?=(a+)+$)\1"}}}, {"x": "a" * 4000}),
        ({**A_OR_B, "additionalProperties": True}, {"c": 1}),
        ({"properties": {"x": {}}, "if": {"required": ["x"]}, "then": {"properties": {"y": {}}}}, {"x": 1, "y": 2}),
        ({"oneOf": [{"properties": {"a": {}, "b": {}}}, {"properties": {"a": {}, "c": {}}}]}, {"a": 1}),
        ({"oneOf": [{**A_OR_B, "required": ["a"]}, {**A_OR_B, "required": ["a", "b"]}]}, {"a": "x", "b": "y"}),
        ({"properties": {"x": {"oneOf": [{"maximum": 5}, {"maximum": 9}]}}}, {"x": 3}),
        ({"properties": {"x": {"type": "integer", "maximum": 10**400, "minimum": -(10**400)}}}, {"x": 3}),
        ({"properties": {"x": {"maxLength": 10**400, "enum": ["a"], "default": 10**400}}}, {"x": "a"}),
        ({**A_OR_B, "patternProperties": {"^c": {"type": "integer"}}}, {"a": "x", "c1": 1}),
        (BY_M, {"m": "a", "x": 1}),
        (BY_M, {"m": "b", "y": 1}),
        ({"properties": {"parts": {"type": "array", "items": BY_M}}}, {"parts": [{"m": "a", "x": 1}]}),
    ],
)
def test_what_every_keyword_allows_is_sent(schema: Schema, fields: dict[str, Any]) -> None:
    model = dynamic_model.model_from_schema(ID, read_schema(schema), kind="image", task_type="text-to-image")
    assert dynamic_model.parse_call(model, fields).sent(str) == fields


def test_a_text_that_is_too_long_is_refused_where_the_limit_is_a_text() -> None:
    assert (
        refusal({"x": {"type": "string", "maxLength": "5"}}, x="123456") == "x: String should have at most 5 characters"
    )


@pytest.mark.parametrize("given", ["a.png", "task:x#1", "data:image/png;base64,AAAA", "https://x.example/a.png"])
def test_a_file_is_held_to_a_pattern_only_when_it_is_a_url_already(given: str) -> None:
    field = {"type": "string", "format": "uri", "pattern": r"^https://.*\.png$", "maxLength": 40}
    assert sent_body({"image_url": field}, image_url=given) == {"image_url": given}
    assert refusal({"image_url": field}, image_url="https://x.example/a.gif").startswith(
        "image_url: String should match"
    )


def test_fields_that_are_nested_too_deeply_are_refused_in_a_word() -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep, 1]
    assert refusal({"x": {}}, x=deep) == "the fields are nested too deeply"


def test_defaults_that_contradict_what_is_given_are_left_to_kie() -> None:
    schema = read_schema(
        {
            "properties": {"a": {"type": "string", "default": "x"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        }
    )
    model = dynamic_model.model_from_schema(ID, schema, kind="image", task_type="text-to-image")
    assert dynamic_model.parse_call(model, {"b": "y"}).sent(str) == {"b": "y"}


def test_a_problem_is_told_in_few_words_though_the_schema_is_large() -> None:
    choices = [f"choice {number}" for number in range(500)]
    said = refusal(
        {f"x{n}": {"type": "string", "enum": choices} for n in range(9)}, **{f"x{n}": "no" for n in range(9)}
    )
    assert len(said) < 2000
    assert said.count("Input should be") == 5


def test_what_the_schema_does_not_have_is_refused() -> None:
    assert refusal({"prompt": {"type": "string"}}, promt="x") == "there is no argument promt"


@for_each(
    "field, value",
    [
        ({"type": "number", "minimum": 0}, 5),
        ({"type": "number", "multipleOf": 0.1}, 0.3),
        ({"type": "number", "enum": [0.5, 1.5]}, 1.5),
        ({"type": ["string", "null"], "nullable": True}, "a"),
        ({"type": ["string", "integer"]}, 5),
        ({"type": "string", "minimum": 4, "maximum": 15}, "5"),
        ({"type": "array", "enum": ["a"], "items": {"type": "string"}}, ["a"]),
        ({"type": "object"}, {"any": [1, {"thing": None}]}),
        ({}, {"any": "thing"}),
        ({"type": "file"}, "thing"),
    ],
)
def test_what_the_schema_takes_is_sent_as_it_is(field: Schema, value: Any) -> None:
    (given,) = sent_body({"x": field}, x=value).values()
    assert (given, type(given)) == (value, type(value))


@for_each(
    "field, given, value",
    [
        ({"type": "string"}, 5, "5"),
        ({"type": "integer"}, "5", 5),
        ({"type": "integer", "enum": [5]}, "5", 5),
        ({"type": "boolean"}, "true", True),
        ({"type": "string", "enum": ["1K", "2K"]}, "1k", "1K"),
        ({"type": "array", "items": {"type": "string"}}, '["a"]', ["a"]),
        ({"type": "array", "items": {"type": "integer"}}, ["5"], [5]),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": "5"}', {"n": 5}),
        ({"type": "integer"}, 5.0, 5),
        ({"type": "string", "enum": ["5", "10"]}, 5, "5"),
        ({"type": "boolean"}, 1, True),
        (AUTO_OR_SECONDS, "5", 5),
        ({"type": "string", "enum": [5, 10]}, 5, "5"),
        ({"type": "string", "enum": [5, 10]}, "10", "10"),
        ({"type": ["string", "null"], "enum": [0.5, None]}, 0.5, "0.5"),
        ({"type": "string", "enum": [True, False]}, "true", "true"),
        ({"type": "string", "const": 5}, 5, "5"),
        ({"type": "integer", "enum": ["5", "10"]}, "5", 5),
        ({"type": "array", "items": {"type": "string", "enum": [5, 10]}}, ["5"], ["5"]),
        ({"type": "array", "enum": [5, 10], "items": {"type": "string"}}, ["5"], ["5"]),
        ({"type": ["string", "integer"], "enum": ["a", 5]}, 5, 5),
        ({"allOf": [{"type": "string"}, {"enum": [5, 10]}]}, "5", "5"),
        ({"type": "string", "anyOf": [{"enum": [5]}, {"const": 10}]}, "5", "5"),
        ({"type": "string", "oneOf": [{"enum": [5]}, {"type": "integer"}]}, "5", "5"),
    ],
)
def test_arguments_that_arrive_in_another_form_are_understood(field: Schema, given: Any, value: Any) -> None:
    assert sent_body({"x-y": field}, **{"x-y": given}) == {"x-y": value}
    assert sent_body({"x-y": field}, x_y=given) == {"x-y": value}


def test_defaults_are_sent_and_the_rest_is_left_out() -> None:
    fields = {"size": {"type": "string", "default": "1K"}, "n": {"type": "integer"}, "o": {"default": None}}
    assert sent_body(fields) == {"size": "1K"}
    assert sent_body(fields, size="2K", n=None) == {"size": "2K"}


def test_a_required_field_has_to_be_given_though_kie_has_a_default_for_it() -> None:
    """KIE's defaults are often examples, and a call with an example is paid like any other."""
    assert refusal({"prompt": {"type": "string", "default": "A cat"}}, "prompt") == "prompt is required"


@pytest.mark.parametrize(
    ("field", "empty"),
    [
        ({"type": "string", "minLength": 2}, ""),
        ({"type": "string", "enum": ["a"], "default": "a"}, " "),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, []),
        ({"type": "array", "items": {"type": "string", "format": "uri"}}, [""]),
        ({"type": "integer"}, ""),
        ({"type": "object"}, {}),
        ({"type": "object", "properties": {"y": {"type": "integer"}}}, {"y": ""}),
    ],
    ids=str,
)
def test_an_empty_optional_field_is_left_out(field: Schema, empty: Any) -> None:
    assert sent_body({"x": field}, x=empty) == sent_body({"x": field})
    part = {"type": "object", "properties": {"x": field, "z": {"type": "integer"}}}
    parts = {"part": part, "parts": {"type": "array", "items": part}}
    assert sent_body(parts, part={"x": empty, "z": 1}, parts=[{"x": empty, "z": 1}]) == sent_body(
        parts, part={"z": 1}, parts=[{"z": 1}]
    )


def test_an_empty_list_that_arrives_as_text_is_left_out() -> None:
    assert sent_body({"x": {"type": "array", "items": {"type": "string"}}}, x='[""]') == {}


def test_an_empty_field_that_kie_names_among_the_choices_is_sent() -> None:
    assert sent_body({"x": {"type": "string", "enum": ["", "a"]}}, x="") == {"x": ""}


def test_an_empty_field_that_is_needed_is_not_left_out() -> None:
    assert refusal({"x": {"type": "string", "minLength": 1}}, "x", x="").startswith("x: String should have at least 1")
    assert refusal({"x": {"type": "string"}}, "x", x=None) == "x is required"


def test_a_default_of_kies_that_says_nothing_is_not_sent() -> None:
    gaps = {"image_urls": {"type": "array", "items": {"type": "string"}, "default": [""]}, "p": {"default": ""}}
    assert sent_body(gaps) == {}
    assert refusal({"prompt": {"type": "string", "default": ""}}, "prompt") == "prompt is required"


@for_each(
    "field, sent_seed",
    [
        ({"type": "integer"}, {}),
        ({"type": "integer", "minimum": 0}, {}),
        ({"type": "integer", "minimum": 0, "default": 7}, {"seed": 7}),
        ({"type": "integer", "minimum": -1}, {"seed": -1}),
        ({"type": "number", "default": -1}, {"seed": -1}),
    ],
)
@for_each("random", [-1, "-1"])
def test_a_random_seed_is_sent_where_kie_has_a_word_for_it(
    field: Schema, sent_seed: dict[str, Any], random: Any
) -> None:
    assert sent_body({"seed": field}, seed=random) == sent_seed


def test_what_stands_around_the_input_in_kies_examples_is_no_field() -> None:
    given = {"model": ID, "callBackUrl": "https://example.com", "prompt": "x"}
    assert sent_body({"prompt": {"type": "string"}}, **given) == {"prompt": "x"}
    assert sent_body({"prompt": {"type": "string"}, "model": {"type": "string"}}, **given) == {
        "prompt": "x",
        "model": ID,
    }


def test_blanks_around_a_name_do_not_count() -> None:
    assert sent_body({"x": {"type": "string"}, "a b ": {"type": "string"}}, **{" x": "1", "a b ": "2"}) == {
        "x": "1",
        "a b": "2",
    }


@for_each(
    "name, field, medium",
    [
        ("image_url", {"type": "string"}, Image),
        ("imageUrl", {"type": "string"}, Image),
        ("image_urls", {"type": "array", "items": {"type": "string"}}, Image),
        ("image_input", {"type": "array", "items": {"type": "string", "format": "uri"}}, Image),
        ("input_urls", {"type": "array", "items": {"type": "string"}}, Image),
        ("mask", {"type": ["string", "null"]}, Image),
        ("image_2", {"type": "string"}, Image),
        ("reference", {"type": "string", "format": "uri"}, Image),
        ("video_url", {"type": "string"}, Video),
        ("reference_clip", {"type": "string", "format": "uri"}, Video),
        ("audio_url", {"type": "string"}, Audio),
        ("voice_url", {"type": "string"}, Audio),
        ("image_size", {"type": "string"}, None),
        ("video_prompt", {"type": "string"}, None),
        ("voice", {"type": "string"}, None),
        ("image_url", {"type": "string", "enum": ["a", "task:x#1"]}, None),
        ("image_urls", {"type": "integer"}, None),
        ("callBackUrl", {"type": "string", "format": "uri"}, None),
        ("webhook_url", {"type": "string"}, None),
    ],
)
def test_a_field_that_takes_a_file_is_known_by_its_format_and_name(
    name: str, field: Schema, medium: type[MediaRef] | None
) -> None:
    value = 5 if field["type"] == "integer" else "task:x#1"
    given = [value] if field["type"] == "array" else value
    call = dynamic_model.parse_call(build_model({name: field}), {name: given})
    assert [type(each) for each in call.references()] == ([medium] if medium else [])
    assert (
        call.sent(lambda ref: f"<{ref}>") == {name: [f"<{value}>"] if given == [value] else f"<{value}>"} or not medium
    )


def test_a_file_inside_a_part_is_a_file_too() -> None:
    part = {"type": "object", "properties": {"url": {"type": "string"}, "image_url": {"type": "string"}}}
    call = dynamic_model.parse_call(
        build_model({"shots": {"type": "array", "items": part}}), {"shots": [{"image_url": "a.png", "url": "b.png"}]}
    )
    assert call.references() == ["a.png", "b.png"]


FILE_OR_FILES = [{"type": "string", "format": "uri"}, {"type": "array", "items": {"type": "string", "format": "uri"}}]
UNTYPED_LIST = {"type": "array"}
PART = {"type": "object", "properties": {"y": {"type": "string"}}}


@for_each(
    "name, field, given, files",
    [
        ("image", {"oneOf": FILE_OR_FILES}, "a.png", ["a.png"]),
        ("picked", {"anyOf": FILE_OR_FILES}, ["a.png", "task:x#1"], ["a.png", "task:x#1"]),
        ("image_urls", UNTYPED_LIST, ["task:x#1", "https://x.example/a.png"], ["task:x#1"]),
        ("image_url", {"type": ["string", "array"]}, ["/home/me/a b.png"], ["/home/me/a b.png"]),
        ("image_url", {}, "file:///home/me/a.png", ["file:///home/me/a.png"]),
        ("image_url", {}, "C:\\me\\a.png", ["C:\\me\\a.png"]),
        ("image_url", {"description": "A file"}, "data:image/png;base64,AAAA", ["data:image/png;base64,AAAA"]),
        ("image_url", {"anyOf": [FILE_OR_FILES[0], {"type": "object"}]}, "a.png", ["a.png"]),
        ("picked", UNTYPED_LIST | {"items": {"anyOf": [FILE_OR_FILES[0], PART]}}, ["a.png", {"y": "b"}], ["a.png"]),
        ("picked", {"anyOf": [FILE_OR_FILES[0], {"type": "string", "enum": ["auto"]}]}, "auto", []),
        ("part", {"type": "object"}, {"image_url": "task:x#1", "text": "a.png"}, ["task:x#1"]),
        ("parts", UNTYPED_LIST, [{"deep": {"videoUrl": "kie://uploads/u_1"}}], ["kie://uploads/u_1"]),
        ("by_name", {"additionalProperties": {"type": "string", "format": "uri"}}, {"one": "a.png"}, ["a.png"]),
        ("pair", {"prefixItems": [{}, {"type": "string", "format": "uri"}]}, ["a.png", "b.png"], ["b.png"]),
        *(
            (name, {"type": "string"}, "~/a.png", ["~/a.png"])
            for name in ("photo", "avatar", "file", "clip", "face", "logo", "drivingVideo", "source", "reference")
        ),
        ("style_reference", {"type": "string"}, "a.png", ["a.png"]),
        ("style_reference", {"type": "string"}, "in the style of a.png", []),
        ("avatar", {"type": "string"}, "anna", []),
        ("source", {"type": "string", "enum": ["task:x#1"]}, "task:x#1", []),
        ("prompt", {"type": "string"}, "task:x#1 with a hat", []),
    ],
)
def test_a_file_is_found_where_the_schema_leaves_open_what_a_field_takes(
    name: str, field: Schema, given: Any, files: list[str]
) -> None:
    call = dynamic_model.parse_call(build_model({name: field}), {name: given})
    assert call.references() == files
    assert call.sent(str) == {name: given}


@pytest.mark.parametrize("given", ["red, blue", ["red, blue"], "your task: red", '{"a": "red, blue"}'])
def test_a_list_of_words_is_not_split_at_commas_and_a_list_of_files_is(given: Any) -> None:
    words = {"type": "array", "items": {"type": "string"}}
    assert sent_body({"styles": words}, styles=given) == {"styles": given if isinstance(given, list) else [given]}
    assert sent_body({"image_urls": words}, image_urls="a.png, b.png") == {"image_urls": ["a.png", "b.png"]}
    assert sent_body({"styles": words}, styles='["red, blue", "green"]') == {"styles": ["red, blue", "green"]}


def test_a_file_is_found_in_a_field_without_a_name_in_the_schema() -> None:
    model = build_model({"p": {}}, additionalProperties={"type": "string", "format": "uri"})
    call = dynamic_model.parse_call(model, {"p": "x", "any": "a.png"})
    assert call.references() == ["a.png"]
    assert call.sent(lambda ref: f"<{ref}>") == {"p": "x", "any": "<a.png>"}


def test_the_file_of_an_example_is_not_sent() -> None:
    field = {"type": "string", "format": "uri", "default": "https://files.example/cat.png"}
    many = {"type": "array", "items": field, "default": ["https://files.example/cat.png"]}
    assert sent_body({"image_url": field, "image_urls": many}) == {}
    assert refusal({"image_url": field}, "image_url") == "image_url is required"


def test_without_a_schema_anything_is_taken() -> None:
    model = dynamic_model.unchecked_model(ID, kind="video", task_type="text-to-video")
    given = {"prompt": "x", "id": 1, "model": "y", "copy": [1], "sent": {"a": None}}
    assert dynamic_model.parse_call(model, {**given, "none": None}).sent(str) == given
    assert (model.id, model.kind, model.task_type) == (ID, "video", "text-to-video")
    assert "no schema" in search.read_summary(model)


def test_a_schema_is_shown_in_few_words_and_the_required_fields_first() -> None:
    schema = read_schema(
        {
            "properties": {
                "seed": {"type": ["integer", "null"], "default": None, "examples": [1], "minimum": 0},
                "any": {},
                "image_url": {"type": "string", "format": "uri", "default": "https://x.example", "description": "A"},
                "shots": {"type": "array", "items": {"type": "object", "properties": {"a-b": {"type": "string"}}}},
                "prompt": {"type": "string", "maxLength": 9, "description": "Words\n of " + "x" * 200},
            },
            "required": ["prompt"],
        }
    )
    shown = dynamic_model.summarize_schema(merge_alternatives(schema))
    assert list(shown["properties"]) == ["prompt", "seed", "any", "image_url", "shots"]
    assert shown["required"] == ["prompt"]
    prompt = shown["properties"].pop("prompt")
    assert prompt["description"].startswith("Words of xxx")
    assert len(prompt["description"]) == dynamic_model.MAX_DESCRIPTION_CHARS
    assert shown["properties"] == {
        "seed": {"type": "integer", "minimum": 0},
        "any": {},
        "image_url": {"type": "string", "description": "file"},
        "shots": {
            "type": "array",
            "items": {"type": "object", "properties": {"a-b": {"type": "string"}}, "required": []},
        },
    }
