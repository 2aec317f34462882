"""Dynamic models: classes made at run time from KIE's live JSON Schemas, for models without a built-in class."""

import keyword
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SerializationInfo, create_model

from kie_mcp.catalog.amount import NOT_MEASURED, Lengths
from kie_mcp.catalog.argument_values import PROSE, is_empty, is_placeholder
from kie_mcp.catalog.arguments import coerce_arguments, tidy
from kie_mcp.catalog.fields import Kind, Ref, snake_case
from kie_mcp.catalog.file_fields import has_file, json_type, with_files
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import Estimate
from kie_mcp.catalog.published_schema import MAX_SCHEMA_DEPTH, is_deeper, merge_alternatives
from kie_mcp.catalog.result_count import count_results
from kie_mcp.catalog.schema_check import SchemaCheck, unknown_fields
from kie_mcp.catalog.spellings import CALLBACK_NAMES
from kie_mcp.text import one_line, shorten

Schema = Mapping[str, Any]

SHOWN = (
    *("enum", "default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems", "pattern"),
)
"""Keywords of a field's JSON Schema that a tool's answer shows."""
MAX_DESCRIPTION_CHARS = 100
"""Largest number of characters of a field's description that a tool's answer shows; the rest is cut off."""


def _to_wire(value: Any, info: SerializationInfo) -> Any:
    """Replace each file or earlier task in a value, at any depth, by its URL or id at KIE; return the new value."""
    match value:
        case Ref():
            return info.context(value) if info.context else str(value)
        case Mapping():
            return {name: _to_wire(each, info) for name, each in value.items()}
        case list():
            return [_to_wire(each, info) for each in value]
    return value


Value = Annotated[Any, PlainSerializer(_to_wire)]
"""The type of all fields of dynamic models; pydantic accepts any value, because `SchemaCheck` checks the values."""


class DynamicModel(KieModel):
    """A model that is known only by the schema that KIE publishes."""

    __pydantic_extra__: dict[str, Value] = Field(init=False)
    """Values of fields that the class does not define. Their type is `Value`, because a value may contain files."""
    input_schema: ClassVar[Schema] = {}
    """KIE's JSON Schema of the model's input, with alternatives such as `anyOf` merged into one list of fields."""
    check: ClassVar[SchemaCheck | None] = None
    """Checks a call's fields against KIE's schema; None for a model without a usable schema."""

    @classmethod
    def field_schemas(cls) -> Schema:
        """Return KIE's JSON Schema of each field of this class; the key is the field's name."""
        known = cls.input_schema.get("properties", {})
        return {name: known.get(field.alias, {}) for name, field in cls.model_fields.items()}


def model_from_schema(id_: str, schema: Schema, *, kind: Kind, task_type: str, as_of: str = "") -> type[DynamicModel]:
    """Make a model class from KIE's live schema; its fields have KIE's own names.

    Args:
        id_: KIE's id of the model.
        schema: The JSON Schema of the request's `input`, as `extract_input_schema()` returns it.
        kind: The kind of result that the model makes.
        task_type: The model's mode, such as `text-to-video`.
        as_of: The day on which KIE published the schema, such as 2026-10-08; empty for today.

    Raises:
        UnusableSchema: The schema is not valid JSON Schema.
    """
    merged = merge_alternatives(schema)
    is_open = "additionalProperties" in merged or "patternProperties" in merged
    attributes: dict[str, Any] = {
        "id": id_,
        "kind": kind,
        "task_type": task_type,
        "__doc__": f"{id_}, as KIE {f'described it on {as_of}' if as_of else 'describes it today'}.",
        "__module__": __name__,
        "input_schema": merged,
        "check": SchemaCheck(dict(schema)),
        "model_config": ConfigDict(extra="allow" if is_open else "forbid", frozen=True),
    }
    base: type[DynamicModel] = type("DynamicModel", (DynamicModel,), attributes)
    fields = _build_fields(merged.get("properties", {}), merged.get("required", ()), base)
    return create_model(id_, __base__=base, __doc__=attributes["__doc__"], **fields)


