"""Values of arguments: convert what clients and people write to the type in the JSON Schema, such as "5 s" to 5."""

import json
import re
from collections.abc import Iterator, Mapping
from math import gcd
from typing import Any

from kie_mcp.catalog.spellings import CHOICE_WORDS, PLACEHOLDERS, SWITCH_WORDS

Schema = Mapping[str, Any]

SECONDS = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*(?:s|secs?|seconds?)", re.IGNORECASE)
RATIO = re.compile(r"(\d+)\s*[x×*/:：]\s*(\d+)")
"""Pattern of an aspect ratio or a picture size: 16:9, 16x9, 1920x1080."""
STARTS = r"(?:https?://|data:|task:|kie://|file:)"
"""Pattern of the beginning of a web address, a data URI, or a reference to a task."""
FILE = re.compile(r"[^\n]*\.(?:3gp|[a-z][a-z0-9]{1,4})(?:\?\S*)?", re.IGNORECASE)
TOKEN = re.compile(r"[\w.:#-]+(?:/[\w.:#-]+)*")


def read_value(value: Any, schema: Schema) -> Any:
    """Convert a value to the type and spelling in its schema; return it unchanged if that is not possible.

    Args:
        value: The value as the client sent it.
        schema: The JSON Schema of the argument, without `$ref`.
    """
    kind = schema.get("type")
    if kind in ("string", "integer", "number", "boolean") and isinstance(value, list) and len(value) == 1:
        (value,) = value
    match kind:
        case "boolean":
            return _read_switch(value)
        case "integer" | "number":
            return _read_number(value, schema)
        case "array":
            return _read_list(value, schema.get("items", {}))
        case "object":
            return _read_object(value, schema)
        case _:
            return _read_choice(value, schema.get("enum", ()))


def is_placeholder(value: Any, schema: Schema) -> bool:
    """Tell whether a value is a text that stands for "not given", such as `null`, and is no choice of the argument."""
    return isinstance(value, str) and value.strip().casefold() in PLACEHOLDERS and value not in schema.get("enum", ())


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, such as the list for "[1, 2]"; return the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read_switch(value: Any) -> Any:
    if isinstance(value, str):
        word = value.strip().casefold()
        return SWITCH_WORDS.get(word, None if word == "null" else value)
    # A 1 is not changed, because the field decides whether it means true. Options such as `anyway` refuse 1.
    return False if value == 0 else value


def _read_number(value: Any, schema: Schema) -> Any:
    if isinstance(value, str):
        match = SECONDS.fullmatch(value.strip())
        read = parse_json(match[1].lstrip("+") if match else value)
        value = value if isinstance(read, list | dict | bool) else read
    whole = isinstance(value, float) and value.is_integer() and schema["type"] == "integer"
    value = int(value) if whole else value
    return _read_choice(value, schema.get("enum", ())) if isinstance(value, str) else value


def _read_choice(value: Any, choices: Any) -> Any:
    """Return the choice that a value means, in the schema's spelling: 4K for 4k, 720p for 720."""
    if not choices or value in choices or not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    by_text = {str(choice).casefold(): choice for choice in choices}
    return next((by_text[each] for each in _spellings(str(value)) if each in by_text), value)


def _spellings(text: str) -> Iterator[str]:
    """Generate the choices, in lower case, that a text may mean, the likeliest first: 720 and 720p for 720."""
    word = " ".join(text.casefold().split())
    yield word
    yield f"{word}p"
    if match := RATIO.fullmatch(word):
        width, height = int(match[1]), int(match[2])
        yield f"{width}:{height}"
        if divisor := gcd(width, height):
            word = f"{width // divisor}:{height // divisor}"
            yield word
    yield from (each.casefold() for each in CHOICE_WORDS.get(word, ()))


def _read_list(value: Any, items: Schema) -> Any:
    """Return a list for a list, a single value, a JSON text, or a text with items between commas or line breaks."""
    if isinstance(value, str):
        read = parse_json(value)
        value = read if isinstance(read, list | dict) or read is None else [value]
    if value is None:
        return None
    kind = items.get("type", "string")
    many = value if isinstance(value, list | tuple) else [value]
    if kind != "array":
        many = [part for each in many for part in _unpack(each, kind)]
    return [
        read
        for read in (read_value(each, items) for each in many)
        if kind != "string" or not is_placeholder(read, items)
    ]


def _unpack(item: Any, kind: str) -> list[Any]:
    """Return the items in one item of a list: two items for the text "a.png, b.png", one for "a.png"."""
    if not isinstance(item, str):
        return [item]
    read = parse_json(item) if item.lstrip().startswith("[") else item
    if isinstance(read, list):
        return read
    return [item] if kind == "object" else _split(item)


def _split(text: str) -> list[str]:
    """Split a text that lists files, references, ids or numbers; a comma inside one of them does not split the text."""
    if re.search(STARTS, text):
        # Web addresses and data URIs may contain commas, and data URIs may contain line breaks. So the text is split
        # only before the beginning of the next address.
        parts = re.split(rf"[\s,;]+(?={STARTS})", text.strip().strip(",;"))
        return [each.strip(" ,;\n\r\t") for each in parts] if len(parts) > 1 else [text]
    parts = [each.strip() for each in re.split(r"[,;\n]", text) if each.strip()]
    files = [bool(FILE.fullmatch(each)) for each in parts]
    tokens = [bool(TOKEN.fullmatch(each)) for each in parts]
    return parts if len(parts) > 1 and (all(files) or (all(tokens) and not any(files))) else [text]


def _read_object(value: Any, schema: Schema) -> Any:
    """Convert each field of an object by its own schema; leave out optional fields that stand for "not given"."""
    read = parse_json(value) if isinstance(value, str) else value
    known, required = schema.get("properties"), schema.get("required", ())
    if not isinstance(read, dict) or not known:
        return read if isinstance(read, dict) else value
    return {
        name: read_value(each, known.get(name, {}))
        for name, each in read.items()
        if name in required or not is_placeholder(each, known.get(name, {}))
    }
