"""Clean the JSON Schemas that KIE publishes: replace `$ref`, leave out mistakes, and reject oversized schemas."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from kie_mcp.text import one_line

Schema = dict[str, Any]

MAX_SCHEMA_CHARS = 100_000
"""Maximum size of a schema in characters, with each `$ref` replaced; KIE's largest schema has about 10,000."""
MAX_SCHEMA_DEPTH = 32
"""Maximum depth to which schemas may be nested in each other; the same limit holds for lists and objects in a value."""
MAX_NUMBER = 2**63 - 1
"""Largest absolute value of a number in a schema; a larger number is left out, because it limits nothing."""
SCHEMA_COST = 40
"""Number of characters that each schema, even an empty one, adds to the total size that `MAX_SCHEMA_CHARS` limits."""
MAX_DESCRIPTION_CHARS = 500
"""Largest number of characters of a field's description that are kept; the rest is cut off."""

TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
MAPS_OF_SCHEMAS = ("properties", "patternProperties", "dependentSchemas")
LISTS_OF_SCHEMAS = ("allOf", "anyOf", "oneOf", "prefixItems")
SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


class UnusableSchema(ValueError):
    """A published schema cannot be used; the message says why."""


def extract_input_schema(document: Mapping[str, Any]) -> Schema | None:
    """Return the schema of the request's field `input` in an OpenAPI document of KIE; None when there is none.

    Each `$ref` is replaced by the schema that it points to, and keywords with a wrong value are left out.

    Raises:
        UnusableSchema: The schema is too large or nested too deeply.
    """
    for path in _mappings(document.get("paths")):
        for operation in _mappings(path):
            for content in _mappings(_value_at(operation, "requestBody", "content")):
                body = _Reader(document).read(content.get("schema"))
                found = _any_of(_schemas_of("input", body))
                if merge_alternatives(found).get("properties"):
                    return found
    return None


def read_schema(schema: Any) -> Schema:
    """Clean a schema that is not part of an OpenAPI document, in the same way as `extract_input_schema()`.

    Raises:
        UnusableSchema: The schema is too large or nested too deeply.
    """
    return _Reader({}).read(schema)


def _schemas_of(field: str, schema: Schema) -> list[Schema]:
    """Return all schemas of a field: several if alternatives such as `anyOf` define the field more than once."""
    if field in schema.get("properties", ()):
        return [schema["properties"][field]]
    parts = [part for key in ("allOf", "anyOf", "oneOf") for part in schema.get(key, ())]
    return [found for part in parts for found in _schemas_of(field, part)]


