"""The arguments of a call: the options that every tool takes, and how a client's spelling is read and refused."""

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

Schema = dict[str, Any]


class Options(BaseModel):
    """What every tool takes besides a model's fields: how to run it, not what to run."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    anyway: StrictBool = False
    """Although it fails often today."""
    quote: StrictBool = False
    """Only tell what it would cost."""
    variation: Annotated[int, Field(ge=1)] = 1
    """The same call with another number is another take."""
    confirm: str = ""
    """What the answer gave that asked for a confirmation."""


# A list of tools takes room: what the options are for is told once, in the server's instructions.
OPTIONS: Schema = {
    "anyway": {"type": "boolean"},
    "quote": {"type": "boolean"},
    "variation": {"type": "integer"},
    "confirm": {"type": "string"},
}
"""The options' schemas."""


DEEPEST = 20
"""How deep arguments are looked through: no model's go half as deep."""


def tidy(value: Any, depth: int = 0) -> Any:
    """The same without what says nothing: blank texts, empty lists and objects, nulls, blanks around names.

    KIE's own pages send a field that is not wanted as "", [] or [""]; so do clients that fill in every argument.
    """
    if depth == DEEPEST:
        return value
    if isinstance(value, Mapping):
        told = ((str(name).strip(), tidy(each, depth + 1)) for name, each in value.items())
        return {name: each for name, each in told if not is_empty(each)}
    if isinstance(value, list | tuple):
        items = [tidy(each, depth + 1) for each in value]
        # An empty list in a list holds its place: no boxes for the first picture.
        return [each for each in items if isinstance(each, list) or not is_empty(each)]
    return "" if isinstance(value, str) and not value.strip() else value


def is_empty(value: Any) -> bool:
    """Whether a tidied value says nothing."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def leave_out_empty(arguments: Mapping[str, Any], required: Collection[str] = ()) -> dict[str, Any]:
    """The tidied arguments; what is required and empty stays as it is, to be refused for that."""
    given = {str(name).strip(): value for name, value in arguments.items()}
    empty = {name: given[name] for name in required if given.get(name) is not None}
    return {**empty, **tidy(given)}


def coerce_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Undo what clients do to arguments: numbers, flags and lists sent as text, enums in another case."""
    return {name: _read(value, schema["properties"].get(name, {})) for name, value in arguments.items()}


def explain_problem(problem: Any) -> str:
    """One of pydantic's problems, in words for the caller."""
    path = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{path} is required"
        case "extra_forbidden":
            return f"there is no argument {path}"
        case _:
            words = problem["msg"].removeprefix("Value error, ")
            return f"{path}: {words}" if path else words


def _read(value: Any, schema: Schema) -> Any:
    kind = schema.get("type", "string")
    if isinstance(value, str) and kind != "string":
        try:
            # Python's True is no JSON.
            parsed = json.loads(value.casefold() if kind == "boolean" else value)
        except (ValueError, RecursionError):
            parsed = value
        # One file where a list is wanted is a list of one.
        single = kind == "array" and not isinstance(parsed, list)
        value = [parsed if isinstance(parsed, dict) else value] if single else parsed
    if isinstance(value, str):
        same = [each for each in schema.get("enum", ()) if str(each).casefold() == value.strip().casefold()]
        return same[0] if same else value
    return value
