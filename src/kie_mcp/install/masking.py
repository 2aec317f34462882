"""Hide secrets in the text of a configuration; a diff of this text may also show the entries of other servers."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from kie_mcp.config import list_names, list_secret_names

MASK = "•••"
SECRET_FIELD = re.compile(r"env|header|auth|key|token|secret|passw|cookie|credential", re.IGNORECASE)
"""Matches the names of fields and command-line flags whose values must not be shown."""
SECRET_ARGUMENT = re.compile(
    r"((?:key|token|secret|passw\w*|auth)(?!_file)\w*=|Bearer\s+)[^\s\"'&,]+|(://[^/\s:@]*:)[^\s\"'/@]+(?=@)",
    re.IGNORECASE,
)
"""Matches secrets in the middle of a text, such as `--token=abc`, `?key=abc` or `https://user:abc@host`."""
SHOWN_OF_OTHERS = frozenset({"name", "type", "transport", "command", "cmd"})
"""The fields of other servers' entries that a diff may show; of a command line in one of them, only the program."""
SHOWN = list_names() - list_secret_names()
"""The names of kie-mcp's settings whose values are not secret."""


def find_secrets(*values: Any, others: Iterable[Any] = (), shown: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the texts in a configuration that may be secrets.

    The longest text comes first, so that a long text is hidden before a shorter text inside it.

    Args:
        values: Values of the configuration.
        others: The entries of other servers, of which only the fields in SHOWN_OF_OTHERS are no secrets.
        shown: What is no secret in kie-mcp's own entries, and so is none in other entries.
    """
    found = {secret for value in values for secret in _list_secrets(value, hidden=False)}
    for entry in others:
        for name, each in entry.items() if isinstance(entry, dict) else ():
            if name not in SHOWN_OF_OTHERS:
                found |= set(_list_secrets(each, hidden=True))
            elif isinstance(each, list):
                found |= set(_list_secrets(each[1:], hidden=True))
    found -= {*shown, "true", "false"}
    return tuple(sorted((secret for secret in found if len(secret) > 3), key=len, reverse=True))


def hide(text: str, secrets: tuple[str, ...]) -> str:
    """Replace the given secrets in a text, also if they are JSON-escaped, and replace whatever looks like a secret."""
    for secret in secrets:
        for spelling in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
            text = text.replace(spelling, MASK)
    return SECRET_ARGUMENT.sub(lambda found: f"{found[1] or found[2]}{MASK}", text)


def _list_secrets(value: Any, *, hidden: bool) -> Iterator[str]:
    match value:
        case dict():
            for name, each in value.items():
                if str(name).upper() not in SHOWN:
                    yield from _list_secrets(each, hidden=hidden or bool(SECRET_FIELD.search(str(name))))
        case list():
            for before, each in zip(["", *value], value, strict=False):
                # The argument after a flag such as --api-key is a secret.
                flag = isinstance(before, str) and before.startswith("-") and bool(SECRET_FIELD.search(before))
                yield from _list_secrets(each, hidden=hidden or flag)
        case str() if hidden:
            yield value
        case int() | float() if hidden and not isinstance(value, bool):
            yield str(value)
