"""The indexes of prompts and sources: find tasks by words or by what they were made from, without reading every task.

The index of the prompts consists of trigrams (all sequences of three characters), so it finds parts of words in every
language. In SQLite, it is a table of the extension FTS5, which does not store the prompts themselves. In PostgreSQL, it
is a table with an index of the extension pg_trgm. The index of the sources has the ids that a task's arguments name.

https://www.sqlite.org/fts5.html https://www.postgresql.org/docs/current/pgtrgm.html
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.database import Database
from kie_mcp.ledger.lineage import referenced_ids
from kie_mcp.ledger.tables import prompts, sources, tasks
from kie_mcp.ledger.task import Task

SHORTEST_WORD = 3
"""Length of the shortest words that SQLite's index of the prompts can find; the index consists of trigrams."""
MAX_WORDS = 16
"""Maximum number of words, the longest ones, that are looked up in the index; FTS5 refuses more than a few hundred."""
FEW = 1_000
"""If at least this many tasks contain the words, SQLite searches the newest tasks first."""
NEWEST = 1_000
"""Number of newest tasks that SQLite searches first if the words are frequent."""

Rows = list[dict[str, Any]]


def fold(text: str) -> str:
    """Return a text as the index stores it: in lower case, and without characters that the index cannot store.

    A NUL, which would end the text, becomes a space. A lone surrogate (half of a character) becomes replacement
    characters.
    """
    whole = text.encode(errors="surrogatepass").decode(errors="replace")
    return whole.casefold().replace("\0", " ")


async def index_task(connection: AsyncConnection, task: Task) -> int:
    """Index a new task's prompt and sources, and return its number; the caller holds the lock for new tasks."""
    highest = await connection.scalar(sa.select(sa.func.max(tasks.c.number)))
    number = int(highest or 0) + 1
    await connection.execute(sa.insert(prompts), {"rowid": number, "prompt": fold(task.prompt)})
    if rows := [{"source": id_, "number": number} for id_ in referenced_ids(task.arguments)]:
        await connection.execute(sa.insert(sources), rows)
    return number


def look_up_sources(query: sa.Select[Any], ids: Sequence[str]) -> sa.Select[Any]:
    """Add to a query the condition that a task's arguments name one of the `ids` (the ledger's or KIE's)."""
    return _look_up(query, sa.select(sources.c.number).where(sources.c.source.in_(ids)))


async def select_by_words(
    database: Database, query: sa.Select[Any], words: str, *, place: sa.ColumnElement[bool], limit: int
) -> Rows:
    """Return a page of tasks whose prompt contains all words of a text; the case of letters is ignored.

    Args:
        database: The database.
        query: The query for the page, with all other conditions.
        words: The text; if it has no words, all tasks are found.
        place: The condition in `query` that skips the tasks of earlier pages.
        limit: Largest number of tasks on the page; the query has the same limit.
    """
    folded = sorted(set(fold(words).split()), key=len, reverse=True)
    if not folded:
        return await database.select(query)
    if database.is_sqlite:
        return await _select_in_sqlite(database, query, folded, place, limit)
    # SQLAlchemy compiles `contains()` to LIKE, for which PostgreSQL uses its trigram index.
    found = [prompts.c.prompt.contains(word, autoescape=True) for word in folded[:MAX_WORDS]]
    if further := folded[MAX_WORDS:]:
        # The further words are one parameter: the compilation of thousands of conditions would stop this process for
        # seconds, and psycopg allows 65,535 parameters.
        word = sa.func.unnest(sa.func.string_to_array(" ".join(further), " ")).column_valued("word")
        found.append(~sa.exists(sa.select(word).where(sa.func.strpos(prompts.c.prompt, word) == 0)))
    return await database.select(query.where(tasks.c.number.in_(sa.select(prompts.c.rowid).where(*found))))


async def _select_in_sqlite(
    database: Database, query: sa.Select[Any], words: Sequence[str], place: sa.ColumnElement[bool], limit: int
) -> Rows:
    """Return a page of tasks whose prompt contains all words, by the faster of two queries.

    SQLite does not know how frequent the words are, so the matching tasks are counted first. If there are few, all of
    them are read and sorted. Otherwise, only the newest tasks are searched first: if the matches among them fill the
    page, no older task can be on it.
    """
    long = [word for word in words[:MAX_WORDS] if len(word) >= SHORTEST_WORD]
    if len(long) < len(words):
        query = query.where(sa.func.has_words(sa.cast(tasks.c.arguments, sa.LargeBinary), " ".join(words)) == 1)
    if not long:
        return await database.select(query)
    phrases = " ".join('"' + word.replace('"', '""') + '"' for word in long)
    matches = sa.select(prompts.c.rowid).where(sa.literal_column("prompts").op("MATCH")(phrases))
    (facts,) = await database.select(_look_ahead(matches, place))
    if facts["matches"] < FEW:
        return await database.select(_look_up(query, matches))
    among_newest = matches.where(prompts.c.rowid.between(facts["lowest"], facts["highest"]))
    newest = query.where(tasks.c.listed > facts["oldest"], tasks.c.number.in_(among_newest))
    rows = await database.select(newest)
    return rows if len(rows) == limit else await database.select(query.where(tasks.c.number.in_(matches)))


def _look_ahead(matches: sa.Select[Any], place: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return a query that counts the matches (up to FEW), and finds the limits of the newest tasks.

    The limits are the lowest and the highest `tasks.number` of these tasks, and the oldest `tasks.listed`.
    """
    few = sa.select(sa.func.count()).select_from(matches.limit(FEW).subquery()).scalar_subquery()
    order = (tasks.c.listed.desc(), tasks.c.id.desc())
    newest = sa.select(tasks.c.number, tasks.c.listed).where(place).order_by(*order).limit(NEWEST).subquery()
    return sa.select(
        few.label("matches"),
        sa.func.min(newest.c.number).label("lowest"),
        sa.func.max(newest.c.number).label("highest"),
        sa.func.min(newest.c.listed).label("oldest"),
    )


def _look_up(query: sa.Select[Any], numbers: sa.Select[Any]) -> sa.Select[Any]:
    """Add to a query the condition that `tasks.number` is one of a few numbers.

    The hint makes SQLite use the index of this column. Without the hint, SQLite would read all tasks in the order of
    the list, to avoid sorting the few that are found.
    """
    return query.where(tasks.c.number.in_(numbers)).with_hint(tasks, "INDEXED BY ix_tasks_number", "sqlite")
