"""Uploads: the files that were uploaded to KIE, and the times until which KIE keeps them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from kie_mcp.ledger.database import Database
from kie_mcp.ledger.tables import uploads


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was uploaded to KIE."""

    id: str
    sha256: str | None
    """SHA-256 of the file's content; None when KIE downloaded the file and kie-mcp never read it."""
    name: str
    url: str
    """KIE's URL of the file."""
    size: int | None
    """Size of the file in bytes; None when unknown."""
    mime_type: str
    created: float
    """Time of the upload, in seconds since 1970."""
    expires: float
    """Time after which KIE may have deleted the file, in seconds since 1970."""


class Uploads:
    """The table of uploads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, upload: Upload) -> None:
        """Record an upload."""
        async with self._database.writing() as connection:
            await connection.execute(sa.insert(uploads).values(**dataclasses.asdict(upload)))

    async def expire(self, urls: Sequence[str]) -> int:
        """Mark the uploads with these URLs as expired, and return the number of uploads that were marked."""
        async with self._database.writing() as connection:
            expire = sa.update(uploads).where(uploads.c.url.in_(urls), uploads.c.expires > 0).values(expires=0)
            return (await connection.execute(expire)).rowcount

    async def live(
        self, now: float, *, sha256: str | None = None, id_: str | None = None, url: str | None = None
    ) -> list[Upload]:
        """Return the uploads that have not expired, newest first.

        Args:
            now: The time now, in seconds since 1970.
            sha256: Only uploads whose content has this hash; None for all.
            id_: Only the upload with this id; None for all.
            url: Only uploads with this URL; None for all.
        """
        query = sa.select(uploads).where(uploads.c.expires > now).order_by(uploads.c.created.desc())
        for column, wanted in ((uploads.c.sha256, sha256), (uploads.c.id, id_), (uploads.c.url, url)):
            if wanted:
                query = query.where(column == wanted)
        return [Upload(**row) for row in await self._database.select(query)]
