"""Remove the API key from KIE's answers, which may repeat the key in messages, URLs and other texts."""

import re
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Sequence
from html.entities import html5

SHORTEST_KEY = 8
"""Minimum length of a key that is removed, in characters; a shorter key, such as `sandbox`, may be an ordinary word."""
HIDDEN = "[key]"
"""The text that replaces the key."""
ROUNDS = 6
"""Maximum rounds of decoding; escapes may be nested: `%2541` becomes `%41` in one round, and `A` in the next."""
_FULL_WIDTH = range(0xFF01, 0xFF5F)
"""Code points of the full-width forms of ASCII characters, which look like wide ASCII characters."""
_ALIKE = {number: number - 0xFEE0 for number in _FULL_WIDTH} | str.maketrans("-_\uff0d\uff3f", "+/+/")
"""Table for `str.translate` that converts full-width characters to ASCII, and URL-safe base64 to standard base64."""
_ESCAPE = re.compile(
    r"""
    # Most characters of a text begin none of these; the lookahead skips such characters fast.
    (?=[^\x20-$'-\[\]-~\uff01-\uff5e])(?:
      (?:\\+|%)u([0-9a-fA-F]{4}) | (?:\\+x|%(?=00|[2-7]))([0-9a-fA-F]{2}) | \\+U([0-9a-fA-F]{8})
    | (?:\\+u\{|&\#[xX])0*([0-9a-fA-F]{1,6})[};]?
    | &\#0*([0-9]{1,7});?
    | &([a-zA-Z0-9]{2,31};)
    # Base64 in e-mails has line ends, and the next line may be indented.
    | (?:\\+[nr]|[\r\n]|%0[aAdD])[ \t]*
    # JSON may write `/` as `\/`, and a JSON text inside another one has more backslashes.
    | \\+
    # No key has these characters; many of them, such as soft hyphens, are invisible.
    | [^\x20-\x7e\uff01-\uff5e]+ | %[c-fC-F][0-9a-fA-F](?:%[89abAB][0-9a-fA-F])+
    )
    """,
    re.VERBOSE,
)
"""Matches an escape of URLs, JSON, programming languages or HTML.

It also matches characters that may separate the characters of the key, such as line ends.
"""
_ENCODINGS = "utf-8", "utf-16-le", "utf-16-be"
"""Text encodings in which the key's bytes may appear as base64 or hexadecimal digits."""
_DECIMAL, _NAME = 5, 6
"""Numbers of the groups in `_ESCAPE` for a decimal number and an HTML entity name; all others are hexadecimal."""


def make_key_filter(key: str) -> Callable[[str], str]:
    r"""Return a function that replaces the API key in a text by `[key]`.

    The key is found in upper and lower case, and in all these forms: unchanged, in full width, as escapes of URLs
    (`%41`), of JSON and programming languages (`\u0041`, `\x41`) or of HTML (`&#65;`), as hexadecimal digits, in
    base64, and in base64 of base64. Hexadecimal digits and base64 may also encode UTF-16. Line ends and invisible
    characters may be anywhere inside the key.
    """
    if len(key) < SHORTEST_KEY:
        return str
    in_any_case = {key, _remove_escapes(key), *(key.encode(encoding).hex() for encoding in _ENCODINGS)}
    as_they_are = set(_list_base64(key))
    # Two patterns are used, one of which ignores case, because they are three times as fast as a single pattern.
    patterns = (re.compile(_match_any(in_any_case), re.IGNORECASE), re.compile(_match_any(as_they_are)))

    def hide(text: str) -> str:
        parts, end = [], 0
        for start, stop in sorted(_find_spans(patterns, text)):
            if start >= end:
                # Backslashes before the key are removed as well: a backslash would escape the `[` of `[key]`, which
                # JSON does not allow.
                parts += [text[end:start].rstrip("\\"), HIDDEN]
            end = max(end, stop)
        return "".join([*parts, text[end:]])

    return hide


def _match_any(forms: set[str]) -> str:
    return "|".join(re.escape(form.translate(_ALIKE)) for form in sorted(forms) if len(form) >= SHORTEST_KEY)


def _list_base64(key: str) -> Iterator[str]:
    """Yield the key in base64 (as given, in lower and in upper case; in all encodings), and in base64 of base64."""
    for spelled in (key, key.lower(), key.upper()):
        for encoding in _ENCODINGS:
            for once in _encode_base64(spelled.encode(encoding)):
                yield once
                if encoding == "utf-8":
                    yield from _encode_base64(once.encode())


def _encode_base64(key: bytes) -> Iterator[str]:
    """Yield the key's base64 form for each of three offsets, without characters that depend on the surrounding text.

    Base64 writes three bytes as four characters, so the form of the key depends on the offset of the key in the text.
    """
    for offset in range(3):
        encoded = b64encode(bytes(offset) + key).decode()
        yield encoded[(8 * offset + 5) // 6 : 8 * (offset + len(key)) // 6]


def _find_spans(patterns: Sequence[re.Pattern[str]], text: str, rounds: int = ROUNDS) -> list[tuple[int, int]]:
    """Return the start and end of each match in a text, including matches that only appear after decoding escapes.

    Args:
        patterns: The patterns to find.
        text: The text to search.
        rounds: How many times the escapes are decoded.
    """
    alike = text.translate(_ALIKE)
    spans = [found.span() for pattern in patterns for found in pattern.finditer(alike)]
    plain = _ESCAPE.sub(_read_escape, text)
    if rounds and plain != text and (inner := _find_spans(patterns, plain, rounds - 1)):
        located = _locate_characters(text, {place for start, stop in inner for place in (start, stop - 1)})
        spans += [(located[start][0], located[stop - 1][1]) for start, stop in inner]
    return spans


def _locate_characters(text: str, places: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return the start and end of original characters or escapes in a text, by their places in the decoded text.

    Args:
        text: The text with its escapes.
        places: Places of characters in the decoded text. Only these are located, because a text may have millions of
            characters.
    """
    located = {}
    pending = sorted(places, reverse=True)
    shortened = 0
    for found in _ESCAPE.finditer(text):
        start = found.start() - shortened
        stop = start + len(_read_escape(found))
        while pending and pending[-1] < stop:
            place = pending.pop()
            located[place] = found.span() if place >= start else (place + shortened, place + shortened + 1)
        shortened = found.end() - stop
    return located | {place: (place + shortened, place + shortened + 1) for place in pending}


def _read_escape(found: re.Match[str]) -> str:
    """Decode an escape to its character; return an empty text for a character that API keys never contain."""
    group = found.lastindex
    if not group:
        return ""
    if group == _NAME:
        return html5.get(found[group], found[0])
    number = int(found[group], 10 if group == _DECIMAL else 16)
    return chr(number) if number in range(0x20, 0x7F) or number in _FULL_WIDTH else ""


def _remove_escapes(text: str) -> str:
    for _ in range(ROUNDS):
        text = _ESCAPE.sub(_read_escape, text)
    return text
