"""Dynamic models: classes made at run time from KIE's live JSON Schemas, for models that the catalogue lacks."""

import keyword
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from kie_mcp.catalog.argument_values import is_placeholder
from kie_mcp.catalog.arguments import coerce_arguments, explain_problem, is_empty, tidy
from kie_mcp.catalog.fields import Audio, Image, Kind, MediaRef, Video, snake_case
from kie_mcp.catalog.model import KieModel, Part
from kie_mcp.catalog.schema import plain_schema, walk_annotation

Schema = Mapping[str, Any]

FILE_FIELD = re.compile(r"(^|_)(urls?|uris?|images?|videos?|audios?|masks?|frames?|(image|video|audio)_input)(_\d+)?$")
"""Pattern of the names of fields that take a file; KIE's schemas often mark such fields in no other way."""
NOT_A_FILE_FIELD = re.compile(r"call_?back|webhook|notify")
"""Pattern of the names of fields that take a URL which is not the URL of a file."""
MEDIUM_PATTERNS: tuple[tuple[re.Pattern[str], type[MediaRef]], ...] = (
    (re.compile(r"video|clip|movie"), Video),
    (re.compile(r"audio|voice|sound|song|music"), Audio),
)
"""Patterns of the names of file fields that take a video or audio; all other file fields take an image."""
NUMBER_LIMITS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
TEXT_LIMITS = {"minLength": "min_length", "maxLength": "max_length"}
# For each JSON Schema type, pydantic's name of each limit by JSON Schema's name.
LIMITS = {
    "string": TEXT_LIMITS,
    "array": {"minItems": "min_length", "maxItems": "max_length"},
    "integer": {**NUMBER_LIMITS, "multipleOf": "multiple_of"},
    "number": NUMBER_LIMITS,
}
# The type is not just float, so that 5 is sent as 5: KIE may refuse 5.0.
NUMBER = Annotated[int | float, WithJsonSchema({"type": "number"})]
ENVELOPE = ("model", "callBackUrl")
"""Fields that stand beside `input` in KIE's examples, and that people paste together with the input."""
SHOWN = ("enum", "default", *NUMBER_LIMITS, *TEXT_LIMITS, *LIMITS["array"])
MAX_DESCRIPTION_CHARS = 100
"""Largest number of characters of a field's description in an answer; the rest is cut off."""
PYTHON_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": NUMBER,
    "boolean": bool,
    "object": dict[str, Any],
}


def model_from_schema(id_: str, schema: Schema, *, kind: Kind, does: str) -> type[KieModel]:
    """Make a model class from KIE's live schema; its fields have KIE's own names.

    Args:
        id_: KIE's id of the model.
        schema: The JSON Schema of the request's `input`, with all references resolved.
        kind: What the model makes.
        does: The model's mode, such as `text-to-video`.
    """
    attributes = {"id": id_, "kind": kind, "does": does, "__doc__": f"{id_}, as KIE describes it today."}
    base = type("DynamicModel", (KieModel,), attributes)
    return create_model(id_, __base__=base, __doc__=attributes["__doc__"], **_build_fields(schema, base))


def unchecked_model(id_: str, *, kind: Kind, does: str) -> type[KieModel]:
    """Make a class that accepts any fields, for a model without a published schema."""
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
    """Validate the fields of a call of a dynamic model.

    Args:
        model: A class that this module made.
        fields: The arguments under KIE's names or ours; an argument that is None counts as left out.

    Raises:
        ValueError: A field is wrong or missing; the message says what to change.
    """
    shown = {name: field.alias or name for name, field in model.model_fields.items()}
    known = {shown[name]: schema for name, schema in plain_schema(model)["properties"].items()}
    given = {_spelled(name, known, shown): value for name, value in fields.items() if value is not None}
    required = [shown[name] for name, field in model.model_fields.items() if field.is_required()]
    whole = {"properties": known, "required": required}
    if model.model_config.get("extra") != "allow":
        # KIE's examples have these fields beside the input. They are dropped unless the model itself has them.
        given = {name: value for name, value in given.items() if name in known or name not in ENVELOPE}
        given = _without_empty(coerce_arguments(_without_empty(given, whole), whole), whole)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ValueError("; ".join(explain_problem(problem) for problem in error.errors(include_url=False))) from None


def _spelled(name: str, known: Collection[str], shown: Mapping[str, str]) -> str:
    return next((each for each in (name, name.strip()) if each in known), shown.get(name.strip(), name))


