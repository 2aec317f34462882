"""JSON Schemas of the requests to KIE, which are derived from the model classes.

The sandbox publishes these schemas, and `kie-mcp catalog check` compares them with the schemas that KIE publishes.
"""

from typing import Any

from kie_mcp.catalog.fields import AsText, InList, LongestRequest, MediaRef
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.schema import plain_schema, walk_annotation

Schema = dict[str, Any]


def wire_schema(model: type[KieModel]) -> Schema:
    """Return the JSON Schema of the fields that a model's `sent()` returns.

    If the model has a product API, the fields are named as in that API.
    """
    ours = plain_schema(model)
    names = {
        name: f.serialization_alias or name for name, f in model.model_fields.items() if name not in model.merged_fields
    }
    return {
        "type": "object",
        "properties": {wire: _field_schema(model, name, ours["properties"][name]) for name, wire in names.items()},
        "required": sorted(names[name] for name in ours.get("required", ()) if name in names),
    }


def _field_schema(model: type[KieModel], name: str, schema: Schema) -> Schema:
    """Convert the schema of a tool's argument into the schema of the field in the request to KIE."""
    parts = _annotation_parts(model, name)
    if InList in parts:
        return {"type": "array", "items": schema, "maxItems": 1 + _count_merged(model, name)}
    if AsText in parts:
        # KIE requires the number as a text, so the limits of the number are removed: a text has no minimum or maximum.
        schema = {key: value for key, value in schema.items() if key not in ("minimum", "maximum")}
        schema["type"] = "string"
    for part in parts:
        if isinstance(part, LongestRequest):
            schema = {**schema, "maxLength": part.characters}
    if "enum" in schema:
        schema = {**schema, "enum": [_wire_value(model, name, each) for each in schema["enum"]]}
    if "default" in schema:
        schema = {**schema, "default": _wire_value(model, name, schema["default"])}
    return schema


def _annotation_parts(model: type[KieModel], name: str) -> list[Any]:
    field = model.model_fields[name]
    return [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]


def _wire_value(model: type[KieModel], name: str, value: Any) -> Any:
    """Return what is sent to KIE for an argument's value, such as "5" for 5, or landscape_16_9 for 16:9."""
    call = model.model_construct(**{name: value})
    (wire_value,) = call.model_dump(mode="json", include={name}).values()
    return wire_value


def _count_merged(model: type[KieModel], name: str) -> int:
    """Count the `merged_fields` with the same file type as this field; `sent()` may add their values to its list."""
    return sum(_media_types(model, each) == _media_types(model, name) for each in model.merged_fields)


def _media_types(model: type[KieModel], name: str) -> set[type[MediaRef]]:
    return {part for part in _annotation_parts(model, name) if isinstance(part, type) and issubclass(part, MediaRef)}
