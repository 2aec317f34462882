"""Correct the names of arguments: if a caller writes `image_url`, find the tool's argument `image`."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from kie_mcp.catalog.argument_values import is_empty
from kie_mcp.catalog.fields import snake_case
from kie_mcp.catalog.spellings import CHOICE_WORDS, HOST_ARGUMENTS, NEAR_NAMES, PLACEHOLDERS, RELATED_NAMES

Names = Mapping[str, str]

SIZE_NAMES = frozenset({"size", "image_size"})
"""Names, in snake case, that some APIs use for the resolution of a picture, and others for its shape."""
RESOLUTION = re.compile(r"\s*\d+(\.\d+)?\s*[kp]\s*", re.IGNORECASE)
"""Matches a resolution, such as 2K or 720p."""
SHAPE = re.compile(
    r"\s*(\d+\s*[x×*/:：]\s*\d+|(auto|adaptive|original|square|landscape|portrait|horizontal|vertical|wide|tall).*)\s*",
    re.IGNORECASE,
)
"""Matches a shape, such as 16:9, 1024x1024 or square_hd."""


def rename_arguments(
    arguments: Mapping[str, Any], known: Collection[str], kie_names: Names | None = None
) -> dict[str, Any]:
    """Rename arguments to the names that a tool uses, and remove arguments that MCP hosts add to every tool call.

    Args:
        arguments: The arguments under the names that the caller wrote.
        known: The names of the tool's arguments.
        kie_names: For each field name in KIE's API, the name of the tool's argument: `images` for `image_urls`.

    Returns:
        The arguments under the tool's names. Arguments with unknown names are unchanged. If a call has `image` and
        `image_url` with different values, `image_url` keeps its name.
    """
    given = {str(name).strip(): value for name, value in arguments.items()}
    renamed = {name: value for name, value in given.items() if name in known}
    for name, value in given.items():
        if name in renamed or name in HOST_ARGUMENTS:
            continue
        meant = find_meant(name, known, kie_names, value)
        if says_nothing(renamed.get(meant)):
            renamed[meant] = value
        elif renamed[meant] != value:
            renamed[name] = value
    return renamed


def sort_by_likeness(names: Iterable[str], wanted: str) -> list[str]:
    """Return the names of arguments, sorted by their similarity to the name `wanted`; the most similar comes first."""
    plain = _plain(wanted)

    def likeness(name: str) -> float:
        is_near = plain in NEAR_NAMES.get(name, ()) or plain in RELATED_NAMES.get(name, ())
        return is_near + difflib.SequenceMatcher(None, plain, name).ratio()

    return sorted(names, key=likeness, reverse=True)


def find_meant(name: str, known: Collection[str], kie_names: Names | None = None, value: Any = None) -> str:
    """Return the known argument that `name` means, if exactly one argument fits; otherwise return `name` unchanged.

    Args:
        name: The name that the caller wrote.
        known: The names of the tool's arguments.
        kie_names: For each field name in KIE's API, the name of the tool's argument.
        value: The value of the argument; `size` means `resolution` or `aspect_ratio`, depending on the value.
    """
    plain = _plain(name)
    if plain in known:
        return plain
    if plain in SIZE_NAMES and isinstance(value, str):
        words = (value, *CHOICE_WORDS.get(" ".join(value.casefold().split()), ()))
        if "resolution" in known and any(map(RESOLUTION.fullmatch, words)):
            return "resolution"
        if "aspect_ratio" in known and SHAPE.fullmatch(value):
            return "aspect_ratio"
    if kie_names and plain in kie_names:
        return kie_names[plain]
    meant = [each for each in known if plain in NEAR_NAMES.get(each, ())]
    if len(meant) > 1:
        # Several arguments fit. A plural name means a list: `input_images` means `images`, not `image`. If this rule
        # leaves no argument or several, the given name must contain the argument's name: `task_ids` means `task_id`,
        # not `track`.
        alike = [each for each in meant if each.endswith("s") == plain.endswith("s")]
        meant = alike if len(alike) == 1 else [each for each in meant if each in plain]
    return meant[0] if len(meant) == 1 else name


def says_nothing(value: Any) -> bool:
    """Tell whether a value is empty or a text such as "null"."""
    return is_empty(value) or (isinstance(value, str) and value.strip().casefold() in PLACEHOLDERS)


def _plain(name: str) -> str:
    return snake_case(name.strip()).replace("-", "_").replace(" ", "_")


def names_at_kie(models: Iterable[type[BaseModel]]) -> dict[str, str]:
    """Map KIE's field names, in snake case, to the names of arguments, such as `image_urls` to `images`.

    A field name that means different arguments in different models is left out.
    """
    meanings: dict[str, set[str]] = {}
    for model in models:
        for name, field in model.model_fields.items():
            meanings.setdefault(snake_case(field.serialization_alias or name), set()).add(field.alias or name)
    return {kie_name: names.pop() for kie_name, names in meanings.items() if len(names) == 1}
