"""`find_models`, `describe_model`."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.catalog import search
from kie_mcp.catalog.fields import Kind
from kie_mcp.errors import ConfigurationError
from kie_mcp.server import answers, live_models
from kie_mcp.server.app import App
from kie_mcp.server.generate import Asked
from kie_mcp.server.tools.tool import Arguments, Tool

PAGE = 12


class FindModels(Arguments):
    """What the model should do."""

    words: str = Field("", description="Such as: kling image.")
    kind: Kind | None = None
    mode: str = Field("", description="Such as image-to-video.")
    max_credits: float | None = Field(None, description="For one call with default arguments.")
    page: Annotated[int, Field(ge=1)] = 1


async def find_models(app: App, __: Asked, wanted: FindModels) -> CallToolResult:
    """Find models by words, kind, mode and price, among ours and KIE's of today."""
    offered = await live_models.ask(app)
    found = search.find(wanted.words, kind=wanted.kind, mode=wanted.mode, max_credits=wanted.max_credits)
    rows = [live_models.marked(search.row(entry), live_models.standing(entry.model, offered)) for entry in found]
    if wanted.max_credits is None:
        rows += live_models.strangers(offered, wanted.words, wanted.kind, wanted.mode)
    pages = math.ceil(len(rows) / PAGE)
    shown = rows[(wanted.page - 1) * PAGE : wanted.page * PAGE]
    answer = {"models": shown, "page": wanted.page, "pages": pages}
    lines = ["{model} ({tool}, {mode}, {credits} credits): {about}".format(**row) for row in shown]
    if pages > 1:
        lines.append(f"Page {wanted.page} of {pages}.")
    return _informed(app, answer, "\n".join(lines) or "No model fits. Try fewer words.")


class DescribeModel(Arguments):
    """Which model."""

    model: str


async def describe_model(app: App, __: Asked, wanted: DescribeModel) -> CallToolResult:
    """Tell all about one model."""
    description = await live_models.describe(app, wanted.model)
    return _informed(app, description, search.text(description))


def _informed(app: App, answer: Mapping[str, Any], text: str) -> CallToolResult:
    """What needs no key answers without one, and says that nothing can be made yet."""
    try:
        _ = app.settings.key
    except ConfigurationError as error:
        note = f"{error} {error.next_step}"
        return answers.result({**answer, "note": note}, f"{text}\n{note}")
    return answers.result(answer, text)


FIND_MODELS = Tool("find_models", "Find models by words, kind, mode or price.", FindModels, find_models)
DESCRIBE_MODEL = Tool("describe_model", "Arguments, limits and price of one model.", DescribeModel, describe_model)
