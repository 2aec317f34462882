"""Which tasks a task was made from, as its arguments tell."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

OURS = re.compile(r"(?:^|[:-])(t_[a-z2-9]{12})(?:#[\w-]+|-\d+(?:-\d+)?\.\w+)?$")
"""An id of ours as references carry it: `task:<id>#<n>`, the id alone, the name of a saved file."""
NAMED = re.compile(r"(?:task:)?(?P<id>[\w-]{8,100})(?:#[\w-]+)?", re.ASCII)
TASK_FIELD = re.compile(r"task(_?id)?$", re.IGNORECASE)
"""What fields are called that hold a task's id, by us and by KIE."""


def sources(arguments: Mapping[str, Any]) -> list[str]:
    """The ids, ours and KIE's, of the tasks that arguments refer to, each once."""
    return list(dict.fromkeys(_found(arguments)))


def _found(arguments: Mapping[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        for text in _texts(value):
            if match := OURS.search(text):
                yield match[1]
            elif (match := NAMED.fullmatch(text)) and (text.startswith("task:") or TASK_FIELD.search(name)):
                yield match["id"]


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for each in value.values():
                yield from _texts(each)
        case Iterable():
            for each in value:
                yield from _texts(each)


def marks(id_: str) -> tuple[str, ...]:
    """What arguments, as JSON, contain one of when they refer to the task with this id."""
    return *(f'"{begin}{id_}{end}' for begin in ("", "task:") for end in ('"', "#")), f"-{id_}-"
