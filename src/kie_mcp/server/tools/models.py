"""The tools `find_models` and `describe_model`, which show the built-in models and those in KIE's list of today."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.catalog import search
from kie_mcp.catalog.fields import Kind
from kie_mcp.errors import ConfigurationError
from kie_mcp.server import answers, live_models
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.tools.tool import Arguments, Tool

PAGE_SIZE = 12
"""Maximum number of models on one page."""


class FindModels(Arguments):
    """Arguments of find_models."""

    words: str = Field("", description="Such as: kling image.")
    kind: Kind | None = None
    mode: str = Field("", description="Such as image-to-video.")
    max_credits: float | None = Field(None, description="For one call with default arguments.")
    page: Annotated[int, Field(ge=1)] = 1


async def find_models(app: App, _: ToolCall, arguments: FindModels) -> CallToolResult:
    """Find models by words, kind, mode and price, among the built-in models and the models in KIE's list.

    When the call limits the price, models that are not built in are left out, because their price is not known as a
    number.
    """
    offered = await live_models.fetch_offered_models(app)
    found = search.find_models(
        arguments.words, kind=arguments.kind, mode=arguments.mode, max_credits=arguments.max_credits
    )
    rows = [
        live_models.add_live_status(search.summarize_entry(entry), live_models.read_live_status(entry.model, offered))
        for entry in found
    ]
    if arguments.max_credits is None:
        rows += live_models.list_live_only_models(offered, arguments.words, arguments.kind, arguments.mode)
    pages = math.ceil(len(rows) / PAGE_SIZE)
    page = rows[(arguments.page - 1) * PAGE_SIZE : arguments.page * PAGE_SIZE]
    answer = {"models": page, "page": arguments.page, "pages": pages}
    lines = [f"{row['model']} ({row['tool']}, {row['mode']}, {_format_price(row)}): {row['about']}" for row in page]
    if pages > 1:
        lines.append(f"Page {arguments.page} of {pages}.")
    return _result_with_key_note(app, answer, "\n".join(lines) or "No model fits. Try fewer words.")


def _format_price(row: Mapping[str, str]) -> str:
    """Format the price in a row: credits and their worth, or KIE's own words for a model that is not built in."""
    worth = f" ({row['usd']})" if "usd" in row else ""
    return row["credits"] if row["tool"] == live_models.RUN_MODEL_TOOL else f"{row['credits']} credits{worth}"


class DescribeModel(Arguments):
    """Arguments of describe_model."""

    model: str


async def describe_model(app: App, _: ToolCall, arguments: DescribeModel) -> CallToolResult:
    """Answer with the arguments, limits and price of one model."""
    description = await live_models.describe_model(app, arguments.model)
    return _result_with_key_note(app, description, search.format_description(description))


def _result_with_key_note(app: App, answer: Mapping[str, Any], text: str) -> CallToolResult:
    """Build a result, and add a note on how to set the API key when there is none."""
    try:
        _ = app.settings.key
    except ConfigurationError as error:
        note = f"{error} {error.next_step}"
        return answers.build_result({**answer, "note": note}, f"{text}\n{note}")
    return answers.build_result(answer, text)


FIND_MODELS = Tool("find_models", "Find models by words, kind, mode or price.", FindModels, find_models)
DESCRIBE_MODEL = Tool("describe_model", "Arguments, limits and price of one model.", DescribeModel, describe_model)