def _without_empty(fields: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the fields without empty values and without seeds of -1 that only mean a random seed.

    Inside objects, only those are cleaned whose fields the schema lists.
    """
    known, required = schema.get("properties", {}), schema.get("required", ())
    inner = {name: _without_empty_parts(value, known.get(name, {})) for name, value in fields.items()}
    return {
        name: value
        for name, value in inner.items()
        if value is not None
        and (name in required or value in known.get(name, {}).get("enum", ()) or not is_empty(tidy(value)))
        and (name in required or not _is_any_seed(name, value, known.get(name, {})))
        and (name in required or not is_placeholder(value, known.get(name, {})))
    }


def _without_empty_parts(value: Any, schema: Schema) -> Any:
    if isinstance(value, list) and schema.get("items"):
        return [_without_empty_parts(each, schema["items"]) for each in value]
    return _without_empty(value, schema) if isinstance(value, Mapping) and schema.get("properties") else value


def _is_any_seed(name: str, value: Any, schema: Schema) -> bool:
    """Tell whether a field is a seed of -1 that means "random" to the caller, but not to KIE.

    KIE knows -1 itself if the schema has it as the default or allows it as a value.
    """
    if str(value) != "-1" or snake_case(name).rpartition("_")[2] not in ("seed", "seeds"):
        return False
    return schema.get("default") != -1 and schema.get("minimum", 0) > -1


def summarize_schema(schema: Schema) -> dict[str, Any]:
    """Shorten KIE's schema for an answer: required fields come first, descriptions are cut, few keys stay."""
    required = schema.get("required") or ()
    fields = sorted((schema.get("properties") or {}).items(), key=lambda field: field[0] not in required)
    properties = {name: _summarize_field(field, name) for name, field in fields}
    return {"type": "object", "properties": properties, "required": [name for name in properties if name in required]}


def _summarize_field(field: Schema, name: str) -> dict[str, Any]:
    """Shorten the schema of one field; a file field is described as `file`."""
    summary = {key: field[key] for key in SHOWN if field.get(key) is not None}
    if kind := _json_type(field):
        summary["type"] = kind
    if kind == "array":
        summary["items"] = _summarize_field(field.get("items") or {}, name)
    if kind == "object" and field.get("properties"):
        summary |= summarize_schema(field)
    if _is_media(_python_type(field, name)):
        summary.pop("default", None)
        summary["description"] = "file"
    elif words := " ".join(str(field.get("description") or "").split()):
        cut = f"{words[: MAX_DESCRIPTION_CHARS - 1]}…"
        summary["description"] = words if len(words) <= MAX_DESCRIPTION_CHARS else cut
    return summary


def _build_fields(schema: Schema, base: type[BaseModel]) -> dict[str, Any]:
    """Build the field definitions that `create_model()` takes: a type and a default for each name."""
    required = schema.get("required") or ()
    made: dict[str, Any] = {}
    for wire_name, field in (schema.get("properties") or {}).items():
        kind = _python_type(field, wire_name)
        # Some of KIE's defaults are example files or empty placeholders, which no caller wants to send.
        given = None if _is_media(kind) or is_empty(tidy(field.get("default"))) else field.get("default")
        default = ... if given is None and wire_name in required else given
        limits = {} if field.get("enum") else _constraints(field)
        made[_free_name(wire_name, made, base)] = (
            kind | None if default is None else kind,
            Field(default, alias=wire_name, serialization_alias=wire_name, **limits),
        )
    return made


def _free_name(wire_name: str, taken: Collection[str], base: type[BaseModel]) -> str:
    """Make a Python name for a field; the name is no keyword, no attribute of the base class and not taken yet."""
    name = re.sub(r"\W", "_", wire_name).lstrip("_0123456789") or "field"
    while keyword.iskeyword(name) or name in taken or hasattr(base, name) or name.startswith("model_"):
        name = f"{name.removeprefix('model_')}_"
    return name


def _constraints(field: Schema) -> dict[str, Any]:
    """Translate JSON Schema's limits of a field to pydantic's."""
    limits = LIMITS.get(_json_type(field), {})
    return {ours: field[theirs] for theirs, ours in limits.items() if isinstance(field.get(theirs), int | float)}


def _json_type(field: Schema) -> str:
    """Return the JSON type of a field, not counting null; empty if the field has no type or several types."""
    kinds = field.get("type")
    others = [each for each in (kinds if isinstance(kinds, list) else [kinds]) if each not in (None, "null")]
    return str(others[0]) if len(others) == 1 else ""


def _python_type(field: Schema, name: str) -> Any:
    """Choose the Python type that validates a field."""
    kind = _json_type(field)
    choices = [value for value in field.get("enum") or () if value is not None]
    if kind == "array":
        return list[_item_type(field.get("items") or {}, name)]  # type: ignore[misc]
    if choices:
        return Literal[tuple(choices)]
    if kind == "object" and field.get("properties"):
        return create_model(f"{name}_part", __base__=Part, **_build_fields(field, Part))
    if kind == "string" and (medium := _media_type(field, name)):
        return medium
    return PYTHON_TYPES.get(kind, Any)


def _item_type(field: Schema, name: str) -> Any:
    limits = {} if field.get("enum") else _constraints(field)
    return Annotated[_python_type(field, name), Field(**limits)]


def _media_type(field: Schema, name: str) -> type[MediaRef] | None:
    """Return the kind of file that a field takes, judged by its format and name; None if it takes no file."""
    plain = snake_case(name)
    if NOT_A_FILE_FIELD.search(plain) or not (field.get("format") == "uri" or FILE_FIELD.search(plain)):
        return None
    return next((medium for words, medium in MEDIUM_PATTERNS if words.search(plain)), Image)


def _is_media(kind: Any) -> bool:
    """Tell whether a type is a file reference, or has a file reference anywhere inside."""
    return any(isinstance(part, type) and issubclass(part, MediaRef) for part in walk_annotation(kind))
