"""`run_model`: any model that KIE offers, whether it is built into the catalogue or not."""

from dataclasses import replace
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import Field

from kie_mcp.catalog.arguments import Options
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.generate import generate
from kie_mcp.server.live_models import RUN_MODEL_TOOL
from kie_mcp.server.orders import build_model_order
from kie_mcp.server.tools.tool import Tool


class RunModel(Options):
    """Arguments of run_model."""

    model: str
    input: dict[str, Any] = Field(
        description="Fields as in KIE's documentation, or as describe_model shows.",
        json_schema_extra={"properties": {"prompt": {"type": "string"}}},
    )
    unchecked: bool = Field(default=False, description="For a model without a published schema.")


async def run_model(app: App, call: ToolCall, arguments: RunModel) -> CallToolResult | InputRequiredResult:
    """Run any model that KIE offers."""
    discovery = await app.discovery()
    order = await build_model_order(discovery, arguments.model, arguments.input, unchecked=arguments.unchecked)
    return await generate(app, call, replace(order, variation=arguments.variation), arguments)


RUN_MODEL = Tool(
    RUN_MODEL_TOOL,
    "Run any model that KIE offers, by its id. Spends credits like the tool of its own.",
    RunModel,
    run_model,
    read_only=False,
)
