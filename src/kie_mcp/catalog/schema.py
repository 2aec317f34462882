"""JSON Schemas of pydantic models in a plain form that every MCP host accepts: no references, nulls or titles."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class PlainSchema(GenerateJsonSchema):
    """Generator of JSON Schemas without null: an optional argument is left out instead."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of the value that is not null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema without a default of None, which means that the field is not sent."""
        written = super().default_schema(schema)
        return {key: value for key, value in written.items() if (key, value) != ("default", None)}


def plain_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON Schema under our field names, as one tree without anything that some host refuses."""
    schema = model.model_json_schema(by_alias=False, schema_generator=PlainSchema)
    return _plain(schema, schema.get("$defs", {}))


def _plain(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Replace references by their definitions, and leave out what hosts refuse or agents do not need."""
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "properties":
                plain[key] = {name: _plain(each, definitions) for name, each in value.items()}
            case "items":
                plain[key] = _plain(value, definitions)
            # A title repeats the name; a minimum length of 1 is obvious to a caller.
            case "$defs" | "title" | "additionalProperties" | "minLength" | "multipleOf":
                pass
            # Several hosts know no exclusive limits; the model itself still checks the exact one.
            case "exclusiveMinimum":
                plain["minimum"] = value
            case "minItems" if value == 1:
                pass
            # It is the docstring of a class, which is written for those who read the code.
            case "description" if schema.get("type") == "object":
                pass
            case _:
                plain[key] = value
    return plain


def walk_annotation(annotation: Any) -> Iterator[Any]:
    """Iterate over an annotation and all parts of it: the annotation first, then its arguments, at any depth."""
    yield annotation
    for part in get_args(annotation):
        yield from walk_annotation(part)