def _any_of(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else {}


class _Reader:
    """Reader of the schemas in one OpenAPI document; it raises an error if these schemas together are too large."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._chars = 0

    def read(self, node: Any, within: frozenset[str] = frozenset(), depth: int = 0) -> Schema:
        """Clean a schema: replace each `$ref`, remove the spaces around names, and leave out mistakes.

        Args:
            node: The schema as KIE publishes it.
            within: The `$ref` values that lead to this schema. A `$ref` in this set is replaced by an empty schema,
                because a schema that refers to itself would never end.
            depth: Number of schemas in which this schema is nested.
        """
        if depth > MAX_SCHEMA_DEPTH:
            raise UnusableSchema("it is nested too deeply")
        self._add(SCHEMA_COST)
        if not isinstance(node, dict):
            return {"not": {}} if node is False else {}
        given = {str(key).strip(): value for key, value in node.items()}
        reference = given.pop("$ref", None)
        if isinstance(reference, str):
            target = {} if reference in within else _reference_target(reference, self._document)
            return self.read({**target, **given}, within | {reference}, depth + 1)
        if isinstance(given.get("items"), list):
            given["prefixItems"] = given.pop("items")
        read = dict(self._read_keywords(given))
        read |= self._read_parts(given, lambda part: self.read(part, within, depth + 1))
        # In some of KIE's schemas, the `enum` of a list's items is beside `type: array`; it is moved into `items`.
        if read.get("type") == "array" and "enum" in read and not any(isinstance(each, list) for each in read["enum"]):
            read["items"] = _cast_values({**read.get("items", {}), "enum": read.pop("enum")})
        return _cast_values(read)

    def _read_parts(self, given: Schema, read: Callable[[Any], Schema]) -> Iterator[tuple[str, Any]]:
        """Generate each keyword that contains schemas, together with these schemas; `read` cleans each schema."""
        for key in MAPS_OF_SCHEMAS:
            if isinstance(given.get(key), dict):
                named = {str(name).strip(): part for name, part in given[key].items()}
                # A field whose name has control characters is left out, because answers show the names of fields
                # unchanged.
                yield key, {name: read(part) for name, part in named.items() if name.isprintable()}
        for key in LISTS_OF_SCHEMAS:
            if isinstance(given.get(key), list) and given[key]:
                yield key, [read(part) for part in given[key]]
        for key in SCHEMAS:
            if isinstance(given.get(key), dict | bool):
                yield key, read(given[key])
        if given.get("additionalProperties") is False:
            yield "additionalProperties", False

    def _read_keywords(self, given: Schema) -> Iterator[tuple[str, Any]]:
        """Generate the keywords that contain no schema, each with its value; leave out wrong values."""
        for key, value in given.items():
            read = KEYWORDS.get(key)
            if read and is_deeper(value, MAX_SCHEMA_DEPTH):
                raise UnusableSchema("it is nested too deeply")
            if read and (correct := read(value)) is not None:
                self._add(len(key) + len(str(correct)))
                yield key, correct
        # In older drafts of JSON Schema, `exclusiveMinimum: true` means that `minimum` itself is not allowed.
        for limit in ("minimum", "maximum"):
            exclusive = f"exclusive{limit.title()}"
            if given.get(exclusive) is True and (number := _number(given.get(limit))) is not None:
                yield exclusive, number

    def _add(self, chars: int) -> None:
        self._chars += chars
        if self._chars > MAX_SCHEMA_CHARS:
            raise UnusableSchema(f"it is too large (more than {MAX_SCHEMA_CHARS:,} characters)")


def _cast_values(schema: Schema, types: Collection[str] = ()) -> Schema:
    """Return a schema whose `enum`, `const` and `default` have the type that the schema states.

    KIE may write the choice "5" of a text field without quotes. YAML then reads the number 5, which matches no text.

    Args:
        schema: The schema whose values are converted.
        types: The types in the surrounding schema, which are used if this schema states none.
    """
    stated = [schema, *schema.get("allOf", ())]
    types = next((_as_list(each["type"]) for each in stated if "type" in each), types)
    cast: Schema = {key: _cast(schema[key], types) for key in ("const", "default") if key in schema}
    if "enum" in schema:
        cast["enum"] = [_cast(each, types) for each in schema["enum"]]
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema and types:
            cast[key] = [_cast_values(each, types) for each in schema[key]]
    return {**schema, **cast}


def _as_list(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types


def _cast(value: Any, types: Collection[str]) -> Any:
    """Convert a value to one of the JSON types in `types`; if it cannot be converted, return it as it is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if "string" in types and (isinstance(value, bool) or is_number):
        fits = "boolean" in types if isinstance(value, bool) else {"integer", "number"} & {*types}
        return value if fits else json.dumps(value)
    if isinstance(value, str) and "string" not in types:
        if "boolean" in types and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        number = _number(value) if {"integer", "number"} & {*types} else None
        return value if number is None else number
    return value


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether more than `levels` lists or objects are nested in each other."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(parts) and (levels == 0 or any(is_deeper(each, levels - 1) for each in parts))


def _number(value: Any) -> float | None:
    """Convert a number, or a text such as "5", to a number; return None for other values and for too large numbers."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
    return value if number else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 and number == int(number) else None


def _value(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number and _number(value) is None else value


def _step(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _types(value: Any) -> str | list[str] | None:
    if not isinstance(value, list):
        return value if isinstance(value, str) and value in TYPES else None
    known = list(dict.fromkeys(each for each in value if isinstance(each, str) and each in TYPES))
    return known if known and len(known) == len(value) else None


def _choices(value: Any) -> list[Any] | None:
    return value or None if isinstance(value, list) else None


def _names(value: Any) -> list[str] | None:
    return list(dict.fromkeys(each.strip() for each in value if isinstance(each, str))) if _choices(value) else None


def _names_by_name(value: Any) -> dict[str, list[str]] | None:
    return {str(name).strip(): _names(each) or [] for name, each in value.items()} if isinstance(value, dict) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _description(value: Any) -> str | None:
    return one_line(value[:MAX_DESCRIPTION_CHARS]) if isinstance(value, str) else None


KEYWORDS: dict[str, Callable[[Any], Any]] = {
    "type": _types,
    "enum": _choices,
    "const": _value,
    "default": _value,
    "description": _description,
    "deprecated": _flag,
    "format": _text,
    "pattern": _text,
    "required": _names,
    "dependentRequired": _names_by_name,
    "uniqueItems": _flag,
    "multipleOf": _step,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains"), _count),
    **dict.fromkeys(("minProperties", "maxProperties"), _count),
}
"""For each keyword whose value is not a schema, a function that cleans the value, or returns None if it is wrong."""


def _mappings(node: object) -> list[Schema]:
    """Return the values of a dict that are dicts themselves; an empty list when `node` is not a dict."""
    return [each for each in node.values() if isinstance(each, dict)] if isinstance(node, dict) else []


def _value_at(node: object, *names: str) -> Any:
    """Return the value that a chain of names leads to, such as `node["a"]["b"]`; None if a name is missing."""
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _reference_target(reference: str, document: Mapping[str, Any]) -> Schema:
    """Return the schema that a `$ref` such as `#/components/schemas/Size` points to; empty if there is none.

    The `$ref` may be percent-encoded, and spaces around the names in it are ignored.
    """
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~").strip()
        named = {str(key).strip(): value for key, value in node.items()} if isinstance(node, dict) else {}
        node = named.get(name)
    return node if isinstance(node, dict) else {}


def merge_alternatives(schema: Mapping[str, Any]) -> Schema:
    """Merge a schema and its alternatives into one schema without `allOf`, `oneOf`, `anyOf`, `if` and `not`.

    The merged schema has the fields of all alternatives, and accepts at least everything that the original accepts. The
    merged schema is used to describe fields and to convert values; the original schema decides which calls are valid.
    """
    kept = {key: value for key, value in schema.items() if key not in _NOT_MERGED}
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    if "properties" in kept:
        kept["properties"] = {name: merge_alternatives(field) for name, field in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = merge_alternatives(kept["items"])
    either = [
        merge_alternatives(part)
        for key in ("oneOf", "anyOf")
        for part in schema.get(key, ())
        if part.get("type") != "null"
    ]
    every = [merge_alternatives(part) for part in schema.get("allOf", ())]
    conditional = [schema[key] for key in ("then", "else") if key in schema]
    conditional += schema.get("dependentSchemas", {}).values()
    perhaps = [_only_fields(merge_alternatives(part)) for part in conditional]
    return _merge_all_of([*perhaps, *every, *([_merge_any_of(either)] if either else []), kept])


_NOT_MERGED = frozenset({"oneOf", "anyOf", "allOf", "if", "then", "else", "dependentSchemas", "not"})


def _only_fields(schema: Schema) -> Schema:
    """Return only the fields of a conditional schema (such as `then`), and of each field only `type` and `format`."""
    fields = schema.get("properties", {})
    wide = {name: {key: field[key] for key in ("type", "format") if key in field} for name, field in fields.items()}
    return {"properties": wide} if fields else {}


def _merge_all_of(schemas: list[Schema]) -> Schema:
    """Merge schemas that all apply at once; if several schemas have the same key, the last value is used."""
    merged: Schema = {}
    properties: dict[str, Schema] = {}
    for schema in schemas:
        merged |= schema
        for name, field in schema.get("properties", {}).items():
            properties[name] = {**properties.get(name, {}), **field}
    if properties:
        merged["properties"] = properties
    if required := {name for schema in schemas for name in schema.get("required", ())}:
        merged["required"] = sorted(required)
    return merged


def _merge_any_of(schemas: list[Schema]) -> Schema:
    """Merge alternative schemas: keep keys with the same value in all schemas, and the properties of all schemas."""
    first, *others = schemas
    merged = {key: value for key, value in first.items() if all(key in each and each[key] == value for each in others)}
    if all("enum" in schema for schema in schemas):
        merged["enum"] = list({json.dumps(each): each for schema in schemas for each in schema["enum"]}.values())
    if all("type" in schema for schema in schemas):
        types = [each for schema in schemas for each in _as_list(schema["type"])]
        merged["type"] = merged.get("type") or list(dict.fromkeys(types))
    texts = [schema.get("format") for schema in schemas if "string" in schema.get("type", "string")]
    if texts and texts[0] and texts.count(texts[0]) == len(texts):
        merged["format"] = texts[0]
    lists = [schema for schema in schemas if "array" in schema.get("type", "array")]
    if lists and all("items" in schema for schema in lists):
        merged["items"] = _merge_any_of([schema["items"] for schema in lists])
    fields: defaultdict[str, list[Schema]] = defaultdict(list)
    for schema in schemas:
        for name, field in schema.get("properties", {}).items():
            fields[name].append(field)
    if fields:
        merged["properties"] = {name: _merge_any_of(each) for name, each in fields.items()}
        merged["required"] = sorted(
            set(first.get("required", ())).intersection(*(each.get("required", ()) for each in others))
        )
    return merged
