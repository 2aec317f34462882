"""The names by which people know models, such as `Kling 3.0` for the id `kling-3.0/video`, and the models so named."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain

from kie_mcp.catalog.model import KieModel
from kie_mcp.text import quote_given

MODE_PATTERN = re.compile(r"(text|image|reference)-to-(video|image)|(image-)?edit\b|\bremix\b|\breframe\b")
"""Matches the part of a model's id that is its mode, such as `text-to-video` in `kling-2.6/text-to-video`."""
SHORT_MODE_PATTERN = re.compile(r"(?<![a-z])[tirv]2[iv](?![a-z\d])")
"""Matches a mode that is written in short, such as `i2v` for image-to-video."""
LEAST_LIKENESS = 0.6
"""Minimum similarity, from 0 to 1, between a wrong name and a name of a model that the caller may have meant."""

Model = type[KieModel]


class UnknownModel(ValueError):
    """The family has no model with the name in a call; the message lists the models of the family."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def name_model(model: Model) -> str:
    """Return the name by which people know a model: the first words of the model's summary, and its default version."""
    name = re.split(r"[:,]", (model.__doc__ or "").strip(), maxsplit=1)[0]
    return f"{name} {version}" if (version := _default_version(model)) else name


def list_names(models: Iterable[Model]) -> str:
    """Return Markdown with the names of models; after each name, in brackets, the ids of all models with this name."""
    named: dict[str, list[str]] = {}
    for model in models:
        named.setdefault(name_model(model), []).append(f"`{model.id}`")
    return "; ".join(f"{name} ({', '.join(ids)})" for name, ids in named.items())


def strip_mode(model: Model) -> str:
    """Return a model's id without the part that is its mode: `kling-2.6/text-to-video -> kling-2.6`."""
    return "-".join(part for part in re.split(r"[-/]", MODE_PATTERN.sub("", model.id)) if part)


def says_mode(name: str, model: Model) -> bool:
    """Tell whether a name of a model says in which mode it runs, as its id and `Kling 2.6 image to video` do."""
    exact, spelled = name.strip().casefold(), spell(name)
    is_alias = exact != model.id.casefold() and spelled in _spell_each(_list_aliases, model)
    if spelled == spell(model.id) and not is_alias:
        return True
    plain = re.sub(r"[\s_/]+", "-", exact)
    return bool(MODE_PATTERN.search(plain) or SHORT_MODE_PATTERN.search(plain))


def find_called(name: str, models: Iterable[Model]) -> list[Model]:
    """Return the models that have a name: one model for an id or an alias, several if they share the name.

    Case, punctuation, blanks, the `v` of a version and its `.0` may differ: `Kling v3` is a name of `kling-3.0`. A
    model is also called by its title (`name_model()`), with or without its mode. Names of one kind are compared before
    those of the next: ids, aliases, the same in other spellings, titles. A model that its tool does not list is found
    by other spellings only if no other model is.

    Args:
        name: The name that the caller wrote.
        models: The models to choose from.
    """
    everyone = list(models)
    exact, spelled = name.strip().casefold(), spell(name)
    if found := [each for each in everyone if exact == each.id.casefold()]:
        return found
    if found := [each for each in everyone if exact in map(str.casefold, each.aliases)]:
        return found
    if not spelled:
        return []
    for pool in ([each for each in everyone if not each.unlisted], everyone):
        for list_some in (_list_ids, _list_aliases, _list_titles):
            if found := [each for each in pool if spelled in _spell_each(list_some, each)]:
                return found
    return []


def tell_to_choose(name: str, models: Iterable[Model]) -> str:
    """Return the message for a name that several models share, without a full stop."""
    ids = " and ".join(model.id for model in models)
    return f"{quote_given(name)} is the name of {ids}: give one of these ids as model"


def find_similar(name: str, known: Mapping[str, Model | None]) -> list[str]:
    """Return the names in `known` that a caller may have meant by a wrong name; the most similar name comes first.

    If names of the same brand have the same numbers as the wrong name, only these are returned: for `kling 2.6 pro`,
    `kling-2.6/text-to-video` is returned, and `kling/v2-1-pro` is not.

    Args:
        name: The wrong name.
        known: Names to choose from, each with its model; a model also has its other names. None for a name alone.
    """
    wanted, numbers = spell(name), _find_numbers(name)
    likeness: dict[str, float] = {}
    same_numbers: set[str] = set()
    matcher = difflib.SequenceMatcher(b=wanted)
    for each, model in known.items():
        others = chain(_spell_each(_list_aliases, model), _spell_each(_list_titles, model)) if model else ()
        for spelling in {spell(each), *others}:
            matcher.set_seq1(spelling)
            if matcher.quick_ratio() >= LEAST_LIKENESS and (ratio := matcher.ratio()) >= LEAST_LIKENESS:
                likeness[each] = max(ratio, likeness.get(each, 0))
                brand = re.search(r"[^\W\d]+", spelling)
                if numbers == _find_numbers(spelling) and numbers and brand and brand[0] in wanted:
                    same_numbers.add(each)
    return sorted(same_numbers or likeness, key=lambda each: -likeness[each])


def tell_similar(name: str, models: Iterable[Model], fitting: Collection[str]) -> str:
    """Return a question, with a space before it, that names up to three models that a caller may have meant.

    Args:
        name: The wrong name.
        models: The models to choose from.
        fitting: The ids of models that take the call's arguments; if some of these are meant, the others are left out.
    """
    near = find_similar(name, {model.id: model for model in models})
    near = [each for each in near if each in fitting] or near
    return f" Did you mean {' or '.join(near[:3])}?" if near else ""


def spell(name: str) -> str:
    """Return a name in the spelling in which names are compared: `Kling v3.0 Turbo` and `kling-3-turbo` are equal."""
    plain = re.sub(r"(?<![^\W_])v(?=\d)", "", name.strip().casefold())
    return re.sub(r"[\W_]", "", re.sub(r"(?<=\d)[ ._-]0(?!\d)", "", plain))


@cache
def _spell_each(list_some: Callable[[Model], Iterable[str]], model: Model) -> tuple[str, ...]:
    return tuple(map(spell, list_some(model)))


def _find_numbers(name: str) -> list[str]:
    """Return the numbers in a name; that in a mode such as `i2v` is left out."""
    return re.findall(r"\d+", re.sub(r"[tirv]2[iv]$", "", spell(name)))


def _list_ids(model: Model) -> Iterator[str]:
    yield model.id


def _list_aliases(model: Model) -> Iterator[str]:
    """Yield the aliases of a model, and each alias with the vendor in the model's id, and with the default version."""
    vendor, version = model.id.rpartition("/")[0], _default_version(model)
    for alias in model.aliases:
        yield alias
        if vendor:
            yield f"{vendor}/{alias}"
        if version:
            yield f"{alias} {version}"


def _list_titles(model: Model) -> Iterator[str]:
    """Yield the names that a model may share with its other modes, and these names with the modes of the model."""
    title = name_model(model)
    yield title
    yield strip_mode(model)
    modes = [model.task_type]
    if model.task_type.startswith("text-to-") and {"image", "images"} & model.model_fields.keys():
        modes.append(f"image-to-{model.kind}")
    for mode in modes:
        yield f"{title} {mode}"
        if short := re.fullmatch(r"([tirv])\w+-to-([iv])\w+", mode):
            yield f"{title} {short[1]}2{short[2]}"


def _default_version(model: Model) -> str:
    version = model.model_fields["version"].default if "version" in model.model_fields else None
    return version.replace("_", ".").replace("PLUS", "+") if isinstance(version, str) else ""
