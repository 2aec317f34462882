"""Find the newest batches that have ended.

A new process checks these batches, because the outcome of an item may become known after its batch has ended.
"""

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import tasks

MAX_BATCHES = 50


async def find_ended_batches(database: Database, model: str, since: float) -> list[str]:
    """Return the ids of the newest batches that have ended, at most `MAX_BATCHES`.

    Args:
        database: The ledger's database.
        model: The model id in the rows of batches.
        since: Batches that were made before this time, in seconds since 1970, are left out.
    """
    ended = sa.and_(tasks.c.model == model, tasks.c.saved == sa.true(), tasks.c.created >= since)
    query = sa.select(tasks.c.id).where(ended).order_by(tasks.c.created.desc()).limit(MAX_BATCHES)
    return [row["id"] for row in await database.select(query)]
