"""A model that is not in the catalogue, made from the JSON Schema that KIE publishes of it."""

import keyword
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from kie_mcp.catalog.arguments import coerce_arguments, explain_problem, is_empty, tidy
from kie_mcp.catalog.fields import Audio, Image, Kind, MediaRef, Video, snake_case
from kie_mcp.catalog.model import KieModel, Part
from kie_mcp.catalog.schema import plain_schema, walk_annotation

Schema = Mapping[str, Any]

FILE = re.compile(r"(^|_)(urls?|uris?|images?|videos?|audios?|masks?|frames?|(image|video|audio)_input)(_\d+)?$")
"""How a field that takes a file is called; KIE says it nowhere else."""
NO_FILE = re.compile(r"call_?back|webhook|notify")
MEDIA: tuple[tuple[re.Pattern[str], type[MediaRef]], ...] = (
    (re.compile(r"video|clip|movie"), Video),
    (re.compile(r"audio|voice|sound|song|music"), Audio),
)
SPAN = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
LENGTH = {"minLength": "min_length", "maxLength": "max_length"}
LIMITS = {
    "string": LENGTH,
    "array": {"minItems": "min_length", "maxItems": "max_length"},
    "integer": {**SPAN, "multipleOf": "multiple_of"},
    "number": SPAN,
}
# A whole number stays one: KIE may not take 5.0 for 5.
NUMBER = Annotated[int | float, WithJsonSchema({"type": "number"})]
ENVELOPE = ("model", "callBackUrl")
"""What KIE's examples have beside the input, and people paste with it."""
SHOWN = ("enum", "default", *SPAN, *LENGTH, *LIMITS["array"])
LONGEST_PROSE = 100
"""Characters of KIE's words on a field that an answer shows."""
TYPES: dict[str, Any] = {"string": str, "integer": int, "number": NUMBER, "boolean": bool, "object": dict[str, Any]}


def model_from_schema(id_: str, schema: Schema, *, kind: Kind, does: str) -> type[KieModel]:
    """A class for a model that only KIE knows; its fields carry KIE's own names.

    Args:
        id_: KIE's id.
        schema: The schema of `input`, references resolved.
        kind: What comes out.
        does: The mode, such as `text-to-video`.
    """
    attributes = {"id": id_, "kind": kind, "does": does, "__doc__": f"{id_}, as KIE describes it today."}
    base = type("Foreign", (KieModel,), attributes)
    return create_model(id_, __base__=base, __doc__=attributes["__doc__"], **_fields(schema, base))


def unchecked_model(id_: str, *, kind: Kind, does: str) -> type[KieModel]:
    """A class for a model of which KIE publishes no schema: it takes anything."""
    attributes = {
        "id": id_,
        "kind": kind,
        "does": does,
        "__doc__": f"{id_}, of which KIE publishes no schema: run_model takes any fields with unchecked: true.",
        "__module__": __name__,
        "model_config": ConfigDict(extra="allow", frozen=True),
    }
    return type("Unchecked", (KieModel,), attributes)


def parse_call(model: type[KieModel], fields: Mapping[str, Any]) -> KieModel:
    """The call that KIE's fields describe.

    Raises:
        ValueError: With a message that tells the caller what to change.
    """
    shown = {name: field.alias or name for name, field in model.model_fields.items()}
    known = {shown[name]: schema for name, schema in plain_schema(model)["properties"].items()}
    given = {_spelled(name, known, shown): value for name, value in fields.items() if value is not None}
    required = [shown[name] for name, field in model.model_fields.items() if field.is_required()]
    whole = {"properties": known, "required": required}
    if model.model_config.get("extra") != "allow":
        # What stands beside input in KIE's examples.
        given = {name: value for name, value in given.items() if name in known or name not in ENVELOPE}
        given = _without_empty(coerce_arguments(_without_empty(given, whole), whole), whole)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ValueError("; ".join(explain_problem(problem) for problem in error.errors(include_url=False))) from None


def _spelled(name: str, known: Collection[str], shown: Mapping[str, str]) -> str:
    return next((each for each in (name, name.strip()) if each in known), shown.get(name.strip(), name))


