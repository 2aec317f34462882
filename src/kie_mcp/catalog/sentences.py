"""Split a text that is too long for one request into parts, at the ends of sentences where possible."""

import math
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")

LONGEST_SPEECH = 100_000
"""Maximum number of characters in a call of a speech model: about two hours of speech, which KIE makes in parts."""
SMALLEST_SHARE = 4
"""A part may be as short as the limit divided by this, if it then ends at a better place, such as a sentence's end."""

_CLOSING = r"""["'”’»)\]}」』）】]*"""
_SENTENCE_END = re.compile(
    # In a row of punctuation marks, a match begins only at the first mark. Otherwise, the search would be slow in a
    # long row of dots.
    rf"\n\s*\n|[。！？｡।॥]+{_CLOSING}|(?<![!?…؟۔.])(?:[!?…؟۔]|(?P<stop>\.))+{_CLOSING}(?=\s)"
)
"""Matches the end of a sentence or paragraph; whether a full stop ends a sentence is decided by `_ends_sentence()`."""
_CLAUSE_END = re.compile(r"\n|[,;:،؛](?=\s)|[，、；：]|\s[–—-](?=\s)")
_BLANK = re.compile(r"\s+")
_MARKUP = re.compile(r"\[[^\[\]\n]{1,200}\]|<[^<>\n]{1,200}>")
"""Matches a direction for the voice, such as `[laughs]` or `<break time="1s"/>`."""
_NO_END = re.compile(
    # A full stop after a single letter (an initial) or after a short number (an ordinal in German dates) ends no
    # sentence.
    r"(?:^|[^\w])(?:[^\W\d_]|\d{1,2}|[^\W\d_]\.[^\W\d_]|"
    r"mr|mrs|ms|dr|prof|st|sr|jr|rev|gen|col|capt|lt|sgt|hon|pres|gov|sen|rep|mt|vs|etc|no|nos|vol|fig|approx|dept|"
    r"inc|ltd|co|corp|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|"
    r"nr|bzw|ca|vgl|usw|evtl|ggf|inkl|str|hr|fr|bspw|mme|mlle|m|sra|srta|ud|uds|dott|sig|ing|г|ул|стр|им|др|см)$",
    re.IGNORECASE,
)
"""Matches a text, such as `Dr`, `e.g` or `J`, after which a full stop does not end the sentence."""
_LONGEST_ABBREVIATION = 12
_JOINER, _SKIN_TONES = "\u200d", range(0x1F3FB, 0x1F400)
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
"""Matches a flag: two regional indicators; flags may follow each other without anything between them."""


def split_text(text: str, most: int) -> list[str]:
    """Split a text into parts of at most `most` characters.

    The text is cut at the end of a sentence if possible, else at the end of a clause, else between words, else between
    visible characters (graphemes). The text is not cut within `[…]` or `<…>`. The parts have similar lengths, and
    blanks at the cuts are removed. Equal texts give equal parts.
    """
    rest = text.strip()
    parts = []
    while len(rest) > most:
        cut = _find_cut(rest, most)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest]


def trim_texts(texts: Sequence[str], most: int) -> list[str]:
    """Strip each text if the texts together have more than `most` characters; otherwise return the texts unchanged.

    Raises:
        ValueError: When the texts are too long and contain only blanks.
    """
    if sum(map(len, texts)) <= most:
        return list(texts)
    trimmed = [text.strip() for text in texts]
    if not any(trimmed):
        raise ValueError("there are only blanks")
    return trimmed


def split_items(items: Sequence[ItemT], length: Callable[[ItemT], int], most: int) -> list[list[ItemT]]:
    """Split a list into groups with at most `most` characters in each; the groups have similar lengths.

    Args:
        items: The items in order; none of them is longer than `most`.
        length: Returns the number of characters of an item.
        most: Largest number of characters of a group.
    """
    rest = sum(map(length, items))
    groups: list[list[ItemT]] = [[]]
    size, wanted = 0, rest / max(math.ceil(rest / most), 1)
    for item in items:
        added = length(item)
        if groups[-1] and (size + added > most or size + added / 2 > wanted):
            rest -= size
            groups.append([])
            size, wanted = 0, rest / math.ceil(rest / most)
        groups[-1].append(item)
        size += added
    return groups


def _find_cut(text: str, most: int) -> int:
    """Return the index where the first part ends in a text of more than `most` characters."""
    parts = math.ceil(len(text) / most)
    # `even` is the minimum length of the first part: if it were shorter, the rest would not fit into `parts - 1` parts.
    even, smallest = max(len(text) - (parts - 1) * most, 1), max(most // SMALLEST_SHARE, 1)
    spans = [match.span() for match in _MARKUP.finditer(text)]
    for ends in (_sentence_ends, _clause_ends, _blanks, _characters):
        places = [place for place in ends(text[: most + 1]) if place <= most and not _is_inside(place, spans)]
        for least in (even, smallest):
            if found := places[bisect_left(places, least) : bisect_right(places, most)]:
                return min(found, key=lambda place: abs(place - len(text) / parts))
    return most


def _sentence_ends(text: str) -> Iterator[int]:
    for match in _SENTENCE_END.finditer(text):
        if not match["stop"] or _ends_sentence(text, match):
            yield match.end()


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Tell whether a full stop ends a sentence: no lower-case letter follows it, and no abbreviation precedes it."""
    after = text[match.end() : match.end() + 20].lstrip()
    if after[:1].islower():
        return False
    stop = match.end("stop") - 1
    before = text[max(stop - _LONGEST_ABBREVIATION, 0) : stop]
    # The first two checks save time: the regular expression is slow, and needed only after the end of a word.
    return match.group().startswith("..") or not before[-1:].isalnum() or not _NO_END.search(before)


def _clause_ends(text: str) -> Iterator[int]:
    return (match.end() for match in _CLAUSE_END.finditer(text))


def _blanks(text: str) -> Iterator[int]:
    return (match.start() for match in _BLANK.finditer(text))


def _characters(text: str) -> Iterator[int]:
    if text.isascii():
        return iter(range(1, len(text)))
    in_flags = {match.start() + 1 for match in _FLAG.finditer(text)}
    places = (place for place in range(1, len(text)) if place not in in_flags)
    return (place for place in places if not _is_one(text[place - 1], text[place]))


def _is_one(before: str, after: str) -> bool:
    """Tell whether two code points may belong to one visible character (grapheme), such as an emoji."""
    joined = _JOINER in (before, after) or ord(after) in _SKIN_TONES
    return joined or unicodedata.category(after) in ("Mn", "Mc", "Me")


def _is_inside(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    number = bisect_right(spans, (place, 0)) - 1
    return number >= 0 and spans[number][0] < place < spans[number][1]
