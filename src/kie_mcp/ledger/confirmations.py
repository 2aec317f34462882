"""Confirmation ids: the caller repeats a call with such an id after a person has agreed to the call's cost."""

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import confirmations


class Confirmations:
    """The table of confirmation ids; each id is valid for one idempotency key and for a limited time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, id_: str, idempotency_key: str, now: float, seconds: float) -> None:
        """Record a confirmation id for a call, and delete the confirmation ids that have expired.

        Args:
            id_: The new confirmation id.
            idempotency_key: Idempotency key of the call that the confirmation id is for.
            now: The time now, in seconds since 1970.
            seconds: Seconds for which the confirmation id is valid.
        """
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(confirmations).where(confirmations.c.expires <= now))
            row = {"id": id_, "fingerprint": idempotency_key, "expires": now + seconds}
            await connection.execute(sa.insert(confirmations).values(**row))

    async def is_valid(self, id_: str, idempotency_key: str, now: float) -> bool:
        """Return whether a confirmation id was recorded for this idempotency key and has not expired yet."""
        row = confirmations.c
        query = sa.select(row.id).where(row.id == id_, row.fingerprint == idempotency_key, row.expires > now)
        return bool(await self._database.select(query))
