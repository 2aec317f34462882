"""The tools `find_models` and `describe_model`, which show the built-in models and the models in KIE's list today."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field, field_validator

from kie_mcp.catalog import search
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.needs import find_helpers, split_words
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.snapshot import spell_mode
from kie_mcp.server import answers, live_models
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.tools.tool import Arguments, Tool

PAGE_SIZE = 12
"""Maximum number of models on one page."""
LONGEST_SEARCH = 500
"""Maximum number of characters in the words of a search: each misspelt word takes a moment of the server's time."""
MEDIA = {"t": "text", "i": "image", "v": "video", "a": "audio", "r": "reference"}
MEDIUM = r"(t|i|v|a|r|te?xt|ima?ge?|vid(?:eo)?|audio|ref(?:erence)?)"
SHORT_MODE = re.compile(f"{MEDIUM}2{MEDIUM}")
"""Matches a mode that is written with a 2, such as `i2v`, `img2img` and `text2image`."""
VOICES_NOTE = "find_voices finds a voice for speech, by words such as: calm British man."
WITHOUT_LIMITS = "No model fits with this kind, mode and max_credits. Without them:"
NOTHING_FITS = "No model fits. Say in other English words what to make, or leave out kind, mode and max_credits."


class FindModels(Arguments):
    """Arguments of find_models."""

    words: str = ""
    kind: Kind | None = None
    mode: str = Field("", description="Such as image-to-video.")
    max_credits: float | None = Field(None, description="For one call.")
    page: Annotated[int, Field(ge=1)] = 1

    # `max_length` would do the same, but would lengthen the schema in every client's context.
    @field_validator("words")
    @classmethod
    def _check_length(cls, words: str) -> str:
        if len(words) > LONGEST_SEARCH:
            raise ValueError(f"at most {LONGEST_SEARCH} characters")
        return words

    @field_validator("mode")
    @classmethod
    def _spell_mode(cls, mode: str) -> str:
        found = SHORT_MODE.fullmatch(mode.strip().casefold())
        return "-to-".join(MEDIA[each[0]] for each in found.groups()) if found else spell_mode(mode)


async def find_models(app: App, _: ToolCall, arguments: FindModels) -> CallToolResult:
    """Find models by words, kind, mode and price, and return a result with one page of them; legacy models come last.

    A mode that no model has counts as words, for example `lipsync` and `tts`. If the words describe the work of a tool
    without a model, such as joining clips, the result's note names this tool.

    The search covers the built-in models and the other models in KIE's list. If the call limits the price, only
    built-in models are found, because the price of other models is not known as a number. Built-in models that match
    the words only roughly are left out if another model in KIE's list matches all words.
    """
    offered = await live_models.fetch_offered_models(app)
    if arguments.mode and not _is_mode(arguments.mode, offered):
        words = f"{arguments.words} {arguments.mode.replace('-', ' ')}".strip()
        arguments = arguments.model_copy(update={"words": words[:LONGEST_SEARCH], "mode": ""})
    rows, note = _search(arguments, offered)
    if not rows and arguments.words:
        # Some hosts make all arguments required, so the agent has to invent a kind, a mode and a price. If no model
        # matches them, the search is repeated by words alone.
        rows, note = _search(FindModels(words=arguments.words), offered)
        note = f"{WITHOUT_LIMITS} {note}".rstrip() if rows else note
    pages = math.ceil(len(rows) / PAGE_SIZE)
    page = rows[(arguments.page - 1) * PAGE_SIZE : arguments.page * PAGE_SIZE]
    answer = {"models": page, "page": arguments.page, "pages": pages}
    lines = [f"{row['model']} ({row['tool']}, {row['mode']}, {_format_price(row)}): {row['about']}" for row in page]
    models = [MODELS.get(row["model"]) for row in page]
    voices_note = VOICES_NOTE if any(model and model.voice_list for model in models) else ""
    helpers = find_helpers(split_words(arguments.words))
    if note := " ".join(filter(None, (helpers, note or ("" if rows or helpers else NOTHING_FITS), voices_note))):
        answer["note"] = note
        lines.insert(0, note)
    if pages > 1:
        lines.append(f"Page {arguments.page} of {pages}.")
    return _result_with_key_note(app, answer, "\n".join(lines))


def _is_mode(text: str, offered: live_models.OfferedModels) -> bool:
    """Tell whether a text is the mode of a model, or a part of one."""
    modes = (
        *(model.task_type for model in MODELS.values()),
        *(mode for each in offered.values() for mode in each.modes),
    )
    return any(text in mode for mode in modes)


def _search(arguments: FindModels, offered: live_models.OfferedModels) -> tuple[list[dict[str, str]], str]:
    """Return a row for each model that matches the arguments, and a note that says how the models were found."""
    found = search.find_models(
        arguments.words, kind=arguments.kind, mode=arguments.mode, max_credits=arguments.max_credits
    )
    new: list[dict[str, str]] = []
    if arguments.max_credits is None:
        new = live_models.list_live_only_models(offered, arguments.words, arguments.kind, arguments.mode)
    if found.note and new:
        found = search.Found([])
    current, legacy = (
        [
            live_models.add_live_status(search.summarize_entry(each), live_models.read_live_status(each.model, offered))
            for each in found.entries
            if bool(each.model.legacy) == is_legacy
        ]
        for is_legacy in (False, True)
    )
    return [*current, *new, *legacy], found.note


def _format_price(row: Mapping[str, str]) -> str:
    """Return a model's price as text: credits and US dollars, or KIE's price text if the model is not built in."""
    worth = f" ({row['usd']})" if "usd" in row else ""
    return row["credits"] if row["tool"] == live_models.RUN_MODEL_TOOL else f"{row['credits']} credits{worth}"


class DescribeModel(Arguments):
    """Arguments of describe_model."""

    model: str


async def describe_model(app: App, _: ToolCall, arguments: DescribeModel) -> CallToolResult:
    """Return a result with the arguments, limits and price of one model."""
    description = await live_models.describe_model(app, arguments.model)
    return _result_with_key_note(app, description, search.format_description(description))


def _result_with_key_note(app: App, answer: Mapping[str, Any], text: str) -> CallToolResult:
    """Build a result; if there is no valid API key, add a sentence that explains how to set one."""
    try:
        _ = app.settings.key
    except ConfigurationError as error:
        return answers.add_note(answers.build_result(answer, text), f"{error} {error.next_step}")
    return answers.build_result(answer, text)


FIND_MODELS = Tool(
    "find_models",
    "Find tool and model for a job in words (lip sync, talking portrait, upscaler, voiceover), by kind, mode or price.",
    FindModels,
    find_models,
)
DESCRIBE_MODEL = Tool(
    "describe_model",
    "All arguments of one model, also those that its tool does not list, with limits and price.",
    DescribeModel,
    describe_model,
)
