"""Index of the prompts: finds the tasks whose prompt contains a word, without reading every task.

The index consists of trigrams (all sequences of three characters), so it finds parts of words in every language. In
SQLite, the index is a table of the extension FTS5, which does not store the prompts themselves. In PostgreSQL, it is a
table with an index of the extension pg_trgm.

https://www.sqlite.org/fts5.html https://www.postgresql.org/docs/current/pgtrgm.html
"""

import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.expressions import HasWords
from kie_mcp.ledger.tables import prompts, tasks
from kie_mcp.ledger.task import Task


def fold(text: str) -> str:
    """Return a text as the index stores it: in lower case, and without characters that the index cannot store.

    A NUL, which would end the text, becomes a space. A lone surrogate (half of a character) becomes replacement
    characters.
    """
    whole = text.encode(errors="surrogatepass").decode(errors="replace")
    return whole.casefold().replace("\0", " ")


async def index_task(connection: AsyncConnection, task: Task) -> None:
    """Give a new task the next number, and index its prompt; the caller must hold the lock for new tasks."""
    highest = await connection.scalar(sa.select(sa.func.max(tasks.c.number)))
    number = (highest or 0) + 1
    await connection.execute(sa.update(tasks).where(tasks.c.id == task.id).values(number=number))
    await connection.execute(sa.insert(prompts).values(rowid=number, prompt=fold(task.prompt)))


def contain(words: str) -> sa.ColumnElement[bool]:
    """Return an SQL condition for tasks whose prompt contains all words of a text; the case of letters is ignored."""
    found = sorted(set(fold(words).split()), key=len, reverse=True)
    return HasWords(found) if found else sa.true()
