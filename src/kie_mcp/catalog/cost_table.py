"""A table of the cost of common things, such as a picture, for people who do not know what KIE's credits are worth."""

from dataclasses import dataclass, field
from typing import Any

from kie_mcp.catalog.credits import LIST_USD_PER_CREDIT, format_number
from kie_mcp.catalog.names import name_model
from kie_mcp.catalog.price import AS_OF
from kie_mcp.catalog.registry import MODELS


@dataclass(frozen=True)
class Example:
    """One row of the table: a thing that people want, and a model and arguments that make this thing."""

    what: str
    model: str
    arguments: dict[str, Any] = field(default_factory=dict)


EXAMPLES = (
    Example("a picture, as cheap as possible", "z-image"),
    Example("a picture", "nano-banana-2-1"),
    Example("a picture, as fine as possible", "nano-banana-pro"),
    Example("a picture without its background", "recraft/remove-background"),
    Example("a larger and sharper picture", "recraft/crisp-upscale"),
    Example("a clip of 5 s, cheap", "bytedance/seedance-1.5-pro", {"duration": 5}),
    Example("a clip of 5 s in 1080p", "kling-3.0/video", {"duration": 5}),
    Example("a clip of 8 s with sound", "veo3_fast", {"duration": 8}),
    Example("the same, as fine as possible", "veo3", {"duration": 8}),
    Example("a song, in two takes", "ai-music-api/generate"),
    Example("1,000 characters of speech, about a minute", "elevenlabs/text-to-speech-turbo-2-5"),
)


def format_costs() -> str:
    """Return a Markdown table with the cost of each example in credits and in dollars."""
    lines = [f"KIE's prices of {AS_OF}; a credit costs about half a cent.", ""]
    lines += ["| what | with | credits | US dollars |", "|---|---|--:|--:|"]
    for each in EXAMPLES:
        model = MODELS[each.model]
        high = model.model_construct(**{"prompt": "x" * 1000, **each.arguments}).estimate().high
        cost = ("?", "?") if high is None else (format_number(high), _format_dollars(high))
        lines.append(f"| {each.what} | {name_model(model)} | {' | '.join(cost)} |")
    lines.append("| joining, cutting and titling clips | `edit_media`, on your machine | 0 | 0 |")
    return "\n".join(lines)


def _format_dollars(credits_: float) -> str:
    """Format the price of credits in dollars; a price below one dollar is formatted in cents."""
    cents = credits_ * LIST_USD_PER_CREDIT * 100
    return f"{cents:.2g} ¢" if cents < 100 else f"${cents / 100:.2f}"
