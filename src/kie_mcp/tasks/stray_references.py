"""Stray references: texts in a request that name a file or an earlier task, in fields that accept neither of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kie_mcp.catalog.argument_values import parse_json
from kie_mcp.catalog.fields import snake_case
from kie_mcp.catalog.reference_spellings import unwrap
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import TASK_ID
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.media_inputs import abbreviate
from kie_mcp.tasks.public_urls import check_public

REFERENCE = re.compile(
    r"task:[\w-]+(#[\w-]+)?|t_\w+#[\w-]+|kie://\S+|file:([\\/].+|\S+\.\w{2,12})"
    r"|data:(image|video|audio|application)/[\w.+-]+[;,](?s:.*)"
    r"|(~|[a-z]:|\\|\$\{?HOME\}?|%USERPROFILE%|/(home|Users|Volumes|mnt|private|root|tmp|var))[\\/].*\.\w{2,12}"
    r"|[\\/]\S+\.(png|jpe?g|webp|gif|heic|mp4|mov|webm|mp3|wav|m4a)",
    re.IGNORECASE,
)
"""Matches a text that is only a reference such as `task:<id>`, a data URI, or the full path of a file.

This server understands it, and KIE does not. Whether there is a file at the path does not matter, so the answer does
not reveal that.
"""
OWN_TASK = re.compile(rf"task:[\w-]+(#[\w-]+)?|{TASK_ID}(#[\w-]+)?|kie://tasks/\S+", re.IGNORECASE)
"""Matches a name of a task of this server; without `task:`, it may be a word of the caller's, except where ids go."""
ID_FIELD = re.compile(r"(^|_|\.)ids?(_|\.|$)")
"""Matches the place of a text, in snake case, if the field's name says that it takes ids: `character_id_list.0`."""
_URL = re.compile(r"https?://[^\s@]+", re.IGNORECASE)
SEPARATORS = (r"[,;\n]", r"[\s,;]+")
"""Separators in a list of references: the first pattern keeps paths with blanks whole, the second splits at blanks."""
QUOTES = "\"'`<> \n\t"
"""Characters that may surround a reference; they are removed from both ends of a text before it is checked."""


def refuse_stray_references(fields: Mapping[str, Any], folders: AllowedFolders, own: Sequence[str] = ()) -> None:
    """Check that no text in a request is still a reference or the path of a local file, because KIE cannot open either.

    A text that only mentions a reference in a sentence is not refused.

    Args:
        fields: The fields of the request. The references in fields that accept files or tasks are replaced already.
        folders: Tells which texts are paths of local files.
        own: The base URLs of KIE or of its sandbox; KIE can open all URLs that begin with one of them.

    Raises:
        InvalidCall: When a text is a reference, the full path of a file, another path of a file that exists, or a URL
            of this machine or its network.
    """
    for place, text in _find_texts(fields):
        takes_id = bool(ID_FIELD.search(snake_case(place)))
        if takes_id and OWN_TASK.fullmatch(text.strip(QUOTES)):
            raise InvalidCall(
                f"{place}: {abbreviate(text)} names a task of this server, and KIE wants an id of its own here.",
                "Nothing was sent. Give KIE's id, such as the one that the text of the task shows.",
            )
        if _is_stray(text, folders, own):
            raise InvalidCall(
                f"{place}: {abbreviate(text)} is known only on this machine, and KIE does not say that this field "
                "takes a file.",
                "Nothing was sent. Give a URL that anybody can open, such as the one that upload_file returns.",
            )


def _is_stray(text: str, folders: AllowedFolders, own: Sequence[str]) -> bool:
    """Tell whether a text is a reference or the path of a file, or a list of these, among which URLs may be."""

    def is_one(part: str) -> bool:
        layers = list(unwrap(part))
        return any(REFERENCE.fullmatch(each) or _is_private_url(each, own) for each in layers) or folders.find_file(
            part
        )

    ways = ([text], *(re.split(each, text.strip(QUOTES)) for each in SEPARATORS))
    for parts in ways:
        others = [part for part in parts if not _URL.fullmatch(part.strip(QUOTES))] or parts
        if all(is_one(part.strip(QUOTES)) or is_one(part) for part in others):
            return True
    return False


def _is_private_url(text: str, own: Sequence[str]) -> bool:
    """Tell whether a text is a URL that only this machine or its network can open."""
    if not _URL.fullmatch(text):
        return False
    try:
        check_public(text, text, own)
    except InvalidCall:
        return True
    except ValueError:
        # The text is no valid URL.
        return False
    return False


def _find_texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in a value with its place, such as `shots.0.name`; JSON in a text is parsed and searched, too."""
    if isinstance(value, str):
        value = value.strip()
        read = parse_json(value) if value.startswith(("[", "{", '"')) else value
        if isinstance(read, str):
            yield place, read
            return
        value = read
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, part in parts:
        yield from _find_texts(part, f"{place}.{name}" if place else str(name))
