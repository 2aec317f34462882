"""Clean and convert the arguments of tool calls, and explain errors in them; define the options of paid tools."""

import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from kie_mcp.catalog.argument_names import rename_arguments, sort_by_likeness
from kie_mcp.catalog.argument_values import is_empty, is_placeholder, parse_json, read_value
from kie_mcp.text import LONGEST_GIVEN, is_blank, shorten

Schema = dict[str, Any]


class Options(BaseModel):
    """The options of every tool that runs a model: arguments that say how to run the model, and not what to make."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    anyway: StrictBool = False
    """Whether to run the model even if KIE reports a low success rate for it today."""
    quote: StrictBool = False
    """Whether to return only the estimated cost, without running the model."""
    variation: Annotated[int, Field(ge=1)] = 1
    """Number of the attempt; a call with the same arguments but another number starts a new task."""
    confirm: str = ""
    """Id from an earlier answer that asked for a person's consent to the cost; empty if there was no such answer."""


# The schemas have no descriptions, because each paid tool repeats these schemas. The server's instructions explain the
# options instead.
OPTIONS: Schema = {
    "anyway": {"type": "boolean"},
    "quote": {"type": "boolean"},
    "variation": {"type": "integer"},
    "confirm": {"type": "string"},
}
"""The JSON Schema of each option; the key is the option's name."""


SURROGATE = re.compile("[\ud800-\udfff]")

MAX_DEPTH = 20
"""Number of levels of nested lists and objects that `tidy()` cleans; the arguments of models have fewer than ten."""


def tidy(value: Any, depth: int = 0) -> Any:
    """Remove empty values (blank texts, empty lists and objects, None) and the blanks around the names of arguments.

    Some clients, and KIE's web pages, send all arguments, with `""`, `[]` or `[""]` for each unused argument.
    """
    if depth == MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        fields = ((str(name).strip(), tidy(each, depth + 1)) for name, each in value.items())
        return {name: each for name, each in fields if not is_empty(each)}
    if isinstance(value, list | tuple):
        items = [tidy(each, depth + 1) for each in value]
        # Some empty items stay in the list, because the positions of the other items have a meaning. If each item is
        # the list of boxes in one picture, an empty list is a picture without boxes. If each item is a speaker, an
        # empty object is a speaker with the default values.
        last = max((place for place, each in enumerate(items) if isinstance(each, dict) and each), default=-1)
        return [
            each
            for place, each in enumerate(items)
            if isinstance(each, list) or not is_empty(each) or (isinstance(each, dict) and place < last)
        ]
    return "" if isinstance(value, str) and is_blank(value) else value


