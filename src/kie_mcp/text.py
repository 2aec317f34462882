"""Make a text fit for an answer: visible, on one line, and not too long."""

import json
import re
from collections.abc import Mapping
from typing import Any

# Characters that show nothing, or change how the text around them is shown: controls (ESC, C1), marks and overrides of
# direction, zero-width characters, fillers, tags, lone surrogates and noncharacters. Each line is a range of classes.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\ufdd0-\ufdef\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_JOINERS = "\u200c\u200d"
_SELECTORS = "\ufe00-\ufe0f"
_FLAG = (
    "\U0001f3f4(?:"
    + "|".join("".join(chr(0xE0000 + ord(each)) for each in name) for name in ("gbeng", "gbsct", "gbwls"))
    + ")\U000e007f"
)
_IDEOGRAPHS = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Persian words and emoji such as families need joiners; emoji, keycaps and some names in Japanese need selectors. Each
# is kept only where it has this use, because a row of them can carry a hidden message.
_UNSEEN_OR_KEPT = re.compile(
    rf"(?P<kept>{_FLAG}"
    rf"|(?<=[^\x00-\x7f\s{_UNSEEN}{_JOINERS}])[{_JOINERS}](?=[^\x00-\x7f\s{_UNSEEN}{_JOINERS}{_SELECTORS}])"
    rf"|(?<=[^\x00-\x7f\s{_UNSEEN}{_JOINERS}{_SELECTORS}])[{_SELECTORS}]|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    rf"|(?<=[{_IDEOGRAPHS}])[\U000e0100-\U000e01ef])"
    rf"|[{_UNSEEN}{_JOINERS}{_SELECTORS}]"
)
_LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
PATH_FIELDS = frozenset({"path", "resource"})
"""Names of fields with paths, which are told as they are, so that they can be opened."""


def make_visible(text: str) -> str:
    """Return a text with a space in place of each character that shows nothing or hides others; lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN_OR_KEPT.sub(lambda found: found["kept"] or " ", _LINE_BREAK.sub("\n", text))


def make_all_visible(value: Any) -> Any:
    """Return a copy of a JSON value with all its texts visible, except paths."""
    match value:
        case str():
            return make_visible(value)
        case Mapping():
            return {
                make_visible(name): each if name in PATH_FIELDS else make_all_visible(each)
                for name, each in value.items()
            }
        case list() | tuple():
            return [make_all_visible(each) for each in value]
        case _:
            return value


def escape_unseen(json_text: str) -> str:
    r"""Return a JSON text with escapes, such as `\u202e`, in place of characters that show nothing or hide others."""
    return _UNSEEN_OR_KEPT.sub(lambda found: found["kept"] or _escape(found[0]), json_text)


def _escape(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def quote_words(words: str) -> str:
    """Return words of KIE in quotation marks, which nothing inside ends."""
    return '"' + words.replace('"', "'") + '"'


def one_line(text: object, most: int | None = None) -> str:
    """Return a text visible, on one line, and cut off after `most` characters.

    Texts from KIE and from users are joined, because a line of their own could look like a line that kie-mcp wrote.

    Args:
        text: The text; None counts as empty.
        most: Largest number of characters; None for no limit.
    """
    return " ".join(make_visible(str(text or "")).split())[:most]


def shorten(text: str, most: int) -> str:
    """Cut a text to `most` characters, of which the last is then `…`; return a text that is not longer unchanged."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
