"""Full-text index of the prompts: finds the tasks whose prompt contains a word, without a look at every task.

It is a table of SQLite's extension FTS5 with trigrams (all runs of three characters), so it finds parts of words in
every language. It does not store the prompts themselves. https://www.sqlite.org/fts5.html
"""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import Task

CREATE = "CREATE VIRTUAL TABLE prompts USING fts5 (prompt, content='', tokenize='trigram case_sensitive 1')"
"""SQL statement that creates the index; a row has the number of its task, and its folded prompt."""
FILL = """INSERT INTO prompts (rowid, prompt)
SELECT number, fold_prompt(CAST(arguments AS BLOB)) FROM tasks"""
"""SQL statement that adds the prompts of all tasks to an empty index; `database.py` defines `fold_prompt`."""
SHORTEST_WORD = 3
"""Number of characters of the shortest word that the index finds."""
MOST_WORDS = 16
"""Largest number of words that are looked up in the index; FTS5 takes no more than some hundred."""


def fold(text: str) -> str:
    """Return a text as the index has it: in lower case, and without the characters that SQLite cannot take in a text.

    A NUL, which would end the text, becomes a blank; half a character (a lone surrogate) becomes a replacement
    character.
    """
    whole = text.encode(errors="surrogatepass").decode(errors="replace")
    return whole.casefold().replace("\0", " ")


async def number_task(connection: AsyncConnection, task: Task) -> None:
    """Give a new task its number, and add its prompt to the index; the transaction has to hold the write lock."""
    highest = await connection.scalar(sa.select(sa.func.max(tasks.c.number)))
    row = {"number": (highest or 0) + 1, "prompt": fold(task.prompt)}
    await connection.execute(sa.update(tasks).where(tasks.c.id == task.id).values(number=row["number"]))
    await connection.execute(sa.text("INSERT INTO prompts (rowid, prompt) VALUES (:number, :prompt)"), row)


def contain(words: str) -> Iterable[sa.ColumnElement[bool]]:
    """Yield SQL conditions for tasks whose prompt contains all words of a text, in upper or lower case."""
    found = sorted(set(fold(words).split()), key=len, reverse=True)
    if long := [word for word in found[:MOST_WORDS] if len(word) >= SHORTEST_WORD]:
        phrases = " ".join('"' + word.replace('"', '""') + '"' for word in long)
        matches = sa.text("SELECT rowid FROM prompts WHERE prompts MATCH :phrases").bindparams(phrases=phrases)
        yield tasks.c.number.in_(matches.columns(sa.column("rowid", sa.Integer)))
    if len(long) < len(found):
        yield sa.func.has_words(sa.cast(tasks.c.arguments, sa.LargeBinary), " ".join(found))
