"""Tool arguments: the options that every tool takes, coercion of what clients send, and error messages."""

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

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
        # An empty list inside a list stays, because it may mean that the first picture has no boxes. An empty object
        # stays if a filled object follows, because it may be a first speaker who has the default for every field.
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

    Validation then refuses the empty value, rather than saying that the argument is missing.
    """
    given = {str(name).strip(): value for name, value in arguments.items()}
    empty = {name: given[name] for name in required if given.get(name) is not None}
    return {**empty, **tidy(given)}


def coerce_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Correct common mistakes of clients: numbers, booleans and lists sent as text, and enum values in the wrong case.

    Args:
        arguments: The arguments as the client sent them.
        schema: The JSON Schema of all arguments together.

    Returns:
        The arguments; a value that cannot be corrected is unchanged.
    """
    return {name: _coerce(value, schema["properties"].get(name, {})) for name, value in arguments.items()}


def explain_problem(problem: Any) -> str:
    """Describe one validation error of pydantic to the caller in words."""
    path = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{path} is required"
        case "extra_forbidden":
            return f"there is no argument {path}"
        case _:
            words = problem["msg"].removeprefix("Value error, ")
            return f"{path}: {words}" if path else words


def _coerce(value: Any, schema: Schema) -> Any:
    """Correct one value by the schema of its field."""
    kind = schema.get("type", "string")
    if isinstance(value, str) and kind != "string":
        try:
            # Clients written in Python may send the text True, which is JSON only in lower case.
            parsed = json.loads(value.casefold() if kind == "boolean" else value)
        except (ValueError, RecursionError):
            parsed = value
        # If the schema wants a list, a single value becomes a list with that value.
        single = kind == "array" and not isinstance(parsed, list)
        value = [parsed if isinstance(parsed, dict) else value] if single else parsed
    if isinstance(value, str):
        same = [each for each in schema.get("enum", ()) if str(each).casefold() == value.strip().casefold()]
        return same[0] if same else value
    return value
