"""Tool arguments: the options that every tool takes, coercion of what clients send, and error messages."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

Schema = dict[str, Any]


class Options(BaseModel):
    """The options that every tool takes besides the model's fields; they say how to run a call, not what to make."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    anyway: StrictBool = False
    """Run the model although KIE reports a low success rate today."""
    quote: StrictBool = False
    """Return the estimated cost, and run nothing."""
    variation: Annotated[int, Field(ge=1)] = 1
    """Number of the attempt: equal calls with different numbers are different calls, not repeated ones."""
    confirm: str = ""
    """The `confirm` value of an earlier answer that asked for a confirmation."""


# The tool list has a token budget: the server's instructions explain the options once, not each tool.
OPTIONS: Schema = {
    "anyway": {"type": "boolean"},
    "quote": {"type": "boolean"},
    "variation": {"type": "integer"},
    "confirm": {"type": "string"},
}
"""The options' schemas."""


def coerce_arguments(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Correct what clients often send: numbers, booleans and lists as text, enum values in another case.

    Args:
        arguments: The arguments as the client sent them.
        schema: The JSON Schema of the whole call. A value that cannot be corrected stays as it is.
    """
    return {name: _coerce(value, schema["properties"].get(name, {})) for name, value in arguments.items()}


def explain_problem(problem: Any) -> str:
    """Describe one of pydantic's validation errors in words for the caller."""
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
            # Clients written in Python send True, which is not JSON.
            parsed = json.loads(value.casefold() if kind == "boolean" else value)
        except (ValueError, RecursionError):
            parsed = value
        # One value where the schema wants a list becomes a list of one.
        single = kind == "array" and not isinstance(parsed, list)
        value = [parsed if isinstance(parsed, dict) else value] if single else parsed
    if isinstance(value, str):
        same = [each for each in schema.get("enum", ()) if str(each).casefold() == value.strip().casefold()]
        return same[0] if same else value
    return value
