"""The argument `input_json`, for hosts whose model cannot write an object of any fields."""

from typing import Any

from pydantic import Field, model_validator

from kie_mcp.catalog.argument_values import parse_json
from kie_mcp.catalog.arguments import Options


class FreeInput(Options):
    """Base class of the arguments of tools that take an object of any fields, `input`.

    CrewAI 1.15.30 and the strict schemas of LangChain close such an object, so that a model can only write `{}`.
    """

    input_json: str = Field("", description="input as JSON, if it must be empty.")

    @model_validator(mode="before")
    @classmethod
    def _add_json(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Put the fields from `input_json` into `input`; a field that is in both keeps its value in `input`."""
        text = given.get("input_json")
        if not isinstance(text, str) or not text:
            return given
        read, fields = parse_json(text), given.get("input") or {}
        if isinstance(read, dict):
            return {**given, "input": read | fields if isinstance(fields, dict) else fields}
        raise ValueError('input_json is no JSON object, such as {"prompt": "a fox"}')
