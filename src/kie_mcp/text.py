"""Make a text suitable for an answer: without invisible characters, on one line, and not too long."""

import json
import re
from collections.abc import Mapping
from typing import Any

# The following constants list characters that are invisible or change how the text around them is shown. The characters
# of `_BLANKS` may separate words, so each of them is replaced by a space: control characters (ESC, C1), fillers, lone
# surrogates and noncharacters.
_BLANKS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u115f\u1160\u2028\u2029\u3164\uffa0\ud800-\udfff\ufdd0-\ufdef\ufff0-\ufff8\ufffc"
    "\ufffe\uffff"
)
# Joiners and selectors are invisible characters that change the shape of the characters next to them.
_JOINERS = "\u200c\u200d"
_SELECTORS = "\ufe00-\ufe0f"
# The characters of `_ZERO_WIDTH` may be inside a word, so they are removed without a space: soft hyphens, zero-width
# characters, direction marks and overrides, tags and invisible signs for music.
_ZERO_WIDTH = (
    "\xad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_HIDDEN = f"{_BLANKS}{_ZERO_WIDTH}{_JOINERS}{_SELECTORS}"
_FLAG = (
    "\U0001f3f4(?:"
    + "|".join("".join(chr(0xE0000 + ord(each)) for each in name) for name in ("gbeng", "gbsct", "gbwls"))
    + ")\U000e007f"
)
_IDEOGRAPHS = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SHAPED = "\u0620-\u08ff\u0900-\u0dff\u1820-\u18aa\ufb50-\ufdcf\ufe70-\ufefc"
"""Letters whose shape depends on a joiner even at the end of a word: scripts from Arabic to Sinhala, and Mongolian."""
_MONGOLIAN = "\u1820-\u18aa"
_WITHOUT_SPACES = "\u0e01-\u0edf\u1000-\u109f\u1780-\u17b3\u17b6-\u17f9\u1950-\u19df\u1a20-\u1aad"
"""Letters of Thai, Lao, Burmese, Khmer and Tai scripts, in which a zero-width space marks the end of a word."""
# Patterns of the places in which an invisible character is kept, because the writing needs it: joiners in Persian words
# and in emoji of families, selectors in keycaps and in some Japanese names. In other places, such characters could hide
# a message.
_KEPT = "|".join(
    (
        _FLAG,
        rf"(?<=[^\x00-\x7f\s{_HIDDEN}])[{_JOINERS}](?=[^\x00-\x7f\s{_HIDDEN}])",
        rf"(?<=[{_SHAPED}])[{_JOINERS}](?![{_HIDDEN}])",
        rf"(?<![{_HIDDEN}])[{_JOINERS}](?=[{_SHAPED}])",
        # A zero-width joiner is also kept after an emoji that has a variation selector.
        rf"(?<=[^\x00-\x7f\s{_HIDDEN}]\ufe0f)\u200d(?=[^\x00-\x7f\s{_HIDDEN}])",
        rf"(?<=[^\x00-\x7f\s{_HIDDEN}])[{_SELECTORS}]",
        r"(?<=[0-9#*])\ufe0f(?=\u20e3)",
        rf"(?<=[{_IDEOGRAPHS}])[\U000e0100-\U000e01ef]",
        rf"(?<=[{_MONGOLIAN}])(?:[\u180b-\u180d\u180f]\u180e?|\u180e)",
        rf"(?<=[{_WITHOUT_SPACES}])\u200b(?=[{_WITHOUT_SPACES}])",
    )
)
# The lookahead makes the search fast, because most characters do not match it. U+1F3F4 begins some emoji of flags.
_UNSEEN_OR_KEPT = re.compile(f"(?=[{_HIDDEN}\U0001f3f4])(?:(?P<kept>{_KEPT})|(?P<blank>[{_BLANKS}])|[{_HIDDEN}])")
_SEEN = re.compile(rf"[^\s{_HIDDEN}]")
_LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
LONGEST_GIVEN = 60
"""Maximum number of characters of a wrong name or value that a message repeats; KIE's longest model id has about 45."""
PATH_FIELDS = frozenset({"path", "resource"})
"""Names of fields that contain paths; paths stay unchanged, so that the files can be opened."""


def make_visible(text: str) -> str:
    """Remove from a text all characters that are invisible or hide other characters; keep line breaks.

    Control characters are replaced by a space. Zero-width characters are removed without a space, so that words stay
    whole.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN_OR_KEPT.sub(lambda found: found["kept"] or " " * bool(found["blank"]), _LINE_BREAK.sub("\n", text))


def is_blank(text: str) -> bool:
    """Tell whether a text has nothing but spaces, line breaks and invisible characters."""
    return not _SEEN.search(text)


def make_all_visible(value: Any) -> Any:
    """Return a copy of a JSON value, with invisible characters removed from all its texts except paths."""
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


def write_json(value: Any) -> str:
    """Write a JSON value as text, with invisible characters as escapes; who parses it gets every text unchanged."""
    return escape_unseen(json.dumps(value, ensure_ascii=False))


def escape_unseen(json_text: str) -> str:
    r"""In a JSON text, write characters that are invisible or hide other characters as escapes, such as `\u202e`."""
    return _UNSEEN_OR_KEPT.sub(lambda found: found["kept"] or _escape(found[0]), json_text)


def replace_half_characters(text: str) -> str:
    """Replace each half character (lone surrogate) in a text by a question mark, because UTF-8 has none.

    They come from half an emoji, and from a byte of a file's name that is not UTF-8.
    """
    return text.encode("utf-8", "replace").decode()


def _escape(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def quote_words(words: str) -> str:
    """Put a text in quotation marks; quotation marks inside it become `'`, so that they cannot end the quotation."""
    return '"' + words.replace('"', "'") + '"'


def quote_given(text: object) -> str:
    """Put what a caller gave in quotation marks, for a message, and shorten it to `LONGEST_GIVEN` characters."""
    return repr(shorten(str(text), LONGEST_GIVEN))


def one_line(text: object, most: int | None = None) -> str:
    """Remove invisible characters from a text, put it on one line, and cut it off after `most` characters.

    A text from KIE or a user must not have several lines, because its second line could look like a text of kie-mcp.

    Args:
        text: The text; None counts as empty.
        most: Largest number of characters; None for no limit.
    """
    return " ".join(make_visible(str(text or "")).split())[:most]


def shorten(text: str, most: int) -> str:
    """Shorten a text to `most` characters, the last of which is `…`; return a shorter text unchanged."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
