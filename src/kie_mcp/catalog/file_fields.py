"""Find the files in a call of a dynamic model, by the schema, the name and the value of each field."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kie_mcp.catalog.fields import AnyFile, Audio, Image, MediaRef, Video, snake_case
from kie_mcp.catalog.reference_spellings import find_in_block, unwrap

Schema = Mapping[str, Any]

FILE_FIELD = re.compile(r"(^|_)(urls?|uris?|images?|videos?|audios?|masks?|frames?|(image|video|audio)_input)(_\d+)?$")
"""Matches the names of fields that take a file. KIE's schemas often do not say that a field takes a file."""
PERHAPS_A_FILE_FIELD = re.compile(
    r"(^|_)(avatar|background|clip|cover|driving|face|file|footage|garment|img|input|logo|media|movie|music|path|photo"
    r"|picture|portrait|poster|product|reference|sample|song|sound|source|style|thumbnail|track)s?(_\d+)?$"
)
"""Matches the names of fields that take a file or a word, such as `style`; only the value shows which of the two."""
NOT_A_FILE_FIELD = re.compile(r"call_?back|webhook|notify")
"""Matches the names of fields that take a URL but no file, such as `callBackUrl`."""
LOCAL_NAME = re.compile(
    r"task:[\w-]+(\#[\w-]+)? | t_\w+\#[\w-]+"
    r"| (kie://|file:|data:(image|video|audio)/).+ | (~|\.{0,2}|[a-z]:)[\\/](?![\\/]).+"
    r"| [^\s:]+\.(png|jpe?g|webp|gif|bmp|tiff?|heic|avif|mp4|m4v|mov|webm|mkv|avi|mp3|wav|ogg|flac|m4a|aac|opus)",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""Matches a reference to a file that KIE itself cannot open: `task:<id>#<n>`, a `kie://` URI, a path or a data URI."""
MEDIUM_PATTERNS: tuple[tuple[re.Pattern[str], type[MediaRef]], ...] = (
    (re.compile(r"video|clip|movie|footage"), Video),
    (re.compile(r"audio|voice|sound|song|music"), Audio),
)
"""Patterns that match the names of file fields for video or audio."""
JSON_TYPES = {str: "string", int: "integer", float: "number"}


def with_files(value: Any, schema: Schema, name: str) -> Any:
    """Return a value in which each text that names a file, at any depth, is replaced by a `MediaRef`.

    Args:
        value: The value of a field.
        schema: The field's schema from `merge_alternatives()`; empty if there is none.
        name: The field's name at KIE.
    """
    if isinstance(value, list):
        first = schema.get("prefixItems", ())
        items = [*first, *[schema.get("items", {})] * (len(value) - len(first))]
        return [with_files(each, item, name) for each, item in zip(value, items, strict=False)]
    if isinstance(value, Mapping) and _media_type(schema, name) and (found := find_in_block(value)):
        value = found
    if isinstance(value, Mapping):
        inner, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
        return {key: with_files(each, inner.get(key, others), str(key)) for key, each in value.items()}
    medium = (_media_type(schema, name) or _media_type_for(value, schema, name)) if isinstance(value, str) else None
    return medium(value.strip()) if medium else value


def has_file(field: Schema, name: str) -> bool:
    """Tell whether a field takes a file, or contains, at any depth, a field that takes a file."""
    inner: Iterator[tuple[str, Schema]] = iter(field.get("properties", {}).items())
    return (
        _media_type(field, name) is not None
        or ("items" in field and has_file(field["items"], name))
        or any(has_file(each, key) for key, each in inner)
    )


def json_type(field: Schema) -> str:
    """Return the JSON type of a field; empty if the field has no type or several types. The type null is ignored."""
    types = _json_types(field)
    return types[0] if len(types) == 1 else ""


def _json_types(field: Schema) -> list[str]:
    kinds = field.get("type")
    types = [each for each in (kinds if isinstance(kinds, list) else [kinds]) if each not in (None, "null")]
    return types or [JSON_TYPES.get(each, "") for each in {type(each) for each in field.get("enum", ())} - {type(None)}]


def _media_type(field: Schema, name: str) -> type[MediaRef] | None:
    """Return the class of a field's files if the field takes only files; None for any other field."""
    types = set(_json_types(field))
    if not _accepts_file_names(field, name) or not ("string" in types or not types):
        return None
    is_named = bool(FILE_FIELD.search(snake_case(name))) and bool(types) and types <= {"string", "array"}
    return _medium(name, Image) if is_named or field.get("format") == "uri" else None


def _media_type_for(text: str, field: Schema, name: str) -> type[MediaRef] | None:
    """Return the class of the file that a text names; for fields whose schema does not say that they take files.

    The result is None if the text does not match `LOCAL_NAME`, or if the field's name does not suggest a file.
    """
    plain = snake_case(name)
    if not any(LOCAL_NAME.fullmatch(each) for each in unwrap(text)) or not _accepts_file_names(field, name):
        return None
    if FILE_FIELD.search(plain) or PERHAPS_A_FILE_FIELD.search(plain):
        return _medium(name, Image if re.search("image|mask|frame", plain) else AnyFile)
    return None


def _accepts_file_names(field: Schema, name: str) -> bool:
    """Tell whether a field may take a file's name: it has no `enum`, and it is no field for a callback URL."""
    return not any(each is not None for each in field.get("enum", ())) and not NOT_A_FILE_FIELD.search(snake_case(name))


def _medium(name: str, default: type[MediaRef]) -> type[MediaRef]:
    return next((medium for words, medium in MEDIUM_PATTERNS if words.search(snake_case(name))), default)
