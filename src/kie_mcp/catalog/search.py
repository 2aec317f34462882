"""Search for models in the catalogue, and descriptions of models for agents."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from kie_mcp.catalog.credits import format_worth
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Kind, Limits, find_file_type
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import AS_OF
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.schema import plain_schema

Description = dict[str, Any]

LIVE_LABELS = {"live_price": "KIE's price today", "live": "KIE's list today", "live_changes": "KIE's schema today"}
"""Labels in a model's text description for the keys that come from KIE's live catalogue."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model and the family whose tool runs it."""

    family: Family
    model: type[KieModel]

    @property
    def search_text(self) -> str:
        """The text, in lower case, in which a search looks for its words."""
        model = self.model
        names = (
            model.id,
            *model.aliases,
            self.family.tool,
            model.kind,
            model.does,
            read_summary(model),
            self.family.about,
        )
        return " ".join(names).casefold()


ENTRIES = tuple(Entry(family, model) for family in FAMILIES for model in family.models if MODELS[model.id] is model)


def find_models(
    query: str = "", *, kind: Kind | None = None, mode: str = "", max_credits: float | None = None
) -> list[Entry]:
    """Find the models that match all conditions; legacy models come last.

    Args:
        query: Words that must all occur in the model's names, tool, kind, mode or description; case is ignored.
        kind: The kind of result.
        mode: A part of the mode, such as `image-to-video`.
        max_credits: Largest lower estimate, in credits, of a call with default arguments. A model without a price never
            matches.
    """
    words = query.casefold().split()
    matches = [
        entry
        for entry in ENTRIES
        if (kind is None or entry.model.kind == kind)
        and mode.casefold() in entry.model.does
        and all(word in entry.search_text for word in words)
        and (max_credits is None or _costs_at_most(max_credits, entry.model.default_estimate().low))
    ]
    return sorted(matches, key=lambda entry: bool(entry.model.legacy))


def _costs_at_most(limit: float, cost: float | None) -> bool:
    """Tell whether a cost is known and within the limit."""
    return cost is not None and cost <= limit


def summarize_entry(entry: Entry) -> Description:
    """Return a model's row for a list of models."""
    model, estimate = entry.model, entry.model.default_estimate()
    worth = "" if estimate.low is None else format_worth(estimate.low, estimate.high)
    return {
        "model": model.id,
        "tool": entry.family.tool,
        "mode": model.does,
        "credits": str(estimate),
        **({"usd": worth} if worth else {}),
        "about": ("Legacy. " if model.legacy else "") + read_summary(model),
    }


def find_by_name(name: str) -> Entry | None:
    """Find a model by its id or an alias; case is ignored."""
    wanted = name.strip().casefold()
    return next(
        (each for each in ENTRIES if wanted in {n.casefold() for n in (each.model.id, *each.model.aliases)}), None
    )


def suggest_ids(name: str, live_ids: Iterable[str] = ()) -> list[str]:
    """Suggest up to four ids that a caller may have meant by a wrong name; the most similar comes first.

    Args:
        name: The name that was not found.
        live_ids: Further ids, from KIE's live catalogue.
    """
    known = {alias: entry.model.id for entry in ENTRIES for alias in (entry.model.id, *entry.model.aliases)}
    known |= {id_: id_ for id_ in live_ids}
    close = difflib.get_close_matches(name, known, n=4)
    return list(dict.fromkeys(known[each] for each in close))


def describe_model(model: type[KieModel], tool: str) -> Description:
    """Describe a model in full: its names, price, usual duration, and the JSON Schema of its arguments.

    Args:
        model: The model.
        tool: Name of the tool that runs it.
    """
    schema = plain_schema(model)
    for field, words in _describe_files(model):
        schema["properties"][field]["description"] = words
    return {
        "model": model.id,
        "tool": tool,
        "about": ("Legacy. " if model.legacy else "") + read_summary(model),
        "mode": model.does,
        "aliases": list(model.aliases),
        "usual_seconds": model.usual_seconds,
        "price": str(model.price) + (f" ({model.price.note})" if model.price.note else ""),
        "price_as_of": AS_OF,
        "input_schema": schema,
    }


def format_description(description: Mapping[str, Any]) -> str:
    """Format a description from `describe_model()` as text, in which `*` marks required arguments."""
    schema = description["input_schema"]
    names = f", also called {', '.join(description['aliases'])}" if description["aliases"] else ""
    lines = [
        f"{description['model']} (tool {description['tool']}{names}): {description['about']}",
        f"{description['mode']}, usually {description['usual_seconds']:g} s.",
        (
            f"Credits ({', '.join(filter(None, (description['price_as_of'], _format_rate(description))))}): "
            f"{description['price']}."
        ),
        *(f"{words}: {description[key]}" for key, words in LIVE_LABELS.items() if key in description),
    ]
    for name, field in schema["properties"].items():
        star = "*" if name in schema.get("required", ()) else ""
        lines.append(f"{name}{star}: {_format_field(field)}")
    return "\n".join(lines)


def _format_rate(description: Mapping[str, Any]) -> str:
    return f"one is {format_worth(1)}" if "usd_per_credit" in description else ""


def read_summary(model: type[KieModel]) -> str:
    """Return the model's summary: the docstring of its class, which is one sentence."""
    return (model.__doc__ or "").strip()


def _describe_files(model: type[KieModel]) -> Iterable[tuple[str, str]]:
    """Generate a pair for each file argument: its name, and its medium, limits and description in words."""
    for name, field in model.model_fields.items():
        if found := find_file_type(field):
            media, limits = found
            words = _format_limits(limits) if limits else ""
            yield name, " ".join(filter(None, (f"{media.medium}{':' if words else ''}", words, field.description)))


def _format_limits(limits: Limits) -> str:
    units = {"mb": "MB", "seconds": "s", "side_px": "px a side", "ratio": "width/height", "pixels": "pixels"}
    words = [limits.formats.replace(" ", ", ")] if limits.formats else []
    for each in fields(limits):
        value = getattr(limits, each.name)
        if each.name in units and value is not None:
            amount = f"up to {value:g}" if isinstance(value, int | float) else f"{value[0]:g} to {value[1]:g}"
            words.append(f"{amount} {units[each.name]}")
    return ", ".join(words)


def _format_field(field: Mapping[str, Any]) -> str:
    """Describe the JSON Schema of an argument in words: its type or values, limits, default and description."""
    words = [field.get("type", "anything")]
    if "enum" in field:
        words = [", ".join(str(value) for value in field["enum"])]
    elif "properties" in field.get("items", ()):
        inner = field["items"]["properties"]
        words = [f"list of {{{'; '.join(f'{name}: {_format_field(each)}' for name, each in inner.items())}}}"]
    elif words == ["array"]:
        words = ["list"]
    words += [
        f"{word} {field[key]:g}"
        for key, word in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "up to"),
            ("minItems", "at least"),
            ("maxItems", "at most"),
            ("multipleOf", "in steps of"),
        )
        if key in field
    ]
    if "default" in field:
        words.append(f"(default {field['default']})")
    return " ".join([*words, *([f"- {field['description']}"] if "description" in field else [])])