def leave_out_empty(arguments: Mapping[str, Any], required: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments that are not empty; a required argument is left out only if it is None.

    An empty required argument stays, so that the error message calls it empty and not missing.
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
        The arguments that are not empty. Empty required arguments are also returned, so that the error message calls
        them empty and not missing.
    """
    named = rename_arguments(arguments, schema["properties"])
    return coerce_arguments(keep_required(keep_given(named, schema), named, schema.get("required", ())), schema)


def keep_given(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the arguments that have a value: neither empty nor a text such as "null" that means "not given"."""
    fields = schema["properties"]
    return {name: value for name, value in arguments.items() if is_given(value, fields.get(name, {}))}


def is_given(value: Any, schema: Schema) -> bool:
    """Tell whether a value is given.

    Empty values, texts such as "null" and lists of only such values are not given. A text with a JSON list or object is
    parsed first.
    """
    read = tidy(_parse_object_text(value))
    if isinstance(read, list) and not any(isinstance(each, list) for each in read):
        return not all(is_empty(each) or is_placeholder(each, schema) for each in read)
    return not is_empty(read) and not is_placeholder(read, schema)


def keep_required(given: Mapping[str, Any], named: Mapping[str, Any], required: Collection[str]) -> dict[str, Any]:
    """Return the arguments that have a value, plus the required arguments that were sent with an empty value.

    Args:
        given: The arguments that have a value, as `keep_given()` returns them.
        named: All arguments of the call; an argument that is None counts as not sent.
        required: The names of the required arguments.
    """
    empty = {name: named[name] for name in required if name not in given and named.get(name) is not None}
    return {**given, **{name: "" if tidy(value) == "" else value for name, value in empty.items()}}


def coerce_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Convert the values of arguments to the types and spellings in the schema: `"5" -> 5`, `"4k" -> "4K"`.

    Args:
        arguments: The arguments under their names in the schema.
        schema: The JSON Schema of the tool, whose `properties` are the arguments.

    Returns:
        The arguments with the converted values; a value that cannot be converted is unchanged.
    """
    return {name: read_value(value, schema["properties"].get(name, {})) for name, value in arguments.items()}


def find_broken_text(arguments: Mapping[str, Any]) -> str:
    """Find a text that contains a lone surrogate (half of a character), and return its path, such as `shots.0.prompt`.

    The path is empty if no text contains a lone surrogate. JSON can express a lone surrogate, but UTF-8 cannot, and all
    requests to KIE and answers to clients are sent in UTF-8.
    """
    broken = (path for path, value in _walk(arguments) if isinstance(value, str) and SURROGATE.search(value))
    return SURROGATE.sub("?", next(broken, ""))


def find_endless_number(arguments: Mapping[str, Any]) -> str:
    """Find a number that is infinite, not a number (NaN) or above 1.8e308, and return its path, such as `input.seed`.

    The path is empty if there is no such number. Requests to KIE cannot contain one.
    """
    numbers = ((path, value) for path, value in _walk(arguments) if isinstance(value, int | float))
    # The comparison is false for NaN, and exact for integers of any length.
    return next((path for path, value in numbers if not abs(value) <= sys.float_info.max), "")


def _walk(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each argument, list item and object field, and each name as a value of its own.

    The values in a JSON text follow the text, because tools parse JSON texts.
    """
    pending: list[tuple[str, Any]] = [("", arguments)]
    while pending:
        path, value = pending.pop()
        match value:
            case Mapping():
                pending += [(f"{path}.{name}", each) for name, given in value.items() for each in (given, name)]
            case list() | tuple():
                pending += [(f"{path}.{place}", each) for place, each in enumerate(value)]
            case _:
                yield path.removeprefix("."), value
                if isinstance(read := _parse_object_text(value), dict | list):
                    pending.append((path, read))


def _parse_object_text(value: Any) -> Any:
    """Parse a text with a JSON list or object; return any other value unchanged."""
    return parse_json(value) if isinstance(value, str) and value.lstrip().startswith(("[", "{")) else value


def list_arguments(known: Iterable[str], wanted: str) -> str:
    """Return a sentence that lists the arguments in `known`; the name that is most similar to `wanted` comes first."""
    names = sort_by_likeness((each for each in known if each not in OPTIONS), wanted)
    return f"It takes {', '.join(names) or 'none'}"


def list_problems(error: ValidationError) -> list[Any]:
    """Return the errors in a ValidationError that are the caller's, each as pydantic describes it.

    Two kinds of errors only follow from others, and are left out: pydantic does not compute a default from other fields
    if one of these is wrong, and it does not count the wrong items of a list.
    """
    problems = error.errors(include_url=False)
    paths = [problem["loc"] for problem in problems]

    def has_wrong_item(path: tuple[int | str, ...]) -> bool:
        return any(len(each) > len(path) and each[: len(path)] == path for each in paths)

    return [
        problem
        for problem in problems
        if problem["type"] != "default_factory_not_called"
        and not (problem["type"] == "too_short" and has_wrong_item(problem["loc"]))
    ]


def explain_problem(problem: Any) -> str:
    """Return one of the errors in a pydantic ValidationError as a text for the caller, such as "prompt is required"."""
    path = ".".join(shorten(str(part), LONGEST_GIVEN) for part in problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{path} is required"
        case "extra_forbidden":
            return f"there is no argument {path}"
        case "unknown_field":
            return f"there is no argument {path}.{problem['ctx']['name']}. {problem['ctx']['others']}"
        case "string_type" if isinstance(problem["input"], list):
            return f"{path}: takes one value, not a list of {len(problem['input'])}"
        case _:
            words = problem["msg"].removeprefix("Value error, ").replace("Tuple should", "List should")
            return f"{path}: {words}" if path else words
