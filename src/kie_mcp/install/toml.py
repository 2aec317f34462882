"""Change single values in TOML with the library tomlkit, which keeps the comments and the order."""

from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, InlineTable

from kie_mcp.install.jsonc import Path


def parse(text: str) -> Any:
    """Parse a text and return its tables.

    Raises:
        ValueError: When the text is not valid; the message has the line number.
    """
    return _read(text).unwrap()


def put(text: str, path: Path, value: Any) -> str:
    """Return a text with a new value at a path; tables that are missing on the path are added.

    Raises:
        ValueError: When the text is not valid, or a value on the path is no table.
    """
    document = _read(text)
    table: Any = document
    *way, last = path
    for place, key in enumerate(way):
        if key not in table:
            # A new table that only contains another table needs no header line: `[a.b]` creates `a`, too.
            table[key] = tomlkit.table(is_super_table=place < len(way) - 1 or isinstance(value, dict))
        table = table[key]
        if not isinstance(table, AbstractTable) and not hasattr(table, "items"):
            raise ValueError(f"{key} is no table")
    if isinstance(value, dict):
        value = _make_inline_table(value) if isinstance(table, InlineTable) else _make_table(value)
    table[last] = value
    return _write(document)


def remove(text: str, path: Path) -> str:
    """Return a text without the member at a path; if there is no such member, return the text unchanged.

    Raises:
        ValueError: When the text is damaged.
    """
    document = _read(text)
    table: Any = document
    *way, last = path
    for key in way:
        table = table.get(key, {})
    if last not in table:
        return text
    del table[last]
    return _write(document)


def _make_table(value: dict[str, Any]) -> AbstractTable:
    """Return a table with a header line; each table inside it is written on one line (an inline table)."""
    table = tomlkit.table()
    table.update({name: _make_inline_table(each) if isinstance(each, dict) else each for name, each in value.items()})
    return table


def _make_inline_table(value: dict[str, Any]) -> AbstractTable:
    table = tomlkit.inline_table()
    table.update(value)
    return table


def _read(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ValueError(str(error)) from None


def _write(document: tomlkit.TOMLDocument) -> str:
    return str(tomlkit.dumps(document))