def _without_empty(fields: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """The fields without what says nothing, as far as the schema tells what is a field."""
    known, required = schema.get("properties", {}), schema.get("required", ())
    inner = {name: _without_empty_parts(value, known.get(name, {})) for name, value in fields.items()}
    return {
        name: value
        for name, value in inner.items()
        if value is not None
        and (name in required or value in known.get(name, {}).get("enum", ()) or not is_empty(tidy(value)))
        and (name in required or not _is_any_seed(name, value, known.get(name, {})))
    }


def _without_empty_parts(value: Any, schema: Schema) -> Any:
    if isinstance(value, list) and schema.get("items"):
        return [_without_empty_parts(each, schema["items"]) for each in value]
    return _without_empty(value, schema) if isinstance(value, Mapping) and schema.get("properties") else value


def _is_any_seed(name: str, value: Any, schema: Schema) -> bool:
    """Whether a seed is everybody's word for a random one, and not KIE's."""
    if str(value) != "-1" or snake_case(name).rpartition("_")[2] not in ("seed", "seeds"):
        return False
    return schema.get("default") != -1 and schema.get("minimum", 0) > -1


def summarize_schema(schema: Schema) -> dict[str, Any]:
    """KIE's schema in few words, the required fields first."""
    required = schema.get("required") or ()
    fields = sorted((schema.get("properties") or {}).items(), key=lambda field: field[0] not in required)
    properties = {name: _shown(field, name) for name, field in fields}
    return {"type": "object", "properties": properties, "required": [name for name in properties if name in required]}


def _shown(field: Schema, name: str) -> dict[str, Any]:
    told = {key: field[key] for key in SHOWN if field.get(key) is not None}
    if kind := _kind(field):
        told["type"] = kind
    if kind == "array":
        told["items"] = _shown(field.get("items") or {}, name)
    if kind == "object" and field.get("properties"):
        told |= summarize_schema(field)
    if _is_media(_type(field, name)):
        told.pop("default", None)
        told["description"] = "file"
    elif words := " ".join(str(field.get("description") or "").split()):
        told["description"] = words if len(words) <= LONGEST_PROSE else f"{words[: LONGEST_PROSE - 1]}…"
    return told


def _fields(schema: Schema, base: type[BaseModel]) -> dict[str, Any]:
    required = schema.get("required") or ()
    made: dict[str, Any] = {}
    for wire_name, field in (schema.get("properties") or {}).items():
        kind = _type(field, wire_name)
        # A file that KIE's page shows as an example is not what the caller wants; nor is a gap to be filled in.
        given = None if _is_media(kind) or is_empty(tidy(field.get("default"))) else field.get("default")
        default = ... if given is None and wire_name in required else given
        limits = {} if field.get("enum") else _limits(field)
        made[_name(wire_name, made, base)] = (
            kind | None if default is None else kind,
            Field(default, alias=wire_name, serialization_alias=wire_name, **limits),
        )
    return made


def _name(wire_name: str, taken: Collection[str], base: type[BaseModel]) -> str:
    """A name for a field that Python, pydantic and the other fields leave free."""
    name = re.sub(r"\W", "_", wire_name).lstrip("_0123456789") or "field"
    while keyword.iskeyword(name) or name in taken or hasattr(base, name) or name.startswith("model_"):
        name = f"{name.removeprefix('model_')}_"
    return name


def _limits(field: Schema) -> dict[str, Any]:
    limits = LIMITS.get(_kind(field), {})
    return {ours: field[theirs] for theirs, ours in limits.items() if isinstance(field.get(theirs), int | float)}


def _kind(field: Schema) -> str:
    """What a field holds, null aside; empty where KIE does not say one thing."""
    kinds = field.get("type")
    told = [each for each in (kinds if isinstance(kinds, list) else [kinds]) if each not in (None, "null")]
    return str(told[0]) if len(told) == 1 else ""


def _type(field: Schema, name: str) -> Any:
    kind = _kind(field)
    choices = [value for value in field.get("enum") or () if value is not None]
    if kind == "array":
        return list[_item(field.get("items") or {}, name)]  # type: ignore[misc]
    if choices:
        return Literal[tuple(choices)]
    if kind == "object" and field.get("properties"):
        return create_model(f"{name}_part", __base__=Part, **_fields(field, Part))
    if kind == "string" and (medium := _medium(field, name)):
        return medium
    return TYPES.get(kind, Any)


def _item(field: Schema, name: str) -> Any:
    limits = {} if field.get("enum") else _limits(field)
    return Annotated[_type(field, name), Field(**limits)]


def _medium(field: Schema, name: str) -> type[MediaRef] | None:
    """The kind of file that a field takes, by its format and name."""
    plain = snake_case(name)
    if NO_FILE.search(plain) or not (field.get("format") == "uri" or FILE.search(plain)):
        return None
    return next((medium for words, medium in MEDIA if words.search(plain)), Image)


def _is_media(kind: Any) -> bool:
    return any(isinstance(part, type) and issubclass(part, MediaRef) for part in walk_annotation(kind))
