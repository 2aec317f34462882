"""Statistics of past tasks: what they were charged, for estimates, and how long they took, for polling."""

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import tasks

CHARGES_READ = 12
"""How many past charges an estimate is based on at most."""


class Statistics:
    """Figures of tasks that succeeded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def charges(self, model: str, price_key: str) -> list[float]:
        """Return what the last tasks of a model and price key were charged, in credits a price unit, newest first."""
        alike = (tasks.c.model == model, tasks.c.tariff == price_key, tasks.c.units > 0)
        # A balance that has not fallen yet would look like a free task, and no cap would hold the next one back.
        known = (tasks.c.state == "succeeded", tasks.c.credits > 0)
        query = sa.select((tasks.c.credits / tasks.c.units).label("per_unit")).where(*alike, *known)
        rows = await self._database.select(query.order_by(tasks.c.finished.desc()).limit(CHARGES_READ))
        return [row["per_unit"] for row in rows]

    async def durations(self, model: str, duration: object, *, newest: int) -> list[float]:
        """Return how many seconds the last tasks of a model and clip length took, newest last.

        Args:
            model: KIE's id.
            duration: The argument `duration` of the tasks.
            newest: How many to return at least, where there are that many.
        """
        seconds = (tasks.c.finished - tasks.c.created).label("seconds")
        # Where another process took over, the end may have been noticed long after.
        measured = (tasks.c.model == model, tasks.c.state == "succeeded", tasks.c.watcher == tasks.c.session)
        query = sa.select(seconds, tasks.c.arguments).where(*measured).order_by(tasks.c.finished.desc())
        rows = await self._database.select(query.limit(5 * newest))
        return [row["seconds"] for row in reversed(rows) if row["arguments"].get("duration") == duration]
