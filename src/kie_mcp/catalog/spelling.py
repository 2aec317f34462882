"""Correct the misspelled words of a search."""

import difflib
from collections.abc import Collection

NAMES_AT_LEAST = 3
"""Minimum number of letters of a word in a search for similar names; shorter words are ignored."""
TYPO_CUTOFF = 0.75
"""Minimum similarity, from 0 to 1, between a misspelled word and the known word that replaces it."""
SURE_CUTOFF, LONG_WORD = 0.85, 7
"""Minimum similarity, and minimum number of letters of the word, if other words of the search are understood."""


def correct_word(word: str, known: Collection[str], *, surely: bool) -> str:
    """Return the most similar known word; return the word itself if it is known, or if no known word is similar.

    Args:
        word: A word of a search.
        known: All known words.
        surely: True to change only a word with the same letters as the known word, or a long and very similar one. If
            a search names a known thing, its other words are often right, such as "boats" in "video of boats".
    """
    if word in known:
        return word
    swapped = [each for each in known if len(word) >= NAMES_AT_LEAST and sorted(each) == sorted(word)]
    if swapped or (surely and len(word) < LONG_WORD):
        return next(iter(swapped), word)
    close = difflib.get_close_matches(word, known, n=1, cutoff=SURE_CUTOFF if surely else TYPO_CUTOFF)
    return next(iter(close), word)
