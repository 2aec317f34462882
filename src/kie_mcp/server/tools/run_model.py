"""`run_model`: any model that KIE offers, whether this server has a class for it or not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.arguments import OPTIONS, Options, leave_out_empty
from kie_mcp.errors import InvalidCall
from kie_mcp.kie.discovery import Discovery
from kie_mcp.server import answers
from kie_mcp.server.app import App
from kie_mcp.server.generate import Asked, generate
from kie_mcp.server.live_models import TOOL, built_in, stranger
from kie_mcp.server.tools.tool import Tool
from kie_mcp.tasks.order import Order


class RunModel(Options):
    """Which model, and its input."""

    model: str
    input: dict[str, Any] = Field(
        description="Fields as in KIE's documentation, or as describe_model shows.",
        json_schema_extra={"properties": {"prompt": {"type": "string"}}},
    )
    unchecked: bool = Field(default=False, description="For a model without a published schema.")
    # Every example of KIE's has it; here nobody is called back.
    call_back_url: SkipJsonSchema[str] = Field("", alias="callBackUrl")

    @model_validator(mode="before")
    @classmethod
    def _with_input(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A body of a product API has its fields beside the model."""
        own = {field.alias or name for name, field in cls.model_fields.items()}
        beside = {name: value for name, value in given.items() if name not in own}
        if "input" in given or not beside or given.get("unchecked"):
            return given
        return {**{name: value for name, value in given.items() if name in own}, "input": beside}


async def run_model(app: App, asked: Asked, wanted: RunModel) -> CallToolResult | InputRequiredResult:
    """Run any model that KIE offers."""
    order = await prepare(await app.live(), wanted.model, wanted.input, unchecked=wanted.unchecked)
    answer = await generate(app, asked, replace(order, variation=wanted.variation), wanted)
    return answers.noted(answer, "callBackUrl: ignored.") if wanted.call_back_url else answer


async def prepare(live: Discovery, name: str, fields: Mapping[str, Any], *, unchecked: bool) -> Order:
    """The order that KIE's own words, or ours, describe.

    Args:
        live: What KIE offers today.
        name: Any id or alias.
        fields: The input.
        unchecked: Whether a model without a schema may be run on the caller's word.

    Raises:
        InvalidCall: When there is no such model, or the fields are wrong. Nothing was sent.
        ApiError: When the catalogue does not have the model and KIE cannot be asked.
    """
    if found := built_in(name):
        family, model, way = found
        if misplaced := [key for key in fields if key in OPTIONS]:
            raise InvalidCall(
                f"{' and '.join(misplaced)}: not a field of {model.id}'s input, but an argument of {TOOL} itself.",
                f"Nothing was sent. Put it beside input: {{model, input, {', '.join(misplaced)}}}.",
            )
        given = leave_out_empty(fields)
        extra = {key: value for key, value in given.items() if key in model.unshown()}
        shown = {key: value for key, value in given.items() if key not in extra}
        try:
            return Order(TOOL, family.parse({**model.received(shown), "model": model.id}), way, extra)
        except ValueError as error:
            raise _refused(model.id, error) from None
    model = await stranger(live, name.strip(), unchecked=unchecked)
    try:
        return Order(TOOL, dynamic_model.parse_call(model, fields))
    except ValueError as error:
        raise _refused(model.id, error) from None


def _refused(name: str, error: ValueError) -> InvalidCall:
    return InvalidCall(f"{error}.", f"Nothing was sent. describe_model tells what {name} takes.")


RUN_MODEL = Tool(
    TOOL,
    "Run any model that KIE offers, by its id. Spends credits like the tool of its own.",
    RunModel,
    run_model,
    read_only=False,
)
