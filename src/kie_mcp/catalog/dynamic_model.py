"""Dynamic models: classes made at run time from KIE's live JSON Schemas, for models that the catalogue lacks."""

import keyword
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from kie_mcp.catalog.arguments import coerce_arguments, explain_problem
from kie_mcp.catalog.fields import Audio, Image, Kind, MediaRef, Video, snake_case
from kie_mcp.catalog.model import KieModel, Part
from kie_mcp.catalog.schema import plain_schema, walk_annotation

Schema = Mapping[str, Any]

FILE_FIELD = re.compile(r"(^|_)(urls?|uris?|images?|videos?|audios?|masks?|frames?|(image|video|audio)_input)(_\d+)?$")
"""Names of fields that take a file: KIE's schemas have no other sign of it."""
NOT_A_FILE_FIELD = re.compile(r"call_?back|webhook|notify")
"""Names of fields that take another URL."""
MEDIUM_PATTERNS: tuple[tuple[re.Pattern[str], type[MediaRef]], ...] = (
    (re.compile(r"video|clip|movie"), Video),
    (re.compile(r"audio|voice|sound|song|music"), Audio),
)
"""Names of file fields that take a video or audio; the others take an image."""
NUMBER_LIMITS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
TEXT_LIMITS = {"minLength": "min_length", "maxLength": "max_length"}
# Pydantic's names of JSON Schema's limits, by JSON Schema's type.
LIMITS = {
    "string": TEXT_LIMITS,
    "array": {"minItems": "min_length", "maxItems": "max_length"},
    "integer": {**NUMBER_LIMITS, "multipleOf": "multiple_of"},
    "number": NUMBER_LIMITS,
}
# An integer stays an integer: KIE may refuse 5.0 for 5.
NUMBER = Annotated[int | float, WithJsonSchema({"type": "number"})]
SHOWN = ("enum", "default", *NUMBER_LIMITS, *TEXT_LIMITS, *LIMITS["array"])
MAX_DESCRIPTION_CHARS = 100
"""Length of KIE's description of a field in an answer, at most; the rest is cut off."""
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
        does: The mode, such as `text-to-video`.
    """
    attributes = {"id": id_, "kind": kind, "does": does, "__doc__": f"{id_}, as KIE describes it today."}
    base = type("DynamicModel", (KieModel,), attributes)
    return create_model(id_, __base__=base, __doc__=attributes["__doc__"], **_build_fields(schema, base))


def unchecked_model(id_: str, *, kind: Kind, does: str) -> type[KieModel]:
    """Make a class for a model without a published schema; it accepts any fields."""
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
        fields: The arguments under KIE's names or ours; None means not given.

    Raises:
        ValueError: A field is wrong or missing; the message says what to change.
    """
    shown = {name: field.alias or name for name, field in model.model_fields.items()}
    known = {shown[name]: schema for name, schema in plain_schema(model)["properties"].items()}
    told = {name: value for name, value in fields.items() if value is not None}
    given = {name if name in known else shown.get(name, name): value for name, value in told.items()}
    try:
        return model.model_validate(coerce_arguments(given, {"properties": known}))
    except ValidationError as error:
        raise ValueError("; ".join(explain_problem(problem) for problem in error.errors(include_url=False))) from None


def summarize_schema(schema: Schema) -> dict[str, Any]:
    """Shorten KIE's schema for an answer: the required fields first, descriptions cut, only the most useful keys."""
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
        # KIE's schemas give an example file as the default, which no caller wants to be sent.
        given = None if _is_media(kind) else field.get("default")
        default = ... if given is None and wire_name in required else given
        limits = {} if field.get("enum") else _constraints(field)
        made[_free_name(wire_name, made, base)] = (
            kind | None if default is None else kind,
            Field(default, alias=wire_name, serialization_alias=wire_name, **limits),
        )
    return made


def _free_name(wire_name: str, taken: Collection[str], base: type[BaseModel]) -> str:
    """Make a Python name for a field that is no keyword, no attribute of the base class and not taken."""
    name = re.sub(r"\W", "_", wire_name).lstrip("_0123456789") or "field"
    while keyword.iskeyword(name) or name in taken or hasattr(base, name) or name.startswith("model_"):
        name = f"{name.removeprefix('model_')}_"
    return name


def _constraints(field: Schema) -> dict[str, Any]:
    """Translate JSON Schema's limits of a field to pydantic's."""
    limits = LIMITS.get(_json_type(field), {})
    return {ours: field[theirs] for theirs, ours in limits.items() if isinstance(field.get(theirs), int | float)}


def _json_type(field: Schema) -> str:
    """Return a field's only JSON type besides null; empty if there is none or more than one."""
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
    """Return the kind of file that a field takes, judged by its format and name, or None."""
    plain = snake_case(name)
    if NOT_A_FILE_FIELD.search(plain) or not (field.get("format") == "uri" or FILE_FIELD.search(plain)):
        return None
    return next((medium for words, medium in MEDIUM_PATTERNS if words.search(plain)), Image)


def _is_media(kind: Any) -> bool:
    """Tell whether a type holds a file anywhere inside."""
    return any(isinstance(part, type) and issubclass(part, MediaRef) for part in walk_annotation(kind))
