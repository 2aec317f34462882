"""The argument `input_json`, for hosts whose language model cannot write an object with undeclared fields."""

from typing import Any

from pydantic import Field, model_validator

from kie_mcp.catalog.argument_values import parse_json
from kie_mcp.catalog.arguments import Options


class FreeInput(Options):
    """Base class of the arguments of tools with an object `input`; callers may write it as a JSON text in `input_json`.

    CrewAI 1.15.30 and the strict schemas of LangChain allow no undeclared fields in an object. Their language model can
    therefore only write `{}` as `input`, but it can write the fields as JSON into `input_json`.
    """

    input_json: str = Field("", description="input as JSON, if it must be empty.")

    @model_validator(mode="before")
    @classmethod
    def _add_json(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Put the fields from `input_json` into `input`; if both have a field, the value in `input` counts."""
        text = given.get("input_json")
        if not isinstance(text, str) or not text:
            return given
        read, fields = parse_json(text), given.get("input") or {}
        if isinstance(read, dict):
            return {**given, "input": read | fields if isinstance(fields, dict) else fields}
        raise ValueError('input_json is no JSON object, such as {"prompt": "a fox"}')
