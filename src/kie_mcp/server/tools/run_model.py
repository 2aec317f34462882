"""The tool `run_model`, which runs any model that KIE has, even if the model is not built into the catalogue."""

from dataclasses import replace
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from kie_mcp.catalog.fields import snake_case
from kie_mcp.catalog.spellings import CALLBACK_NAMES
from kie_mcp.server import answers
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.generate import generate
from kie_mcp.server.live_models import RUN_MODEL_TOOL
from kie_mcp.server.orders import build_model_order
from kie_mcp.server.tools.free_input import FreeInput
from kie_mcp.server.tools.tool import Tool


class RunModel(FreeInput):
    """Arguments of run_model."""

    model: str
    input: dict[str, Any] = Field(
        description="Fields as in describe_model, such as {prompt: …}.",
    )
    unchecked: bool = Field(default=False, description="For a model without a published schema.")
    # Agents copy this field from the examples in KIE's documentation. It is ignored, because kie-mcp polls tasks.
    call_back_url: SkipJsonSchema[str] = Field("", alias="callBackUrl")

    @model_validator(mode="before")
    @classmethod
    def _with_input(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Move the model's fields into `input` if the caller wrote them beside `model`, as in some of KIE's APIs.

        A callback URL gets the name that KIE uses.
        """
        callbacks = {name for name in given if snake_case(name) in CALLBACK_NAMES}
        url = next((str(given[name]) for name in callbacks if given[name]), "")
        given = {name: value for name, value in given.items() if name not in callbacks} | {"callBackUrl": url}
        own = {field.alias or name for name, field in cls.model_fields.items()}
        beside = {name: value for name, value in given.items() if name not in own}
        if "input" in given or not beside or given.get("unchecked"):
            return given
        return {**{name: value for name, value in given.items() if name in own}, "input": beside}


async def run_model(app: App, call: ToolCall, arguments: RunModel) -> CallToolResult | InputRequiredResult:
    """Run the named model, and return the same kind of result as the tool of a family."""
    order = await build_model_order(app, arguments.model, arguments.input, unchecked=arguments.unchecked)
    result = await generate(app, call, replace(order, variation=arguments.variation), arguments)
    return answers.add_note(result, "callBackUrl: ignored.") if arguments.call_back_url else result


RUN_MODEL = Tool(
    RUN_MODEL_TOOL,
    "Run any model that KIE offers, by its id. Spends credits like the tool of its own.",
    RunModel,
    run_model,
    read_only=False,
)
