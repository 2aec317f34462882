"""JSON Schemas of pydantic models without `$ref`, null and titles, so that every MCP host accepts them."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class PlainSchema(GenerateJsonSchema):
    """Generator of JSON Schemas that do not allow null, because callers leave out arguments instead of sending null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of a value that may be None; the schema does not allow null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema without its default if the default is None, because None is never sent to KIE."""
        written = super().default_schema(schema)
        return {key: value for key, value in written.items() if (key, value) != ("default", None)}


def plain_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON Schema, in which the fields have kie-mcp's names, not KIE's.

    Each `$ref` is replaced by its definition, and keys that MCP hosts refuse are left out.
    """
    schema = model.model_json_schema(by_alias=False, schema_generator=PlainSchema)
    return _plain(schema, schema.get("$defs", {}))


def _plain(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Replace each `$ref` by its definition, and leave out keys that MCP hosts refuse or agents do not need."""
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "properties":
                plain[key] = {name: _plain(each, definitions) for name, each in value.items()}
            case "items":
                plain[key] = _plain(value, definitions)
            # Agents do not need these keys, and some MCP hosts refuse some of them.
            case "$defs" | "title" | "minLength" | "multipleOf":
                pass
            # The value true is kept: without it, MCP hosts would remove the arguments that the schema does not list.
            case "additionalProperties" if value is not True:
                pass
            # Several MCP hosts do not know `exclusiveMinimum`, so it becomes `minimum`. The model class still checks
            # the exact limit.
            case "exclusiveMinimum":
                plain["minimum"] = value
            case "minItems" if value == 1:
                pass
            # The description of an object is left out, because it is the docstring of a class, which is not written for
            # agents.
            case "description" if "properties" in schema:
                pass
            case _:
                plain[key] = value
    return plain


def walk_annotation(annotation: Any) -> Iterator[Any]:
    """Yield a type annotation, and then its type arguments at any depth: `list[int]` gives `list[int]` and `int`."""
    yield annotation
    for part in get_args(annotation):
        yield from walk_annotation(part)
