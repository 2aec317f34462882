"""Search for models in the built-in catalogue, and describe models for agents."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from kie_mcp.catalog.credits import format_worth
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Kind, Limits, find_file_type
from kie_mcp.catalog.foreign_words import translate
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.names import find_called, find_similar
from kie_mcp.catalog.needs import (
    FILLER_WORDS,
    Need,
    Wish,
    count_found,
    find_needs,
    find_words,
    list_thing_words,
    split_words,
)
from kie_mcp.catalog.price import AS_OF
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.catalog.spelling import NAMES_AT_LEAST, correct_word
from kie_mcp.catalog.voices import Voice
from kie_mcp.text import quote_given

Description = dict[str, Any]

LIVE_LABELS = {"live_price": "KIE's price today", "live": "KIE's list today", "live_changes": "KIE's schema today"}
"""The keys of a model's description that contain live data from KIE, each with its label in `format_description()`."""

PARTLY = "These fit a part of the words:"
"""The note of a search whose models fit only some of its words."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A pair of a model and the family whose tool runs the model."""

    family: Family
    model: type[KieModel]

    @property
    def names(self) -> tuple[str, ...]:
        """The model's id and aliases, and the tool's name."""
        return (self.model.id, *self.model.aliases, self.family.tool)

    def is_named(self, name: str) -> bool:
        """Tell whether a text is a name of the model or its tool.

        Case and punctuation may differ: `Kling 2.6 Text to Video` is a name of `kling-2.6/text-to-video`. The part of
        an id before `/` may be missing.
        """
        return _squash(name) in _squash_names(self)

    @property
    def search_text(self) -> str:
        """The names and descriptions of the model and its tool in lower case; a search looks for words in this text."""
        return _join_search_text(self)

    def mentions(self, word: str) -> bool:
        """Tell whether a word of the search text is this word, or begins with it."""
        return bool(re.search(rf"(?<![^\W_]){re.escape(word)}", self.search_text))


@cache
def _squash_names(entry: Entry) -> frozenset[str]:
    brand = entry.family.tool.partition("_")[0]
    tails = (tail for each in entry.names if brand in (tail := each.rpartition("/")[2]))
    return frozenset(map(_squash, (*entry.names, *tails)))


@cache
def _join_search_text(entry: Entry) -> str:
    about = (entry.model.kind, entry.model.task_type, read_summary(entry.model), entry.family.about)
    return " ".join((*entry.names, *about)).casefold()


