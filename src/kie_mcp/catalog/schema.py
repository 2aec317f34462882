"""JSON Schemas of pydantic models in the plain form that every host takes."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class PlainSchema(GenerateJsonSchema):
    """JSON Schema without nulls: an argument is given or left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Show what is there when it is there."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave out a default of None: it means that the field is not sent."""
        written = super().default_schema(schema)
        return {key: value for key, value in written.items() if (key, value) != ("default", None)}


def plain_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON Schema as one tree: no references, no titles, nothing that a host might refuse."""
    schema = model.model_json_schema(by_alias=False, schema_generator=PlainSchema)
    return _plain(schema, schema.get("$defs", {}))


def _plain(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "properties":
                plain[key] = {name: _plain(each, definitions) for name, each in value.items()}
            case "items":
                plain[key] = _plain(value, definitions)
            # The docstring of an argument's class is for its reader; one at least goes without saying.
            case "$defs" | "title" | "additionalProperties" | "minLength" | "multipleOf":
                pass
            # Several hosts know no other limits; the model's own is exact.
            case "exclusiveMinimum":
                plain["minimum"] = value
            case "minItems" if value == 1:
                pass
            case "description" if schema.get("type") == "object":
                pass
            case _:
                plain[key] = value
    return plain


def walk_annotation(annotation: Any) -> Iterator[Any]:
    """Everything that an annotation is made of, itself first."""
    yield annotation
    for part in get_args(annotation):
        yield from walk_annotation(part)
