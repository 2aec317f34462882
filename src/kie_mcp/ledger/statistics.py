"""Statistics of past tasks: their charges, which estimates use, and their durations, which polling uses."""

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import tasks

CHARGES_READ = 12
"""Largest number of past charges that an estimate is based on."""


class Statistics:
    """Charges and durations of tasks that succeeded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def charges(self, model: str, price_key: str) -> list[float]:
        """Return the charges of the last tasks of a model and price key, in credits per price unit, newest first."""
        alike = (tasks.c.model == model, tasks.c.tariff == price_key, tasks.c.units > 0)
        # Charges of 0 are left out: they may come from a balance that had not fallen yet, and an estimate of 0
        # would let every further task pass the caps.
        known = (tasks.c.state == "succeeded", tasks.c.credits > 0)
        query = sa.select((tasks.c.credits / tasks.c.units).label("per_unit")).where(*alike, *known)
        rows = await self._database.select(query.order_by(tasks.c.finished.desc()).limit(CHARGES_READ))
        return [row["per_unit"] for row in rows]

    async def durations(self, model: str, duration: object, *, newest: int) -> list[float]:
        """Return how long the last tasks of a model with this clip length took, in seconds, newest last.

        Args:
            model: KIE's id of the model.
            duration: Value that the tasks have for the argument `duration`.
            newest: How many durations are wanted. The last `5 * newest` tasks of the model, of any clip length, are
                searched, so more or fewer durations may be returned.
        """
        seconds = (tasks.c.finished - tasks.c.created).label("seconds")
        # Tasks that another process took over are left out, since that process may have noticed the end much later.
        measured = (tasks.c.model == model, tasks.c.state == "succeeded", tasks.c.watcher == tasks.c.session)
        query = sa.select(seconds, tasks.c.arguments).where(*measured).order_by(tasks.c.finished.desc())
        rows = await self._database.select(query.limit(5 * newest))
        return [row["seconds"] for row in reversed(rows) if row["arguments"].get("duration") == duration]