def unchecked_model(
    id_: str, *, kind: Kind, task_type: str, reason: str = "KIE publishes no schema"
) -> type[DynamicModel]:
    """Make a class for a model without a usable schema; the class accepts any fields.

    Args:
        id_: KIE's id of the model.
        kind: The kind of result that the model makes.
        task_type: The model's mode, such as `text-to-video`.
        reason: Why there is no usable schema, in words.
    """
    attributes = {
        "id": id_,
        "kind": kind,
        "task_type": task_type,
        "__doc__": f"{id_}: {reason}, so run_model takes any fields with unchecked: true.",
        "__module__": __name__,
        "model_config": ConfigDict(extra="allow", frozen=True),
    }
    return type("Unchecked", (DynamicModel,), attributes)


def parse_call(model: type[DynamicModel], fields: Mapping[str, Any]) -> KieModel:
    """Check the arguments of a tool call, and return an instance of the dynamic model with these arguments.

    Args:
        model: A class from `model_from_schema()` or `unchecked_model()`.
        fields: The arguments under KIE's names or the names in the class; an argument that is None is ignored.

    Raises:
        ValueError: A field is wrong or missing; the message says what to change.
    """
    if is_deeper(dict(fields), MAX_SCHEMA_DEPTH):
        raise ValueError("the fields are nested too deeply")
    if model.check is None:
        given = {name: with_files(value, {}, name) for name, value in fields.items() if value is not None}
        return model.model_validate(given)
    shown = {name: field.alias or name for name, field in model.model_fields.items()}
    schema = model.input_schema
    known = schema.get("properties", {})
    given = {_match_spelling(name, known, shown): value for name, value in fields.items() if value is not None}
    # These fields are outside of the input, so they are dropped. If the model's input has such a field, it is kept.
    dropped = {name for name in given if name == "model" or snake_case(name) in CALLBACK_NAMES} - known.keys()
    given = {name: value for name, value in given.items() if name not in dropped}
    given = _read_fields(given, schema)
    given, problems = _check(model.check, given, known)
    narrowed = merge_alternatives(model.check.narrow(given))
    problems += [f"there is no argument {name}" for name in unknown_fields(given, narrowed)]
    if problems:
        raise ValueError("; ".join(problems))
    completed = {**_defaults(narrowed), **given}
    # If KIE's defaults contradict the given fields, no default is sent, and KIE chooses the missing values itself.
    return model.model_validate(given if model.check.find_problems(completed) else completed)


def check_fields(
    fields: Mapping[str, Any], properties: Mapping[str, Schema], exact: Mapping[str, Schema] | None = None
) -> dict[str, Any]:
    """Return fields that are not empty, converted to the types of their schemas.

    Args:
        fields: The values of the fields; the key is KIE's name of the field.
        properties: The JSON Schema of each field, without alternatives such as `anyOf`.
        exact: The schemas to check the fields against, if these have alternatives.

    Raises:
        ValueError: A field is wrong; the message says what to change.
    """
    given = _read_fields(fields, {"properties": properties})
    given, problems = _check(SchemaCheck({"properties": exact or properties}), given, properties)
    if problems:
        raise ValueError("; ".join(problems))
    return given


def add_live_fields(call: KieModel, schema: Schema, fields: Mapping[str, Any]) -> KieModel:
    """Return a copy of a built-in model's call with additional fields, which KIE added after the class was written.

    Args:
        call: The call without the new fields.
        schema: The JSON Schema that KIE publishes for the model; it has all the new fields.
        fields: The values of the new fields; the key is KIE's name of the field.

    Raises:
        ValueError: A field is wrong; the message says what to change.
    """
    properties = {name: merge_alternatives(schema)["properties"][name] for name in fields}
    exact = {name: schema.get("properties", {}).get(name, properties[name]) for name in fields}
    given = check_fields(fields, properties, exact)
    extended = _extend(type(call), properties)
    names = {field.serialization_alias: name for name, field in extended.model_fields.items()}
    added = {names[name]: value for name, value in given.items()}
    return extended.model_construct({*call.model_fields_set, *added}, **dict(call), **added)


