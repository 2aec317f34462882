"""Confirmations: ids with which a person may agree to the cost of one call for a while."""

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import confirmations


class Confirmations:
    """The confirmation ids that were given out and have not expired."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, id_: str, idempotency_key: str, now: float, seconds: float) -> None:
        """Record a confirmation id for one call, and drop those that have expired.

        Args:
            id_: The new confirmation id.
            idempotency_key: Key of the call, or calls, that it is for.
            now: Seconds since 1970.
            seconds: How long it is valid.
        """
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(confirmations).where(confirmations.c.expires <= now))
            row = {"id": id_, "fingerprint": idempotency_key, "expires": now + seconds}
            await connection.execute(sa.insert(confirmations).values(**row))

    async def is_valid(self, id_: str, idempotency_key: str, now: float) -> bool:
        """Return whether an id was given out for this very call and has not expired."""
        row = confirmations.c
        query = sa.select(row.id).where(row.id == id_, row.fingerprint == idempotency_key, row.expires > now)
        return bool(await self._database.select(query))
