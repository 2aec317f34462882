"""Tool arguments: the options that every tool takes, the reader of what clients send, and error messages."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from kie_mcp.catalog.argument_names import rename_arguments, sort_by_likeness
from kie_mcp.catalog.argument_values import is_placeholder, parse_json, read_value

Schema = dict[str, Any]


class Options(BaseModel):
    """The options that every tool takes besides the model's fields; they say how to run a call, not what to make."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    anyway: StrictBool = False
    """Run the model although KIE reports a low success rate today."""
    quote: StrictBool = False
    """Return the estimated cost only; the model does not run."""
    variation: Annotated[int, Field(ge=1)] = 1
    """Number of the attempt; a call that differs from an earlier one only in this number makes a new task."""
    confirm: str = ""
    """The `confirm` value of an earlier answer that asked for a confirmation."""


# The tool list has a token budget. The options have no descriptions here: the server's instructions explain them once.
OPTIONS: Schema = {
    "anyway": {"type": "boolean"},
    "quote": {"type": "boolean"},
    "variation": {"type": "integer"},
    "confirm": {"type": "string"},
}
"""JSON Schema of each option, by its name."""


SURROGATE = re.compile("[\ud800-\udfff]")

MAX_DEPTH = 20
"""Levels of nested arguments that `tidy()` cleans; the arguments of every model have fewer than half as many levels."""


def tidy(value: Any, depth: int = 0) -> Any:
    """Remove empty arguments (blank texts, empty lists and objects, nulls), and the blanks around argument names.

    KIE's own pages send an unused field as `""`, `[]` or `[""]`, and so do clients that fill in every argument.
    """
    if depth == MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        fields = ((str(name).strip(), tidy(each, depth + 1)) for name, each in value.items())
        return {name: each for name, each in fields if not is_empty(each)}
    if isinstance(value, list | tuple):
        items = [tidy(each, depth + 1) for each in value]
        # Some empty items stay, because the position of the next item counts. In a list of the boxes marked in each
        # picture, an empty list stands for a picture without boxes. In a list of speakers, an empty object before a
        # filled one stands for a speaker with the default for every field.
        last = max((place for place, each in enumerate(items) if isinstance(each, dict) and each), default=-1)
        return [
            each
            for place, each in enumerate(items)
            if isinstance(each, list) or not is_empty(each) or (isinstance(each, dict) and place < last)
        ]
    return "" if isinstance(value, str) and not value.strip() else value


def is_empty(value: Any) -> bool:
    """Return whether a value that `tidy()` returned is None, or an empty text, list or object."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def leave_out_empty(arguments: Mapping[str, Any], required: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments without the empty ones; a required argument stays if it is empty but not None.

    The error message of validation is then about the empty value, and not about a missing argument.
    """
    given = {str(name).strip(): value for name, value in arguments.items()}
    empty = {name: given[name] for name in required if given.get(name) is not None}
    return {**empty, **tidy(given)}


def read_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Read the arguments of a call: correct their names, leave out empty arguments, and convert the values.

    `Family.parse()` takes the same steps, but chooses a model before it converts the values.

    Args:
        arguments: The arguments as the client sent them.
        schema: The JSON Schema of all arguments together.

    Returns:
        The arguments that are given. A required argument that is empty stays, so that the error message of validation
        is about the empty value, and not about a missing argument.
    """
    named = rename_arguments(arguments, schema["properties"])
    return coerce_arguments(keep_required(keep_given(named, schema), named, schema.get("required", ())), schema)


def keep_given(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the arguments that are neither empty nor a placeholder such as `null`."""
    fields = schema["properties"]
    return {name: value for name, value in arguments.items() if _is_given(value, fields.get(name, {}))}


def _is_given(value: Any, schema: Schema) -> bool:
    """Tell whether a value is given: it is not empty, no placeholder such as `null`, and no list of only such items.

    A list or an object may also be written as a JSON text.
    """
    read = tidy(parse_json(value) if isinstance(value, str) and value.lstrip().startswith(("[", "{")) else value)
    if isinstance(read, list) and not any(isinstance(each, list) for each in read):
        return not all(is_empty(each) or is_placeholder(each, schema) for each in read)
    return not is_empty(read) and not is_placeholder(read, schema)


def keep_required(given: Mapping[str, Any], named: Mapping[str, Any], required: Collection[str]) -> dict[str, Any]:
    """Return the given arguments, and the required arguments in `named` whose value is empty but not null."""
    empty = {name: named[name] for name in required if name not in given and named.get(name) is not None}
    return {**given, **{name: "" if tidy(value) == "" else value for name, value in empty.items()}}


def coerce_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Convert the values of arguments: a text to a number or a list, another spelling to the choice that it means.

    Args:
        arguments: The arguments under the names of the schema.
        schema: The JSON Schema of all arguments together.

    Returns:
        The arguments; a value that cannot be converted is unchanged.
    """
    return {name: read_value(value, schema["properties"].get(name, {})) for name, value in arguments.items()}


def find_broken_text(arguments: Mapping[str, Any]) -> str:
    """Return the path of a text that contains a lone surrogate, which is half of a character; empty if none does.

    JSON can express a lone surrogate. UTF-8 cannot, and every request and answer is sent in UTF-8.
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
    """Write a sentence that lists the known arguments; the name that is most similar to the wanted one comes first."""
    names = sort_by_likeness((each for each in known if each not in OPTIONS), wanted)
    return f"It takes {', '.join(names) or 'none'}"


def explain_problem(problem: Any) -> str:
    """Describe one validation error of pydantic to the caller in words."""
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
