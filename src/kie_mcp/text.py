"""Make a text fit for an answer: on one line, without control characters, and not too long."""

import unicodedata

CONTROL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode's control characters, of marks that change the direction of text, and of line breaks."""


def one_line(text: object, most: int | None = None) -> str:
    """Return a text on one line, without control characters, and cut off after `most` characters.

    Args:
        text: The text; None counts as empty.
        most: Largest number of characters; None for no limit.
    """
    spaced = "".join(" " if unicodedata.category(each) in CONTROL else each for each in str(text or ""))
    return " ".join(spaced.split())[:most]


def shorten(text: str, most: int) -> str:
    """Cut a text to `most` characters, of which the last is then `…`; return a text that is not longer unchanged."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
