"""Some hosts take limits out of schemas, so each refusal names the limit that a call breaks."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES

Schema = dict[str, Any]

STEPS = {"variety": 5, "frames": 4}
"""Arguments whose values have to be multiples of a number."""


def sample(schema: Schema) -> Any:
    """A value that the schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "array":
            return [sample(schema["items"])] * schema.get("minItems", 1)
        case "object":
            return {name: sample(schema["properties"][name]) for name in schema.get("required", ())}
        case "boolean":
            return True
        case "string":
            return "#00ff00" if "#" in schema.get("pattern", "") else "abc"
        case _:
            return schema.get("default", schema.get("minimum", 1))


def break_limits(schema: Schema, step: int = 1) -> Iterator[tuple[str, Any]]:
    """For each limit, the words that tell it, and a value that breaks it."""
    if "maxLength" in schema:
        yield f"{schema['maxLength']} characters", "a" * (schema["maxLength"] + 1)
    if "maximum" in schema:
        yield f"less than or equal to {schema['maximum']:g}", schema["maximum"] + step
    if "minimum" in schema:
        yield f" {schema['minimum']:g}", schema["minimum"] - step
    if "maxItems" in schema:
        yield f"{schema['maxItems']} item", [sample(schema["items"])] * (schema["maxItems"] + 1)
    if schema.get("minItems", 1) > 1:
        yield f"{schema['minItems']} item", [sample(schema["items"])]
    if "pattern" in schema:
        yield schema["pattern"], "!! no"
    if "enum" in schema:
        yield str(schema["enum"][-1]), "other" if schema["type"] == "string" else 9999


def list_broken() -> Iterator[tuple[Family, type[KieModel], str, Any, str]]:
    for family in FAMILIES:
        for model in family.models:
            for name, field in model.plain_schema()["properties"].items():
                for words, value in break_limits(field, STEPS.get(name, 1)):
                    yield family, model, name, value, words


@for_each("family, model, name, value, words", list_broken())
def test_a_refusal_names_the_argument_and_its_limit(
    family: Family, model: type[KieModel], name: str, value: Any, words: str
) -> None:
    schema = model.plain_schema()
    given = {each: sample(schema["properties"][each]) for each in schema.get("required", ())}
    named = {"model": model.id} if len(family.models) > 1 else {}
    with pytest.raises(ValueError, match=rf"\b{name}\b") as refused:
        family.parse({**named, **given, name: value})
    assert words in str(refused.value)
