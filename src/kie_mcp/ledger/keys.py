"""The KIE keys of the tenants, encrypted with keys of the server that are not in the database."""

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import keys


class Keys:
    """The table of the encrypted KIE keys, at most one row for each tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, tenant: str) -> str | None:
        """Return the ciphertext of a tenant's key; None if the tenant has stored no key."""
        rows = await self._database.select(sa.select(keys.c.ciphertext).where(keys.c.tenant == tenant))
        return rows[0]["ciphertext"] if rows else None

    async def save(self, tenant: str, ciphertext: str, now: float) -> None:
        """Store the ciphertext of a tenant's key instead of any earlier key; `now` is in seconds since 1970."""
        async with self._database.exclusive("keys") as connection:
            await connection.execute(sa.delete(keys).where(keys.c.tenant == tenant))
            await connection.execute(sa.insert(keys).values(tenant=tenant, ciphertext=ciphertext, changed=now))

    async def replace(self, tenant: str, old: str, new: str) -> None:
        """Replace the ciphertext `old` by `new`, unless the tenant has stored another key meanwhile.

        Both ciphertexts contain the same key, which was only encrypted again.
        """
        changed = sa.update(keys).where(keys.c.tenant == tenant, keys.c.ciphertext == old).values(ciphertext=new)
        async with self._database.writing() as connection:
            await connection.execute(changed)

    async def delete(self, tenant: str) -> None:
        """Delete a tenant's key, if the tenant has stored one."""
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(keys).where(keys.c.tenant == tenant))

    async def list_all(self) -> dict[str, str]:
        """Return a mapping from each tenant's name to the ciphertext of the tenant's key."""
        rows = await self._database.select(sa.select(keys.c.tenant, keys.c.ciphertext))
        return {row["tenant"]: row["ciphertext"] for row in rows}
