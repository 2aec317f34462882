"""Index of the prompts: finds the tasks whose prompt contains a word, without a look at every task.

It has trigrams (all runs of three characters), so it finds parts of words in every language: in SQLite a table of the
extension FTS5, which does not store the prompts themselves, in PostgreSQL a table with an index of the extension
pg_trgm. https://www.sqlite.org/fts5.html https://www.postgresql.org/docs/current/pgtrgm.html
"""

import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.expressions import HasWords
from kie_mcp.ledger.tables import prompts, tasks
from kie_mcp.ledger.task import Task


def fold(text: str) -> str:
    """Return a text in the form in which the index has it: in lower case, and without characters that it cannot store.

    A NUL, which would end the text, becomes a blank; half a character (a lone surrogate) becomes a replacement
    character.
    """
    whole = text.encode(errors="surrogatepass").decode(errors="replace")
    return whole.casefold().replace("\0", " ")


async def number_task(connection: AsyncConnection, task: Task) -> None:
    """Give a new task its number, and add its prompt to the index; the caller holds the lock for new tasks."""
    highest = await connection.scalar(sa.select(sa.func.max(tasks.c.number)))
    number = (highest or 0) + 1
    await connection.execute(sa.update(tasks).where(tasks.c.id == task.id).values(number=number))
    await connection.execute(sa.insert(prompts).values(rowid=number, prompt=fold(task.prompt)))


def contain(words: str) -> sa.ColumnElement[bool]:
    """Return an SQL condition for tasks whose prompt contains all words of a text, in upper or lower case."""
    found = sorted(set(fold(words).split()), key=len, reverse=True)
    return HasWords(found) if found else sa.true()
