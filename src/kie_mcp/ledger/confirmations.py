"""Confirmation ids: the ids with which a call is repeated after a person has agreed to the cost of the call."""

import sqlalchemy as sa

from kie_mcp.ledger.async_engine import AsyncConnection
from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import confirmations


class Confirmations:
    """The table of confirmation ids; each id is valid once, for one idempotency key and a limited time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, id_: str, idempotency_key: str, now: float, seconds: float) -> None:
        """Record a confirmation id for a call, and delete the confirmation ids that have expired.

        Args:
            id_: The new confirmation id.
            idempotency_key: Idempotency key of the call to which the confirmation id belongs.
            now: The time now, in seconds since 1970.
            seconds: Seconds for which the confirmation id is valid.
        """
        async with self._database.writing() as connection:
            await add_confirmation(connection, id_, idempotency_key, now, seconds)


async def add_confirmation(
    connection: AsyncConnection, id_: str, idempotency_key: str, now: float, seconds: float
) -> None:
    """Record a confirmation id as `Confirmations.add()` does, but in the open transaction of `connection`."""
    await connection.execute(sa.delete(confirmations).where(confirmations.c.expires <= now))
    row = {"id": id_, "fingerprint": idempotency_key, "expires": now + seconds}
    await connection.execute(sa.insert(confirmations).values(**row))


async def use_confirmation(connection: AsyncConnection, id_: str, idempotency_key: str, now: float) -> bool:
    """Delete a confirmation id if it is valid for this idempotency key; return whether it was valid."""
    row = confirmations.c
    valid = (row.id == id_, row.fingerprint == idempotency_key, row.expires > now)
    return bool((await connection.execute(sa.delete(confirmations).where(*valid))).rowcount)