def _squash(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return re.sub(r"[\W_]", "", text.casefold())


class Found(NamedTuple):
    """The models that a search found."""

    entries: list[Entry]
    """The models with their tools, the most suitable model first and legacy models last."""
    note: str = ""
    """A sentence for the caller, for example that the models match the search only partly; empty if none is needed."""


@cache
def list_pairs() -> tuple[Entry, ...]:
    """Return all pairs of a model and a tool that runs it; some models occur twice, because two tools run them."""
    return tuple(Entry(family, model) for family in FAMILIES for model in family.models)


@cache
def list_entries() -> tuple[Entry, ...]:
    """Return all models, each of them once and with the first tool that runs it."""
    return tuple(entry for entry in list_pairs() if MODELS[entry.model.id] is entry.model)


def find_models(
    query: str = "", *, kind: Kind | None = None, mode: str = "", max_credits: float | None = None
) -> Found:
    """Find the models that match all conditions; if no model matches the query exactly, find similar models.

    Models whose name is the query come first. Then come models that make the thing in the query (`NEEDS`), such as a
    logo. Then come models for which each word of the query is in the names, tool, kind, mode or description. The main
    words of some other languages are translated first. A model that its tool does not list (`KieModel.unlisted`) is
    found only by its id or an alias.

    Args:
        query: Words for a model or for the thing to make, such as `kling image` or `lip sync`; case is ignored.
        kind: The kind of result that the models must make; None for any kind.
        mode: A text that the model's mode must contain, in the spelling of `KieModel.task_type`: `image-to-video`.
        max_credits: Upper limit, in credits, for the lowest estimate of a call with default arguments; a model without
            a known price does not match. None for any price.
    """
    called = find_by_name(query)
    pool = [
        entry
        for entry in list_pairs()
        if (not entry.model.unlisted or entry is called)
        and (kind is None or entry.model.kind == kind)
        and mode in entry.model.task_type
        and (max_credits is None or _costs_at_most(max_credits, entry.model.default_estimate().low))
    ]
    english = translate(query) or query
    found = _find_exactly(query, pool)
    if not found.entries:
        found = _find_exactly(english, pool)
    if not found.entries:
        found = _find_nearest(query, english, pool)
    # If a model was found with two tools, only the first of the two pairs is kept.
    once = {entry.model.id: entry for entry in reversed(found.entries)}
    entries = [entry for entry in found.entries if once[entry.model.id] is entry]
    # Legacy models come last, unless the query names them or asks for a thing that has them among its best.
    best = {target for wish in find_needs(split_words(english)) for target in wish.need.targets}
    entries.sort(key=lambda each: bool(each.model.legacy) and each.model.id not in best and not each.is_named(query))
    return Found(entries, found.note)


def _find_exactly(query: str, pool: list[Entry]) -> Found:
    """Find models by their names, by the thing that the query asks for (see `NEEDS`), and by all words of the query.

    All other words of the query choose among the many models for a general thing, such as a video; among the models
    for any other thing, only the words choose that name no thing. If no model fits all words, and none makes a kind
    that the query names, the models for this kind are added (`_add_missing_kinds()`).

    If the query asks for several things, the note of the result is that of the first thing for which a model is found.
    The note is empty if the query is the name of a model.
    """
    words = split_words(query)
    named = [entry for entry in pool if entry.is_named(query)]
    needed: list[Entry] = []
    note = ""
    for wish in find_needs(words):
        choosing = [word for word in wish.rest if wish.is_general or word not in list_thing_words()]
        fitting = [entry for entry in _find_targets(wish.need, pool) if all(map(entry.mentions, choosing))]
        note = note if needed or not fitting or named else wish.need.note
        needed += fitting
    texts, part = query.casefold().split(), _squash(query)
    matching = [entry for entry in pool if entry in list_entries() and all(word in entry.search_text for word in texts)]
    matching.sort(
        key=lambda entry: (not any(part in _squash(name) for name in entry.names), -_count_words(texts, entry.model.id))
    )
    found = list(dict.fromkeys((*named, *needed, *matching)))
    if named or note or matching:
        return Found(found, note)
    # What follows "for" is not what to make: "voiceover for my video".
    return _add_missing_kinds(found, find_needs(split_words(query.casefold().partition(" for ")[0])), pool)


def _add_missing_kinds(found: list[Entry], wishes: list[Wish], pool: list[Entry]) -> Found:
    """Add the models for a general wish, such as the video in "emoji video", if no model that was found makes its kind.

    They take turns with the models that were found, because either word may be the main one.
    """
    kinds = _list_kinds(found)
    general = [_find_targets(wish.need, pool) for wish in wishes if found and wish.is_general]
    missing = [targets for targets in general if kinds.isdisjoint(_list_kinds(targets))]
    turns = chain.from_iterable(zip_longest(found, *missing))
    entries = list(dict.fromkeys(entry for entry in turns if entry))
    return Found(entries, PARTLY if len(entries) > len(found) else "")


def _list_kinds(entries: list[Entry]) -> set[str]:
    """Return the kinds of the results that models make."""
    return {entry.model.kind for entry in entries}


def _find_targets(need: Need, pool: list[Entry]) -> list[Entry]:
    """Return the models that make a thing; each of `need.targets` is the id of a model, or a tool with several models.

    The first model of each target comes first, then the second model of each target, and so on.
    """
    places = [
        (place, number, entry)
        for number, target in enumerate(need.targets)
        for place, entry in enumerate(each for each in pool if target in (each.family.tool, each.model.id))
    ]
    return list(dict.fromkeys(entry for _, _, entry in sorted(places, key=lambda each: each[:2])))


def _find_nearest(query: str, english: str, pool: list[Entry]) -> Found:
    """Find models for a query that no model matches exactly; the note of the result says how they were found.

    Two searches are tried: the first looks for a thing to make in the query, with and without corrected words, and the
    second looks for some of the words in the models' names.

    Args:
        query: The caller's words.
        english: The same words, with those of other languages in English.
        pool: The models to choose from.
    """
    words = split_words(english)
    needs = find_needs(words)
    known = _list_known_words()
    given = find_words(english)
    corrections = {word: correct_word(word, known, surely=bool(needs)) for word in set(given)}
    corrected = split_words(" ".join(corrections[word] for word in given))
    better = find_needs(corrected)
    if corrected != words and (not needs or count_found(better, corrected) > count_found(needs, words)):
        text = " ".join(corrected)
        found = _find_exactly(text, pool)
        found = found if found.entries else _find_things(better, pool)
        if found.entries:
            note = f"Nothing is called {quote_given(query)}. For {quote_given(text)}: {found.note}".rstrip()
            return Found(found.entries, note)
    if needs:
        return _find_things(needs, pool)
    counts = {entry: _count_words_in_names(words, entry) for entry in pool if entry in list_entries()}
    near = sorted((entry for entry in counts if counts[entry]), key=lambda entry: -counts[entry])
    return Found(near, f"Nothing is called {quote_given(query)}. Similar names:" if near else "")


def _find_things(wishes: list[Wish], pool: list[Entry]) -> Found:
    """Return the models that make any of the things that `find_needs()` found, whatever the other words say."""
    entries = list(dict.fromkeys(chain.from_iterable(_find_targets(wish.need, pool) for wish in wishes)))
    note = next((wish.need.note for wish in wishes), "")
    return Found(entries, note or PARTLY * bool(entries))


def _count_words(words: Iterable[str], text: str) -> int:
    return sum(word in text for word in words)


def _count_words_in_names(words: Iterable[str], entry: Entry) -> int:
    names = " ".join(entry.names).casefold()
    return _count_words((word for word in words if len(word) >= NAMES_AT_LEAST), names)


@cache
def _list_known_words() -> tuple[str, ...]:
    """Return the words in the phrases of `NEEDS`, in the names of models and tools, and those that a search ignores."""
    names = chain.from_iterable(each.names for each in list_entries())
    named = chain.from_iterable(map(split_words, names))
    return tuple(dict.fromkeys((*sorted(list_thing_words()), *named, *FILLER_WORDS.split())))


def _costs_at_most(limit: float, cost: float | None) -> bool:
    """Tell whether a cost is known and not higher than the limit, in credits."""
    return cost is not None and cost <= limit


def summarize_entry(entry: Entry) -> Description:
    """Return a short description of a model for a list: its id, tool, mode, price (credits, dollars) and summary."""
    model, estimate = entry.model, entry.model.default_estimate()
    worth = "" if estimate.low is None else format_worth(estimate.low, estimate.high)
    return {
        "model": model.id,
        "tool": entry.family.tool,
        "mode": model.task_type,
        "credits": str(estimate),
        **({"usd": worth} if worth else {}),
        "about": _describe_in_short(model),
    }


def _describe_in_short(model: type[KieModel]) -> str:
    """Return a model's summary; for a legacy model, first a sentence that names the tool to use instead."""
    return (f"Legacy, prefer {model.legacy}. " if model.legacy else "") + read_summary(model)


def list_by_name(name: str) -> list[Entry]:
    """Return the models that have a name (`find_called()`), each of them once; empty if no model has it."""
    called = find_called(name, (entry.model for entry in list_entries()))
    return [entry for entry in list_entries() if entry.model in called]


def find_by_name(name: str) -> Entry | None:
    """Find a model by its name; return None if no model has this name, or if several have it."""
    match list_by_name(name):
        case [entry]:
            return entry
        case _:
            return None


def suggest_ids(name: str, live_ids: Iterable[str] = ()) -> list[str]:
    """Return up to four model ids that a caller may have meant by a wrong name; the most similar id comes first.

    Args:
        name: The wrong name.
        live_ids: More ids to choose from, such as those in KIE's live catalogue.
    """
    listed = {id_: model for id_, model in MODELS.items() if not model.unlisted}
    return find_similar(name, {**dict.fromkeys(live_ids), **listed})[:4]


def describe_model(model: type[KieModel], tool: str) -> Description:
    """Describe a model in full: its names, price, usual duration, and the JSON Schema of its arguments.

    Args:
        model: The model class to describe.
        tool: Name of the tool that runs the model.
    """
    schema = plain_schema(model)
    for field, words in _describe_files(model):
        schema["properties"][field]["description"] = words
    return {
        "model": model.id,
        "tool": tool,
        "about": _describe_in_short(model),
        "mode": model.task_type,
        "aliases": list(model.aliases),
        "usual_seconds": model.usual_seconds,
        "price": str(model.price) + (f" ({model.price.note})" if model.price.note else ""),
        "price_as_of": AS_OF,
        **_describe_voices(model.voice_list, schema),
        "input_schema": schema,
    }


def format_description(description: Mapping[str, Any]) -> str:
    """Return a description from `describe_model()` as text; each argument has a line, with `*` if it is required."""
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
    if "voices_hint" in description:
        names = f"Voices: {', '.join(description['voices'])}. " if "voices" in description else ""
        lines.append(f"{names}{description['voices_hint']}")
    return "\n".join(lines)


def _describe_voices(voices: Sequence[Voice], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields about voices for a model's description; empty if the model has no voices.

    `voices_hint` says how to find a voice. `voices` has the names of the voices whose ids are not in the schema.
    """
    if not voices:
        return {}
    told = json.dumps(schema)
    names = [voice.name for voice in voices if f'"{voice.id}"' not in told]
    hint = "find_voices tells what each voice is like, and what to write."
    return {**({"voices": names} if names else {}), "voices_hint": hint}


def _format_rate(description: Mapping[str, Any]) -> str:
    return f"one is {format_worth(1)}" if "usd_per_credit" in description else ""


def read_summary(model: type[KieModel]) -> str:
    """Return the model's summary: the docstring of its class, which is one sentence."""
    return (model.__doc__ or "").strip()


def _describe_files(model: type[KieModel]) -> Iterable[tuple[str, str]]:
    """Generate a pair for each argument that takes files: its name, and a text with its medium, limits and description.

    Example: `("image", "image: jpg, png, up to 10 MB The first frame.")`.
    """
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
    """Return the JSON Schema of an argument as words, such as `integer from 1 to 4 (default 1) - Number of clips.`."""
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
