"""SQL expressions for which SQLite and PostgreSQL need different SQL."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from kie_mcp.ledger.tables import LATEST, prompts, tasks

SHORTEST_WORD = 3
"""Length of the shortest words that SQLite's index of the prompts can find; the index consists of trigrams."""
MAX_WORDS = 16
"""Maximum number of words that are looked up in SQLite's index; FTS5 refuses more than a few hundred."""


class Contains(FunctionElement[bool]):
    """SQL expression: whether one text contains another one. LIKE is not used, because it refuses long texts."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(Contains, "sqlite")
def _find_in_sqlite(element: Contains, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(sa.func.instr(*element.clauses) > 0, **how)


@compiles(Contains, "postgresql")
def _find_in_postgresql(element: Contains, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(sa.func.strpos(*element.clauses) > 0, **how)


def contains(column: sa.ColumnElement[Any], text: str | sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return an SQL condition that is true if a column contains a text."""
    return Contains(column, sa.literal(text, sa.Text) if isinstance(text, str) else text)


class LocalDay(FunctionElement[str]):
    """SQL expression: the day of a time in this process's time zone, such as `2026-07-28`; NULL for an invalid time."""

    type = sa.Text()
    inherit_cache = True


@compiles(LocalDay, "sqlite")
def _find_day_in_sqlite(element: LocalDay, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(sa.func.date(*element.clauses, "unixepoch", "localtime"), **how)


@compiles(LocalDay, "postgresql")
def _find_day_in_postgresql(element: LocalDay, compiler: SQLCompiler, **how: Any) -> str:
    # `to_char` uses the connection's time zone, which `postgresql.py` sets to the time zone of this process.
    (seconds,) = element.clauses
    day = sa.func.to_char(sa.func.to_timestamp(seconds), "YYYY-MM-DD")
    return compiler.process(sa.case((seconds.between(0, LATEST), day)), **how)


class HasWords(sa.ColumnElement[bool]):
    """SQL expression: whether a task's prompt contains all words; the words have to be folded by `prompts.fold()`."""

    inherit_cache = False
    type = sa.Boolean()

    def __init__(self, words: list[str]) -> None:
        self.words = words


@compiles(HasWords, "sqlite")
def _match_in_sqlite(element: HasWords, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(sa.and_(*_match_words(element.words)), **how)


def _match_words(words: list[str]) -> Iterator[sa.ColumnElement[bool]]:
    """Yield up to two conditions: the index contains the long words, and the prompt contains all words."""
    if long := [word for word in words[:MAX_WORDS] if len(word) >= SHORTEST_WORD]:
        phrases = " ".join('"' + word.replace('"', '""') + '"' for word in long)
        matches = sa.select(prompts.c.rowid).where(sa.literal_column("prompts").op("MATCH")(phrases))
        yield tasks.c.number.in_(matches)
    if len(long) < len(words):
        yield sa.func.has_words(sa.cast(tasks.c.arguments, sa.LargeBinary), " ".join(words)) == 1


@compiles(HasWords, "postgresql")
def _match_in_postgresql(element: HasWords, compiler: SQLCompiler, **how: Any) -> str:
    # `contains()` compiles to LIKE, for which PostgreSQL uses its trigram index.
    found = (prompts.c.prompt.contains(word, autoescape=True) for word in element.words)
    return compiler.process(tasks.c.number.in_(sa.select(prompts.c.rowid).where(*found)), **how)
