"""A model's fields as KIE takes them, as JSON Schema: what the sandbox publishes and drift is measured against."""

from typing import Any

from kie_mcp.catalog.fields import AsText, InList, MediaRef
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.schema import plain_schema, walk_annotation

Schema = dict[str, Any]


def wire_schema(model: type[KieModel]) -> Schema:
    """The schema of what `sent()` gives, in the spelling of the product API where there is one."""
    ours = plain_schema(model)
    names = {name: f.serialization_alias or name for name, f in model.model_fields.items() if name not in model.folded}
    return {
        "type": "object",
        "properties": {wire: _on_the_wire(model, name, ours["properties"][name]) for name, wire in names.items()},
        "required": sorted(names[name] for name in ours.get("required", ()) if name in names),
    }


def _on_the_wire(model: type[KieModel], name: str, schema: Schema) -> Schema:
    parts = _parts(model, name)
    if InList in parts:
        return {"type": "array", "items": schema, "maxItems": 1 + _folded_beside(model, name)}
    if AsText in parts:
        # The limits of a number say nothing about a text.
        schema = {key: value for key, value in schema.items() if key not in ("minimum", "maximum")}
        schema["type"] = "string"
    if "enum" in schema:
        schema = {**schema, "enum": [_sent(model, name, each) for each in schema["enum"]]}
    if "default" in schema:
        schema = {**schema, "default": _sent(model, name, schema["default"])}
    return schema


def _parts(model: type[KieModel], name: str) -> list[Any]:
    field = model.model_fields[name]
    return [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]


def _sent(model: type[KieModel], name: str, value: Any) -> Any:
    """What the wire has for a value: 5 may go out as "5", and 16:9 as landscape_16_9."""
    call = model.model_construct(**{name: value})
    (sent,) = call.model_dump(mode="json", include={name}).values()
    return sent


def _folded_beside(model: type[KieModel], name: str) -> int:
    """How many fields `sent()` may put into the same list: those that take the same kind of file."""
    return sum(_media(model, each) == _media(model, name) for each in model.folded)


def _media(model: type[KieModel], name: str) -> set[type[MediaRef]]:
    return {part for part in _parts(model, name) if isinstance(part, type) and issubclass(part, MediaRef)}
