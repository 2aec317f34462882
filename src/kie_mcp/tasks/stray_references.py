"""Stray references: texts in a request that name a file or an earlier task, in fields that accept neither of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kie_mcp.catalog.argument_values import parse_json
from kie_mcp.catalog.reference_spellings import unwrap
from kie_mcp.errors import InvalidCall
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.media_inputs import abbreviate

REFERENCE = re.compile(r"task:[\w-]+(#[\w-]+)?|t_\w+#[\w-]+|kie://\S+|file:[\\/].+", re.IGNORECASE)
"""Matches a text that is only a reference such as `task:<id>`, which this server understands and KIE does not."""
SEPARATORS = (r"[,;\n]", r"[\s,;]+")
"""Separators in a list of references: the first pattern keeps paths with blanks whole, the second splits at blanks."""
QUOTES = "\"'`<> \n\t"
"""Characters that may surround a reference; they are removed from both ends of a text before it is checked."""


def refuse_stray_references(fields: Mapping[str, Any], folders: AllowedFolders) -> None:
    """Check that no text in a request is still a reference or the path of a local file, because KIE cannot open either.

    A text that only mentions a reference in a sentence is not refused.

    Args:
        fields: The fields of the request. The references in fields that accept files or tasks are replaced already.
        folders: Tells which texts are paths of local files.

    Raises:
        InvalidCall: When a text is a reference, or the path of a file that exists.
    """
    for place, text in _find_texts(fields):
        if _is_stray(text, folders):
            raise InvalidCall(
                f"{place}: {abbreviate(text)} is known only on this machine, and KIE does not say that this field "
                "takes a file.",
                "Nothing was sent. Give a URL that anybody can open, such as the one that upload_file returns.",
            )


def _is_stray(text: str, folders: AllowedFolders) -> bool:
    """Tell whether a text is a reference or the path of a file, or a list of such references and paths."""

    def is_one(part: str) -> bool:
        return any(REFERENCE.fullmatch(each) for each in unwrap(part)) or folders.find_file(part)

    ways = ([text], *(re.split(each, text.strip(QUOTES)) for each in SEPARATORS))
    return any(all(is_one(part.strip(QUOTES)) or is_one(part) for part in parts) for parts in ways)


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
