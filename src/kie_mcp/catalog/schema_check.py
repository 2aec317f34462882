"""Check the fields of a call against a JSON Schema that KIE publishes, and describe the problems in words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice, permutations
from typing import TYPE_CHECKING, Any

from kie_mcp.catalog.fields import MediaRef
from kie_mcp.catalog.published_schema import Schema, UnusableSchema
from kie_mcp.text import one_line, shorten

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

MAX_PROBLEMS = 5
"""Largest number of problems that are described for one call."""
MAX_VALUE_CHARS = 300
"""Maximum number of characters of a value from the schema, such as an `enum`, in the description of a problem."""

# Most of the messages are equal to pydantic's, so that callers read the same message for built-in and for dynamic
# models.
WORDS = {
    "const": "Input should be {}",
    "enum": "Input should be {}",
    "minimum": "Input should be greater than or equal to {}",
    "maximum": "Input should be less than or equal to {}",
    "exclusiveMinimum": "Input should be greater than {}",
    "exclusiveMaximum": "Input should be less than {}",
    "multipleOf": "Input should be a multiple of {}",
    "minLength": "String should have at least {} characters",
    "maxLength": "String should have at most {} characters",
    "minItems": "List should have at least {} items",
    "maxItems": "List should have at most {} items",
    "minProperties": "Dictionary should have at least {} fields",
    "maxProperties": "Dictionary should have at most {} fields",
    "pattern": "String should match the pattern {}",
    "uniqueItems": "List should have no item twice",
    "contains": "List lacks an item that KIE requires",
    "falseSchema": "KIE does not take this field here",
}
"""For each JSON Schema keyword, the message for a value that violates it; `{}` stands for the keyword's value."""
TYPE_NAMES = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "object": "dictionary",
    "array": "list",
}
EXAMPLE_FILES = {"image": "https://file.example/file.png", "video": "https://file.example/file.mp4"}
NOT_CHECKED = frozenset({"backtrackLimitExceeded", "regexEngineFailure"})
"""Names of validation errors that come from a regular expression in the schema, and not from the value."""


class SchemaCheck:
    """A check of the fields of calls against one JSON Schema of KIE."""

    def __init__(self, schema: Schema) -> None:
        """Compile the schema, without its invalid regular expressions.

        Raises:
            UnusableSchema: The schema is not valid JSON Schema.
        """
        self._schema = _mend(schema)
        self._validator = _compile(self._schema)

    def find_problems(self, fields: Mapping[str, Any]) -> list[str]:
        """Return a description of each problem with the fields of a call, such as "prompt is required".

        Args:
            fields: The fields under KIE's names, with files as `MediaRef`. A file that is not given as a URL, such as a
                path, is checked as if it were a URL, because KIE will receive the URL of the uploaded file.
        """
        problems = (
            self._explain(each)
            for each in self._validator.iter_errors(_with_urls(fields))
            # A file that will be uploaded has no URL yet, so only the type of its value is checked.
            if each.kind.name == "type" or not _is_uploaded(_value_at(fields, each.instance_path))
        )
        return list(dict.fromkeys(islice(filter(None, problems), MAX_PROBLEMS)))

    def narrow(self, fields: Mapping[str, Any]) -> Schema:
        """Return the schema without the `anyOf` and `oneOf` alternatives, at any depth, that do not allow the fields.

        Args:
            fields: The fields under KIE's names, with files as `MediaRef`.
        """
        return _narrow(self._schema, _with_urls(fields))

    def _explain(self, error: "ValidationError") -> str:
        """Describe one validation error in words; return "" if the cause is the schema, and not the value."""
        name, value = error.kind.name, error.kind.value
        if name in NOT_CHECKED:
            return ""
        path = ".".join(map(str, error.instance_path))
        inside = f"{path}." if path else ""
        match name:
            case "required":
                return f"{inside}{_shorten(value)} is required"
            case "additionalProperties":
                return "; ".join(f"there is no argument {inside}{_shorten(each)}" for each in value)
            case "anyOf" | "oneOf" if all(value):
                ways = (" and ".join(dict.fromkeys(map(self._explain, each))) for each in value)
                return _shorten("; or ".join(dict.fromkeys(ways)), 2 * MAX_VALUE_CHARS)
            case "oneOf":
                words = _explain_choice(_value_at(self._schema, error.schema_path))
            case "type":
                types = [TYPE_NAMES[each] for each in value if each in TYPE_NAMES]
                words = f"Input should be a valid {' or '.join(types)}"
            case "not":
                words = _explain_exclusion(value)
            case "enum":
                words = WORDS[name].format(_shorten(_list_choices(value)))
            case "pattern":
                words = WORDS[name].format(_shorten(value))
            case _:
                words = WORDS.get(name, "KIE does not take this value").format(_shorten(repr(value)))
        return f"{path}: {words}" if path else words


def _compile(schema: Schema) -> "Draft202012Validator":
    from jsonschema_rs import Draft202012Validator

    try:
        return Draft202012Validator(schema, offline=True)
    except ValueError as error:
        raise UnusableSchema(str(error).partition("\n")[0][:MAX_VALUE_CHARS]) from None


