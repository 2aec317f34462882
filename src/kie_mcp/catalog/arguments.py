"""Tool arguments: the options that every tool takes, functions that clean and convert arguments, error messages."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from kie_mcp.catalog.argument_names import rename_arguments, sort_by_likeness
from kie_mcp.catalog.argument_values import is_placeholder, parse_json, read_value

Schema = dict[str, Any]


class Options(BaseModel):
    """The options that every tool takes besides the model's fields; they say how to run the model, not what to make."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    anyway: StrictBool = False
    """Run the model although KIE reports a low success rate today."""
    quote: StrictBool = False
    """Return the estimated cost only; the model does not run."""
    variation: Annotated[int, Field(ge=1)] = 1
    """Number of the attempt: if two tool calls differ only in this number, each of them makes its own task."""
    confirm: str = ""
    """Confirmation id: the `confirm` value in an earlier answer that asked a person to agree to the cost."""


# The options have no descriptions here, because the tool list has a token budget; the instructions explain them once.
OPTIONS: Schema = {
    "anyway": {"type": "boolean"},
    "quote": {"type": "boolean"},
    "variation": {"type": "integer"},
    "confirm": {"type": "string"},
}
"""For each option's name, its JSON Schema."""


SURROGATE = re.compile("[\ud800-\udfff]")

MAX_DEPTH = 20
"""Largest number of nested lists and objects that `tidy()` cleans; no model's arguments have half as many levels."""


def tidy(value: Any, depth: int = 0) -> Any:
    """Remove empty values (blank texts, empty lists and objects, nulls) and the blanks around argument names.

    KIE's web pages, and clients that fill in every argument, send an unused field as `""`, `[]` or `[""]`.
    """
    if depth == MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        fields = ((str(name).strip(), tidy(each, depth + 1)) for name, each in value.items())
        return {name: each for name, each in fields if not is_empty(each)}
    if isinstance(value, list | tuple):
        items = [tidy(each, depth + 1) for each in value]
        # Some empty items are kept, because the position of the items after them has a meaning. For example, a list of
        # the boxes in each picture has an empty list for a picture without boxes, and a list of speakers has an empty
        # object for a speaker who has the default in every field.
        last = max((place for place, each in enumerate(items) if isinstance(each, dict) and each), default=-1)
        return [
            each
            for place, each in enumerate(items)
            if isinstance(each, list) or not is_empty(each) or (isinstance(each, dict) and place < last)
        ]
    return "" if isinstance(value, str) and not value.strip() else value


def is_empty(value: Any) -> bool:
    """Return whether a value is None, or an empty text, list or object; the value comes from `tidy()`."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def leave_out_empty(arguments: Mapping[str, Any], required: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments that are not empty, and the required arguments that are empty but not None.

    A required argument is kept so that the error message says that it is empty, and not that it is missing.
    """
    given = {str(name).strip(): value for name, value in arguments.items()}
    empty = {name: given[name] for name in required if given.get(name) is not None}
    return {**empty, **tidy(given)}


def read_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Read the arguments of a tool call: correct their names, leave out empty arguments, and convert the values.

    `Family.parse()` does the same for tools that run a model, but chooses the model before it converts the values.

    Args:
        arguments: The arguments as the client sent them.
        schema: The JSON Schema of the tool, whose `properties` are the arguments.

    Returns:
        The arguments that are not empty. A required argument is kept even if it is empty, so that the error message
        says that it is empty, and not that it is missing.
    """
    named = rename_arguments(arguments, schema["properties"])
    return coerce_arguments(keep_required(keep_given(named, schema), named, schema.get("required", ())), schema)


def keep_given(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the arguments that are neither empty nor a placeholder such as `null`."""
    fields = schema["properties"]
    return {name: value for name, value in arguments.items() if _is_given(value, fields.get(name, {}))}


def _is_given(value: Any, schema: Schema) -> bool:
    """Tell whether a value is given: it is not empty, not a text such as `null`, and not a list with only such items.

    A JSON text that contains a list or an object is parsed first.
    """
    read = tidy(parse_json(value) if isinstance(value, str) and value.lstrip().startswith(("[", "{")) else value)
    if isinstance(read, list) and not any(isinstance(each, list) for each in read):
        return not all(is_empty(each) or is_placeholder(each, schema) for each in read)
    return not is_empty(read) and not is_placeholder(read, schema)


def keep_required(given: Mapping[str, Any], named: Mapping[str, Any], required: Collection[str]) -> dict[str, Any]:
    """Return the arguments in `given`, and those required arguments in `named` whose value is empty but not null."""
    empty = {name: named[name] for name in required if name not in given and named.get(name) is not None}
    return {**given, **{name: "" if tidy(value) == "" else value for name, value in empty.items()}}


def coerce_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Convert the values of arguments to the types and spellings in the schema, such as "5" to 5 and 4k to 4K.

    Args:
        arguments: The arguments under the names that the schema has.
        schema: The JSON Schema of the tool, whose `properties` are the arguments.

    Returns:
        The arguments with the converted values; a value that cannot be converted is unchanged.
    """
    return {name: read_value(value, schema["properties"].get(name, {})) for name, value in arguments.items()}


def find_broken_text(arguments: Mapping[str, Any]) -> str:
    """Return the path of the first text that contains a lone surrogate (half of a character); empty if there is none.

    JSON can express a lone surrogate, but UTF-8 cannot, and every request and answer is sent in UTF-8.
    """
    pending: list[tuple[str, Any]] = [("", arguments)]
    while pending:
        path, value = pending.pop()
        match value:
            case Mapping():
                pending += [(f"{path}.{name}", each) for name, each in value.items()]
                pending += [(f"{path}.{SURROGATE.sub('?', name)}", name) for name in value if SURROGATE.search(name)]
            case list() | tuple():
                pending += [(f"{path}.{place}", each) for place, each in enumerate(value)]
            case str() if SURROGATE.search(value):
                return SURROGATE.sub("?", path).removeprefix(".")
    return ""


def list_arguments(known: Iterable[str], wanted: str) -> str:
    """Return a sentence that lists the known arguments; the name that is most similar to the wanted one comes first."""
    names = sort_by_likeness((each for each in known if each not in OPTIONS), wanted)
    return f"It takes {', '.join(names) or 'none'}"


def explain_problem(problem: Any) -> str:
    """Return one of pydantic's validation errors as a text for the caller, such as "prompt is required"."""
    path = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{path} is required"
        case "extra_forbidden":
            return f"there is no argument {path}"
        case "string_type" if isinstance(problem["input"], list):
            return f"{path}: takes one value, not a list of {len(problem['input'])}"
        case _:
            words = problem["msg"].removeprefix("Value error, ").replace("Tuple should", "List should")
            return f"{path}: {words}" if path else words
