"""Decode base64 as tools write it: without padding, in the URL-safe alphabet, with escapes, or on several lines."""

import re
from base64 import b64decode
from urllib.parse import unquote

from kie_mcp.catalog.reference_spellings import INVISIBLE
from kie_mcp.errors import InvalidCall

_ESCAPES = re.compile(r"\\(?:[nrt]|u000[aAdD9])")
"""Matches an escaped line break or tab such as `\\n`, which remains if a text was encoded as JSON once too often."""
_INVISIBLE = dict.fromkeys(map(ord, INVISIBLE))
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_USE_A_PATH = "Give the file's path or URL instead."


def decode_base64_text(text: str) -> bytes:
    """Decode base64 text.

    Raises:
        InvalidCall: The text was shortened, or is not base64.
    """
    if not text.isascii():
        text = text.translate(_INVISIBLE)
    plain = _ESCAPES.sub("\n", text.strip(" \t\r\n\"'`"))
    plain = unquote(plain) if "%" in plain else plain
    plain = _join(plain.replace("\\/", "/").translate({ord("-"): "+", ord("_"): "/"}))
    bare = plain.rstrip("=")
    if wrong := _NO_BASE64.search(bare):
        raise _explain_wrong_text(bare, wrong.start())
    if len(bare) % 4 == 1:
        raise InvalidCall(
            f"The base64 text ends inside a character after {len(bare):,} characters: it was cut on its way, as hosts "
            "cut long arguments.",
            _USE_A_PATH,
        )
    return b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _join(text: str) -> str:
    """Remove line breaks, and replace blanks inside a line by `+`, because web forms decode `+` to a blank."""
    lines, words = text.splitlines(), text.split()
    # A web form replaces all plus signs by blanks. So if the text still has a plus sign, each blank in it stands for a
    # line break.
    if "+" in text or (len(lines) == 1 and _are_lines(words)):
        return "".join(words)
    widths = {len(line) for line in lines[:-1]}
    if len(widths) != 1 or widths.pop() % 4:
        # Lines of base64 text have equal widths, and the width is a multiple of 4. These lines do not fit, so blanks at
        # the start or end of a line are indentation, not plus signs.
        lines = [line.strip() for line in lines]
    return "".join(lines).replace(" ", "+")


def _are_lines(words: list[str]) -> bool:
    """Return whether the blanks between these words stand for line breaks, and not for plus signs.

    If they stand for line breaks, the words are lines, so all words but the last have the same length. With one or two
    words, there are no lengths to compare. The blanks then count as line breaks if the total length of the words is a
    multiple of 4, as in complete base64 text.
    """
    if len(words) <= 2:
        return len("".join(words)) % 4 == 0
    return len({len(word) for word in words[:-1]}) == 1


def _explain_wrong_text(text: str, at: int) -> InvalidCall:
    near = text[at : at + 12]
    if re.match(r"\.\.\.|…|[\[<(*]", near):
        return InvalidCall(
            f"The base64 text is shortened: after {at:,} characters it has {near!r} in place of the data.", _USE_A_PATH
        )
    return InvalidCall(f"The text is not base64: character {at + 1:,} is {near[0]!r}.", _USE_A_PATH)