class ExtendedModel(KieModel):
    """A built-in model with fields that KIE added after the class was written."""

    def estimate(self, lengths: Lengths = NOT_MEASURED) -> Estimate:
        """Estimate the cost of this call in credits; the new fields may ask for several results at the listed price."""
        listed = super().estimate(lengths)
        # For the unit "image", `count_units()` has counted a field with the name "count" already.
        counted = {"count"} if self.price.unit == "image" else set[str]()
        results = count_results({name: getattr(self, name) for name in self.added - counted})
        if listed.high is None or math.isnan(results):
            return Estimate(None, None)
        return replace(listed, high=round(listed.high * results, 2))

    def without_added(self) -> KieModel:
        """Return the same call without the new fields, as an instance of the built-in model."""
        models = (each for each in type(self).__mro__ if issubclass(each, KieModel))
        built_in = next(each for each in models if not issubclass(each, ExtendedModel))
        return built_in.model_construct(**{name: value for name, value in self if name not in self.added})

    def has_new_setting(self) -> bool:
        """Tell whether a new field is a setting, such as a resolution, on which the price may depend."""
        return any(_is_setting(name, getattr(self, name)) for name in self.added)


def _is_setting(name: str, value: object) -> bool:
    """Return False for what changes no price: a file, a seed, a free text, and a switch that is off."""
    if value is False or isinstance(value, Ref) or snake_case(name).strip("_").endswith("seed"):
        return False
    if isinstance(value, list):
        return any(_is_setting(name, each) for each in value)
    return not (isinstance(value, str) and re.search(r"\s", value))


def _extend(base: type[KieModel], properties: Schema) -> type[KieModel]:
    fields = _build_fields(properties, (), base)
    attributes = {"__doc__": base.__doc__, "added": frozenset(fields)}
    named: type[KieModel] = type(base.__name__, (ExtendedModel, base), attributes)
    return create_model(base.__name__, __base__=named, __doc__=base.__doc__, **fields)


