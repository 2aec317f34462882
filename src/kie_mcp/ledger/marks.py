"""Marks that users give to tasks on the library page: favourite, tags, and trashed (files moved to the trash)."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import marks, tasks

FAVOURITE, TRASHED = "favourite", "trashed"
"""The mark of a favourite task, and the mark of a task whose files were moved to the trash."""
TAG = "tag:"
"""Prefix of a mark that is a tag; the rest of the mark is the name of the tag."""


class Marks:
    """The table of marks: reads and changes the marks of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, task_ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the marks of each of these tasks, in alphabetical order."""
        found: dict[str, list[str]] = {id_: [] for id_ in task_ids}
        query = sa.select(marks).where(marks.c.task.in_(task_ids)).order_by(marks.c.mark)
        for row in await self._database.select(query) if found else ():
            found[row["task"]].append(row["mark"])
        return found

    async def set(self, task_id: str, marked: Collection[str], *, of: str = "") -> None:
        """Replace those marks of a task that begin with `of` by the marks in `marked`.

        Args:
            task_id: Id of the task.
            marked: The new marks of the task.
            of: Prefix of the old marks to delete; if empty, all old marks of the task are deleted.
        """
        async with self._database.exclusive("marks") as connection:
            begins = marks.c.mark.startswith(of, autoescape=True)
            await connection.execute(sa.delete(marks).where(marks.c.task == task_id, begins))
            if rows := [{"task": task_id, "mark": mark} for mark in sorted(set(marked))]:
                await connection.execute(sa.insert(marks), rows)

    async def list_tags(self) -> list[str]:
        """Return all tags, in alphabetical order."""
        query = sa.select(marks.c.mark).where(marks.c.mark.startswith(TAG)).distinct().order_by(marks.c.mark)
        return [row["mark"].removeprefix(TAG) for row in await self._database.select(query)]


def is_marked(mark: str) -> sa.ColumnElement[bool]:
    """Return an SQL condition that is true for tasks with this mark."""
    return tasks.c.id.in_(sa.select(marks.c.task).where(marks.c.mark == mark))
