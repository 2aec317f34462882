"""Rank tools as a host with tool search can do: BM25 over names and descriptions."""

import logging
from collections.abc import Sequence
from typing import Any

import bm25s

from evals.data import Wish

FIRST = 5
"""Number of tools that a host shows to its model after a search."""


class ToolSearch:
    """A search in a list of tools."""

    def __init__(self, tools: Sequence[dict[str, Any]]) -> None:
        logging.getLogger("bm25s").setLevel(logging.WARNING)
        self._names = [tool["name"] for tool in tools]
        # Underscores in names are replaced, because the tokenizer would read a name as one word.
        texts = [f"{tool['name'].replace('_', ' ')} {tool['description']}" for tool in tools]
        self._index = bm25s.BM25()
        self._index.index(_split(texts), show_progress=False)

    def find(self, words: str) -> list[str]:
        """Return the names of the first tools, the best one first; tools without any of the words are left out."""
        found, scores = self._index.retrieve(_split([words]), k=min(FIRST, len(self._names)), show_progress=False)
        return [self._names[each] for each, score in zip(found[0], scores[0], strict=True) if score > 0]


def rank(wishes: Sequence[Wish], tools: Sequence[dict[str, Any]]) -> list[tuple[Wish, list[str]]]:
    """Return each wish for which no right tool is among the first `FIRST`, with the tools that were found."""
    search = ToolSearch(tools)
    found = [(wish, search.find(wish.search or wish.say)) for wish in wishes]
    return [(wish, names) for wish, names in found if not wish.tools & set(names)]


def _split(texts: list[str]) -> Any:
    return bm25s.tokenize(texts, stopwords="en", show_progress=False)