def _narrow(schema: Schema, value: Any) -> Schema:
    """Return a schema without the alternatives, at any depth, that do not allow a value; keep all if none allows it."""
    narrowed = dict(schema)
    for key in ("anyOf", "oneOf"):
        if parts := schema.get(key):
            met = [each for each in parts if _compile(each).is_valid(value)] or parts
            narrowed[key] = [_narrow(each, value) for each in met]
    if "allOf" in schema:
        narrowed["allOf"] = [_narrow(each, value) for each in schema["allOf"]]
    if isinstance(value, Mapping) and "properties" in schema:
        known = schema["properties"]
        narrowed["properties"] = {n: _narrow(each, value[n]) if n in value else each for n, each in known.items()}
    if isinstance(value, list) and value and "items" in schema:
        narrowed["items"] = {"anyOf": [_narrow(schema["items"], each) for each in value]}
    return narrowed


def _mend(schema: Any) -> Any:
    """Remove invalid regular expressions from a schema, and call `_loosen_choice()` for each schema inside it."""
    if isinstance(schema, list):
        return [_mend(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("pattern", "patternProperties")}
    if "pattern" in schema and (not isinstance(schema["pattern"], str) or _is_pattern(schema["pattern"])):
        kept["pattern"] = schema["pattern"]
    if isinstance(by_pattern := schema.get("patternProperties"), dict):
        kept["patternProperties"] = {name: each for name, each in by_pattern.items() if _is_pattern(name)}
    values = ("const", "enum", "default")
    return _loosen_choice({key: value if key in values else _mend(value) for key, value in kept.items()})


def _loosen_choice(schema: Schema) -> Schema:
    """Replace `oneOf` by `anyOf` if one alternative requires all fields that another alternative requires.

    A call that matches the first alternative then often matches the second alternative as well, but `oneOf` allows only
    one match.
    """
    parts = schema.get("oneOf")
    if not isinstance(parts, list):
        return schema
    named = [each.get("required", ()) if isinstance(each, dict) else () for each in parts]
    if not any({*one} <= {*other} for one, other in permutations(named, 2)):
        return schema
    loose = {key: value for key, value in schema.items() if key != "oneOf"}
    if "anyOf" in loose:
        return {**loose, "allOf": [*loose.get("allOf", ()), {"anyOf": parts}]}
    return {**loose, "anyOf": parts}


def _is_pattern(text: str) -> bool:
    try:
        _compile({"pattern": text})
    except UnusableSchema:
        return False
    return True


def _with_urls(value: Any) -> Any:
    """Replace each file that is not given as a URL, such as a path, by an example URL; return the new value."""
    match value:
        case MediaRef() if _is_uploaded(value):
            return EXAMPLE_FILES.get(value.medium, "https://file.example/file.mp3")
        case Mapping():
            return {name: _with_urls(each) for name, each in value.items()}
        case list() | tuple():
            return [_with_urls(each) for each in value]
        case str():
            return str(value)
    return value


def _is_uploaded(value: Any) -> bool:
    """Tell whether a value is a file that must be uploaded to KIE, because it is not given as a URL."""
    return isinstance(value, MediaRef) and not value.startswith(("https://", "http://"))


def _value_at(value: Any, path: Sequence[str | int]) -> Any:
    with suppress(KeyError, IndexError, TypeError):
        for step in path:
            value = value[step]
        return value
    return None


def _explain_choice(alternatives: Any) -> str:
    """Describe the problem that a value matches several alternatives of a `oneOf`, although only one may match."""
    named = [each.get("required") if isinstance(each, dict) else None for each in alternatives or [None]]
    if all(named):
        return f"KIE takes only one of: {', '.join(' and '.join(each) for each in named if each)}"
    return "Input should meet only one of several forms that KIE takes, and it meets more"


def _explain_exclusion(excluded: Any) -> str:
    match excluded:
        case {"required": [_, _, *_] as names}:
            return f"KIE does not take {' and '.join(map(str, names))} together"
        case {"required": [name]}:
            return f"KIE does not take {name} here"
        case {"const": value} | {"enum": [value]}:
            return f"Input should not be {value!r}"
        case dict() if not excluded:
            return WORDS["falseSchema"]
    return "KIE does not take these values together"


def _list_choices(choices: Sequence[Any]) -> str:
    *others, last = [repr(each) for each in choices if each is not None] or ["null"]
    return f"{', '.join(others)} or {last}" if others else last


def _shorten(text: str, most: int = MAX_VALUE_CHARS) -> str:
    return shorten(one_line(text), most)


def unknown_fields(fields: Mapping[str, Any], schema: Mapping[str, Any], inside: str = "") -> Iterator[str]:
    """Generate the names of fields, at any depth, that a schema from `merge_alternatives()` does not list.

    Most of KIE's schemas allow unknown fields, but KIE would ignore these fields and bill the task. Therefore a call
    with unknown fields is refused.

    Args:
        fields: The fields to check.
        schema: The merged schema.
        inside: Path of the object that has the fields, such as `lines.0.`; each returned name begins with this path.
    """
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    closed = bool(known or patterns) and "additionalProperties" not in schema
    for name, value in fields.items():
        if name in known:
            items = value if isinstance(value, list) else [value]
            below = known[name].get("items", {}) if isinstance(value, list) else known[name]
            for number, each in enumerate(items):
                place = f"{inside}{name}.{number}." if isinstance(value, list) else f"{inside}{name}."
                if isinstance(each, Mapping):
                    yield from unknown_fields(each, below, place)
        elif closed and not any(_compile({"pattern": each}).is_valid(name) for each in patterns):
            yield f"{inside}{name}"
