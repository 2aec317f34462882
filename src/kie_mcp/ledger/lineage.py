"""Lineage: find the earlier tasks whose results a task uses, by the ids in the task's arguments."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from kie_mcp.ledger.task import TASK_ID

OUR_ID = re.compile(rf"(?:^|[:-])({TASK_ID})(?:#[\w-]+|-\d+(?:-\d+)?\.\w+)?$")
"""Matches a text that ends with a reference to a task: `<id>`, `task:<id>#<n>`, or a saved file `…-<id>-1.png`."""
ANY_ID = re.compile(r"(?:task:)?(?P<id>[\w-]{8,100})(?:#[\w-]+)?", re.ASCII)
"""Pattern for `fullmatch()`: a possible id of a task, as `<id>`, `task:<id>`, `<id>#<n>` or `task:<id>#<n>`."""
FILE_NAME = re.compile(r"[^\n]\.\w{2,5}\Z")
"""Matches a text of one line that ends with a file's extension."""
TASK_FIELD = re.compile(r"task(_?id)?$", re.IGNORECASE)
"""Matches the names of arguments that contain the id of a task, such as `task_id`."""


def referenced_ids(arguments: Mapping[str, Any]) -> list[str]:
    """Return the ids (the ledger's or KIE's) of all tasks that these arguments name; each id is returned once."""
    return list(dict.fromkeys(_find_ids(arguments)))


def named_files(arguments: Mapping[str, Any]) -> list[str]:
    """Return the paths of files in a task's arguments, except results of earlier tasks; each path occurs only once."""
    texts = (text for value in arguments.values() for text in _texts(value))
    paths = (text for text in texts if PurePath(text).is_absolute() and FILE_NAME.search(text))
    return list(dict.fromkeys(path for path in paths if not OUR_ID.search(path)))


def _find_ids(arguments: Mapping[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        for text in _texts(value):
            if match := OUR_ID.search(text):
                yield match[1]
            elif (match := ANY_ID.fullmatch(text)) and (text.startswith("task:") or TASK_FIELD.search(name)):
                yield match["id"]


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a value, at any depth."""
    match value:
        case str():
            yield value
        case Mapping():
            for each in value.values():
                yield from _texts(each)
        case Iterable():
            for each in value:
                yield from _texts(each)
