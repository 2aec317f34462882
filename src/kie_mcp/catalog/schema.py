"""JSON Schemas of pydantic models in a plain form that every MCP host accepts: no references, nulls or titles."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class PlainSchema(GenerateJsonSchema):
    """Generator of JSON Schemas without null, because callers leave out optional arguments and do not send null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of a nullable value as if null were not allowed."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema without its default if the default is None: such a field is not sent to KIE."""
        written = super().default_schema(schema)
        return {key: value for key, value in written.items() if (key, value) != ("default", None)}


def plain_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON Schema under the names in the class, without references and keys that some hosts refuse."""
    schema = model.model_json_schema(by_alias=False, schema_generator=PlainSchema)
    return _plain(schema, schema.get("$defs", {}))


def _plain(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Replace references by their definitions, and leave out keys that hosts refuse or agents do not need."""
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "properties":
                plain[key] = {name: _plain(each, definitions) for name, each in value.items()}
            case "items":
                plain[key] = _plain(value, definitions)
            # Some hosts refuse some of these keys, and agents need none: a title, for example, repeats the name.
            case "$defs" | "title" | "minLength" | "multipleOf":
                pass
            # The value true is kept, because it makes hosts pass on fields that the schema does not list.
            case "additionalProperties" if value is not True:
                pass
            # Several hosts do not know exclusive limits. The model class still checks the exact limit.
            case "exclusiveMinimum":
                plain["minimum"] = value
            case "minItems" if value == 1:
                pass
            # An object's description is the docstring of its class, which is written for readers of the code.
            case "description" if "properties" in schema:
                pass
            case _:
                plain[key] = value
    return plain


def walk_annotation(annotation: Any) -> Iterator[Any]:
    """Iterate over a type annotation and then its type arguments, at any depth."""
    yield annotation
    for part in get_args(annotation):
        yield from walk_annotation(part)
