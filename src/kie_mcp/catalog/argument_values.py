"""Convert the values of arguments to the types in the JSON Schema: `"5 s" -> 5`, `"yes" -> True`."""

import json
import re
from collections.abc import Iterator, Mapping
from math import gcd, isfinite
from typing import Any

from kie_mcp.catalog.reference_spellings import HAS_SCHEME, split_references
from kie_mcp.catalog.spellings import AUTOMATIC, CHOICE_WORDS, PLACEHOLDERS, SWITCH_WORDS
from kie_mcp.text import is_blank

Schema = Mapping[str, Any]

SECONDS = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*(?:s|secs?|seconds?)", re.IGNORECASE)
RATIO = re.compile(r"(\d+)\s*[x×*/:：]\s*(\d+)")
"""Matches an aspect ratio or the size of a picture, such as 16:9, 16x9 or 1920x1080."""
FILE = re.compile(r"[^\n]*\.(?:3gp|[a-z][a-z0-9]{1,4})(?:\?\S*)?[\"'`>]?", re.IGNORECASE)
PROSE = {"type": "string", "contentMediaType": "text/plain"}
"""JSON Schema of a text in a list of texts, such as prompts: its commas and line breaks are a part of it."""
TOKEN = re.compile(r"[\w.:#-]+(?:/[\w.:#-]+)*")


def read_value(value: Any, schema: Schema) -> Any:
    """Convert a value to the type and spelling in its schema; if it cannot be converted, return it as it is.

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


def is_empty(value: Any) -> bool:
    """Tell whether a value is None, an empty list or object, or a text with nothing that can be seen."""
    return value in (None, [], {}) or (isinstance(value, str) and is_blank(value))


def is_placeholder(value: Any, schema: Schema) -> bool:
    """Tell whether a value is a text for "not given", such as "null".

    If the `enum` in the schema allows this text, the text is a normal value.
    """
    return isinstance(value, str) and value.strip().casefold() in PLACEHOLDERS and value not in schema.get("enum", ())


def leaves_shape_open(name: str, value: Any, schema: Schema) -> bool:
    """Tell whether an argument is an `aspect_ratio` such as "auto" that a model does not have among its choices.

    A call without `aspect_ratio` means the same.

    Args:
        name: The name of the argument.
        value: Its value.
        schema: The JSON Schema of the model.
    """
    if name != "aspect_ratio" or not isinstance(value, str) or value.strip().casefold() not in AUTOMATIC:
        return False
    field = schema["properties"].get(name, {})
    return "enum" in field and read_value(value, field) not in field["enum"]


def read_shape(text: str) -> str:
    """Return the aspect ratio that a text means: 16:9 for `16x9`, `1920x1080` and `landscape`; else the text itself."""
    return next((each for each in _spellings(text) if re.fullmatch(r"\d{1,2}:\d{1,2}", each)), text)


def parse_json(text: str) -> Any:
    """Parse a JSON text, such as `"[1, 2]" -> [1, 2]`; return a text that is not JSON unchanged.

    A text with an infinite number, such as `Infinity` or `1e400`, is unchanged, too: it cannot be sent to KIE.
    """
    try:
        return json.loads(text, parse_float=_parse_finite, parse_constant=_parse_finite)
    except (ValueError, RecursionError):
        return text


def _parse_finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def _read_switch(value: Any) -> Any:
    if isinstance(value, str):
        word = value.strip().casefold()
        return SWITCH_WORDS.get(word, None if word == "null" else value)
    # The number 1 is not converted to True here. As a result, options that may cost money, such as `anyway`, refuse the
    # number 1. All other Boolean fields accept 1 as True.
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
    """Return the allowed value that a caller means, in the schema's spelling: `"4k" -> "4K"`, `720 -> "720p"`."""
    if not choices or value in choices or not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    by_text = {str(choice).casefold(): choice for choice in choices}
    return next((by_text[each] for each in _spellings(str(value)) if each in by_text), value)


def _spellings(text: str) -> Iterator[str]:
    """Generate spellings of a text in lower case, the most likely spelling first; "1920x1080" also gives "16:9"."""
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
    """Convert a list, a single item, a JSON text or a text such as "a.png, b.png" to a list.

    Each item is converted to the type in `items`, the JSON Schema of an item.
    """
    if items == PROSE:
        return _read_texts(value)
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


def _read_texts(value: Any) -> Any:
    """Convert a list of prompts, or a single one, to a list; of texts, only a JSON list of texts is taken apart."""
    many = value if isinstance(value, list | tuple) else [value]
    texts = [text for each in many for text in _unpack_texts(each)]
    return [text for text in texts if not is_placeholder(text, PROSE)]


def _unpack_texts(item: Any) -> list[Any]:
    read = parse_json(item) if isinstance(item, str) and item.lstrip().startswith("[") else item
    return read if isinstance(read, list) and all(isinstance(each, str) for each in read) else [item]


def _unpack(item: Any, kind: str) -> list[Any]:
    """Split an item that is a text with several items: `"a.png, b.png" -> ["a.png", "b.png"]`; keep any other item."""
    if not isinstance(item, str):
        return [item]
    read = parse_json(item) if item.lstrip().startswith(("[", "{")) else item
    if isinstance(read, list):
        return read
    return [item] if kind == "object" or isinstance(read, dict) else _split(item)


def _split(text: str) -> list[str]:
    """Split a text that lists files, task ids or numbers; do not split a text that may be a sentence."""
    if HAS_SCHEME.search(text):
        return split_references(text) or [text]
    parts = [each.strip() for each in re.split(r"[,;\n]", text) if each.strip()]
    files = [bool(FILE.fullmatch(each)) for each in parts]
    tokens = [bool(TOKEN.fullmatch(each)) for each in parts]
    return parts if len(parts) > 1 and (all(files) or (all(tokens) and not any(files))) else [text]


def _read_object(value: Any, schema: Schema) -> Any:
    """Convert each field of an object to the type in its schema; leave out optional fields without a value.

    Some clients send all fields, with `null`, "null", "" or [] for each unused field.
    """
    read = parse_json(value) if isinstance(value, str) else value
    known, required = schema.get("properties"), schema.get("required", ())
    if not isinstance(read, dict) or not known:
        return read if isinstance(read, dict) else value
    return {
        name: read_value(each, known.get(name, {}))
        for name, each in read.items()
        if name in required or not (is_empty(each) or is_placeholder(each, known.get(name, {})))
    }
