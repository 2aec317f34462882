"""Names of arguments: which argument of a tool is meant by the name that a caller wrote."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from kie_mcp.catalog.fields import snake_case
from kie_mcp.catalog.spellings import HOST_ARGUMENTS, NEAR_NAMES, PLACEHOLDERS

Names = Mapping[str, str]


def rename_arguments(
    arguments: Mapping[str, Any], known: Collection[str], kie_names: Names | None = None
) -> dict[str, Any]:
    """Give arguments the names that a tool has for them, and leave out what hosts add to every call.

    Args:
        arguments: The arguments under the names that the caller wrote.
        known: The names of the tool's arguments.
        kie_names: The tool's name for each of KIE's names, in snake case.

    Returns:
        The arguments. A name that is not understood stays, and so does one whose meaning is
        given under its own name with another value.
    """
    given = {str(name).strip(): value for name, value in arguments.items()}
    renamed = {name: value for name, value in given.items() if name in known}
    for name, value in given.items():
        if name in renamed or name in HOST_ARGUMENTS:
            continue
        meant = find_meant(name, known, kie_names)
        if _says_nothing(renamed.get(meant)):
            renamed[meant] = value
        elif renamed[meant] != value:
            renamed[name] = value
    return renamed


def sort_by_likeness(names: Iterable[str], wanted: str) -> list[str]:
    """Sort the names of arguments; the one that is nearest to a wanted name comes first."""
    plain = _plain(wanted)

    def likeness(name: str) -> float:
        return (plain in NEAR_NAMES.get(name, ())) + difflib.SequenceMatcher(None, plain, name).ratio()

    return sorted(names, key=likeness, reverse=True)


def find_meant(name: str, known: Collection[str], kie_names: Names | None = None) -> str:
    """Return the name of the argument that is meant; the name itself if this is not clear."""
    plain = _plain(name)
    if plain in known:
        return plain
    if kie_names and plain in kie_names:
        return kie_names[plain]
    meant = [each for each in known if plain in NEAR_NAMES.get(each, ())]
    if len(meant) > 1:
        # Of image and images, a plural means the list; of task_id and track, task_ids means the first.
        alike = [each for each in meant if each.endswith("s") == plain.endswith("s")]
        meant = alike if len(alike) == 1 else [each for each in meant if each in plain]
    return meant[0] if len(meant) == 1 else name


def _says_nothing(value: Any) -> bool:
    return value in (None, [], {}) or (isinstance(value, str) and value.strip().casefold() in {"", *PLACEHOLDERS})


def _plain(name: str) -> str:
    return snake_case(name.strip()).replace("-", "_").replace(" ", "_")
