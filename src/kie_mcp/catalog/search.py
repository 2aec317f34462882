"""Finding a model, and telling about one, in few words."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Kind, Limits, MediaRef
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import AS_OF
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.schema import plain_schema, walk_annotation

Description = dict[str, Any]

LIVE = {"live_price": "KIE's price today", "live": "KIE's list today"}
"""What a description may have besides, when KIE was asked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model and the tool that runs it."""

    family: Family
    model: type[KieModel]

    @property
    def words(self) -> str:
        """Everything that a search looks at."""
        model = self.model
        names = (model.id, *model.aliases, self.family.tool, model.kind, model.does, about(model), self.family.about)
        return " ".join(names).casefold()


ENTRIES = tuple(Entry(family, model) for family in FAMILIES for model in family.models if MODELS[model.id] is model)


def find(words: str = "", *, kind: Kind | None = None, mode: str = "", max_credits: float | None = None) -> list[Entry]:
    """The models that have all the words, make the kind, work in the mode and cost no more; legacy ones last."""
    wanted = words.casefold().split()
    found = [
        entry
        for entry in ENTRIES
        if (kind is None or entry.model.kind == kind)
        and mode.casefold() in entry.model.does
        and all(word in entry.words for word in wanted)
        and (max_credits is None or _at_most(max_credits, entry.model.usual_estimate().low))
    ]
    return sorted(found, key=lambda entry: bool(entry.model.legacy))


def _at_most(limit: float, figure: float | None) -> bool:
    return figure is not None and figure <= limit


def row(entry: Entry) -> Description:
    """A model on one line of a list."""
    model = entry.model
    return {
        "model": model.id,
        "tool": entry.family.tool,
        "mode": model.does,
        "credits": str(entry.model.usual_estimate()),
        "about": ("Legacy. " if model.legacy else "") + about(model),
    }


def named(name: str) -> Entry | None:
    """The entry that has this id or alias."""
    wanted = name.strip().casefold()
    return next(
        (each for each in ENTRIES if wanted in {n.casefold() for n in (each.model.id, *each.model.aliases)}), None
    )


def near(name: str, others: Iterable[str] = ()) -> list[str]:
    """The ids that the caller may have meant, of the catalogue and of others."""
    known = {alias: entry.model.id for entry in ENTRIES for alias in (entry.model.id, *entry.model.aliases)}
    known |= {id_: id_ for id_ in others}
    close = difflib.get_close_matches(name, known, n=4)
    return list(dict.fromkeys(known[each] for each in close))


def describe(model: type[KieModel], tool: str) -> Description:
    """All about one model, and the tool that runs it."""
    schema = plain_schema(model)
    for field, words in _limits(model):
        schema["properties"][field]["description"] = words
    return {
        "model": model.id,
        "tool": tool,
        "about": ("Legacy. " if model.legacy else "") + about(model),
        "mode": model.does,
        "aliases": list(model.aliases),
        "usual_seconds": model.usual_seconds,
        "price": str(model.price) + (f" ({model.price.note})" if model.price.note else ""),
        "price_as_of": AS_OF,
        "input_schema": schema,
    }


def text(description: Mapping[str, Any]) -> str:
    """The same in words; a star marks what is required."""
    schema = description["input_schema"]
    names = f", also called {', '.join(description['aliases'])}" if description["aliases"] else ""
    lines = [
        f"{description['model']} (tool {description['tool']}{names}): {description['about']}",
        f"{description['mode']}, usually {description['usual_seconds']:g} s.",
        f"Credits ({description['price_as_of']}): {description['price']}.",
        *(f"{words}: {description[key]}" for key, words in LIVE.items() if key in description),
    ]
    for name, field in schema["properties"].items():
        star = "*" if name in schema.get("required", ()) else ""
        lines.append(f"{name}{star}: {_admits(field)}")
    return "\n".join(lines)


def about(model: type[KieModel]) -> str:
    """The model in one sentence."""
    return (model.__doc__ or "").strip()


def _limits(model: type[KieModel]) -> Iterable[tuple[str, str]]:
    for name, field in model.model_fields.items():
        found = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
        media = [each for each in found if isinstance(each, type) and issubclass(each, MediaRef)]
        limits = [each for each in found if isinstance(each, Limits)]
        if media:
            words = _spell(limits[0]) if limits else ""
            yield name, " ".join(filter(None, (f"{media[0].medium}{':' if words else ''}", words, field.description)))


def _spell(limits: Limits) -> str:
    units = {"mb": "MB", "seconds": "s", "side_px": "px a side", "ratio": "width/height", "pixels": "pixels"}
    words = [limits.formats.replace(" ", ", ")] if limits.formats else []
    for each in fields(limits):
        value = getattr(limits, each.name)
        if each.name in units and value is not None:
            amount = f"up to {value:g}" if isinstance(value, int | float) else f"{value[0]:g} to {value[1]:g}"
            words.append(f"{amount} {units[each.name]}")
    return ", ".join(words)


def _admits(field: Mapping[str, Any]) -> str:
    words = [field.get("type", "anything")]
    if "enum" in field:
        words = [", ".join(str(value) for value in field["enum"])]
    elif "properties" in field.get("items", ()):
        inner = field["items"]["properties"]
        words = [f"list of {{{'; '.join(f'{name}: {_admits(each)}' for name, each in inner.items())}}}"]
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
        )
        if key in field
    ]
    if "default" in field:
        words.append(f"(default {field['default']})")
    return " ".join([*words, *([f"- {field['description']}"] if "description" in field else [])])