def _read_fields(fields: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the fields that are not empty, converted to the types of the schema, with each file as a `MediaRef`."""
    given = _without_empty(_coerce_fields(_without_empty(fields, schema), schema), schema)
    return dict(with_files(given, schema, ""))


def _check(check: SchemaCheck, fields: dict[str, Any], known: Mapping[str, Schema]) -> tuple[dict[str, Any], list[str]]:
    """Check the fields, and return them with a list of their problems in words.

    If there are problems, the fields are checked again with numbers in place of texts such as "5". If that solves all
    problems, the fields with the numbers are returned.
    """
    problems = check.find_problems(fields)
    if problems and not check.find_problems(numbers := _with_numbers(fields, known)):
        return numbers, []
    return fields, problems


def _with_numbers(fields: Mapping[str, Any], known: Mapping[str, Schema]) -> dict[str, Any]:
    """Convert texts such as "5" to numbers, in each field whose schema has no type or several types."""

    def read(value: Any) -> Any:
        return coerce_arguments({"": value}, {"properties": {"": {"type": "number"}}})[""]

    return {name: value if json_type(known.get(name, {})) else read(value) for name, value in fields.items()}


def _defaults(schema: Schema) -> dict[str, Any]:
    """Return KIE's default of each optional field; the key is the field's name.

    Empty defaults and defaults of file fields are left out: no caller wants to send an empty value or KIE's example
    file.
    """
    return {
        name: field["default"]
        for name, field in schema.get("properties", {}).items()
        if name not in schema.get("required", ())
        and not is_empty(tidy(field.get("default")))
        and not has_file(field, name)
    }


def _match_spelling(name: str, known: Collection[str], shown: Mapping[str, str]) -> str:
    return next((each for each in (name, name.strip()) if each in known), shown.get(name.strip(), name))


def _without_empty(fields: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Leave out each field whose value is empty, a text such as "null", or a seed of -1 that KIE would refuse.

    A required field is left out only if it is None or an empty file field. An object inside a field is cleaned in the
    same way if the schema lists the object's fields.
    """
    known, required = schema.get("properties", {}), schema.get("required", ())
    inner = {name: _without_empty_parts(value, known.get(name, {})) for name, value in fields.items()}
    return {
        name: value
        for name, value in inner.items()
        if value is not None
        and (
            (name in required and not has_file(known.get(name, {}), name))
            or value in known.get(name, {}).get("enum", ())
            or not is_empty(tidy(value))
        )
        and (name in required or not _means_random(name, value, known.get(name, {})))
        and (name in required or not is_placeholder(value, known.get(name, {})))
    }


def _without_empty_parts(value: Any, schema: Schema) -> Any:
    if isinstance(value, list) and schema.get("items"):
        return [_without_empty_parts(each, schema["items"]) for each in value]
    return _without_empty(value, schema) if isinstance(value, Mapping) and schema.get("properties") else value


def _means_random(name: str, value: Any, schema: Schema) -> bool:
    """Tell whether a field is a seed of -1 that KIE would refuse; callers write -1 for a random seed.

    KIE allows -1 only if the schema has -1 as the default, or a `minimum` of -1 or less.
    """
    if str(value) != "-1" or snake_case(name).rpartition("_")[2] not in ("seed", "seeds"):
        return False
    return schema.get("default") != -1 and schema.get("minimum", 0) > -1


def _coerce_fields(fields: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    known = schema.get("properties", {})
    return {name: _coerce(value, known.get(name, {}), name) for name, value in fields.items()}


def _coerce(value: Any, schema: Schema, name: str) -> Any:
    """Convert a value to the type and the spelling in its schema: "5" to 5, a JSON text to a list, 4k to 4K."""
    kind, choices, items = json_type(schema), schema.get("enum", ()), schema.get("items", {})
    # A text with commas is a list of files, ids or choices, but a single item where the items are any texts.
    is_prose = json_type(items) == "string" and not items.get("enum") and not has_file(schema, name)
    is_prose = is_prose and snake_case(name).rpartition("_")[2] not in ("id", "ids")
    field = {"type": kind, "enum": choices, "items": PROSE if is_prose else {}}
    value = coerce_arguments({"": value}, {"properties": {"": field}})[""]
    if isinstance(value, float) and value.is_integer() and kind == "integer":
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if kind == "string" and (isinstance(value, int) or math.isfinite(value)):
            return str(value)
        if kind == "boolean" and value in {0, 1}:
            return bool(value)
    if isinstance(value, list):
        return [_coerce(each, items, name) for each in value]
    return _coerce_fields(value, schema) if isinstance(value, Mapping) else value


def summarize_schema(schema: Schema) -> dict[str, Any]:
    """Shorten KIE's schema of a model's input, so that a tool can show it in an answer.

    Required fields come first, long descriptions are cut off, and only the keywords in `SHOWN` are kept.
    """
    required = schema.get("required") or ()
    fields = sorted((schema.get("properties") or {}).items(), key=lambda field: field[0] not in required)
    properties = {name: _summarize_field(field, name) for name, field in fields}
    return {"type": "object", "properties": properties, "required": [name for name in properties if name in required]}


def _summarize_field(field: Schema, name: str) -> dict[str, Any]:
    """Shorten the schema of one field; a file field gets the description `file`."""
    summary = {key: _shown(field[key]) for key in SHOWN if field.get(key) is not None}
    if kind := json_type(field):
        summary["type"] = kind
    if kind == "array":
        summary["items"] = _summarize_field(field.get("items") or {}, name)
    if kind == "object" and field.get("properties"):
        summary |= summarize_schema(field)
    if has_file(field, name):
        summary.pop("default", None)
        summary["description"] = "file"
    elif words := field.get("description"):
        summary["description"] = shorten(words, MAX_DESCRIPTION_CHARS)
    return summary


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return one_line(value) if isinstance(value, str) else value


def _build_fields(properties: Schema, required: Collection[str], base: type[BaseModel]) -> dict[str, Any]:
    """Return the field definitions for pydantic's `create_model()`: for each Python name, a type and a default."""
    made: dict[str, Any] = {}
    for wire_name in properties:
        default = ... if wire_name in required else None
        made[_free_name(wire_name, made, base)] = (
            Value,
            Field(default, alias=wire_name, serialization_alias=wire_name),
        )
    return made


def _free_name(wire_name: str, taken: Collection[str], base: type[BaseModel]) -> str:
    """Return a Python name for a field; the name is no keyword, no attribute of `base` and not in `taken`."""
    name = re.sub(r"\W", "_", wire_name).lstrip("_0123456789") or "field"
    while keyword.iskeyword(name) or name in taken or hasattr(base, name) or name.startswith("model_"):
        name = f"{name.removeprefix('model_')}_"
    return name
