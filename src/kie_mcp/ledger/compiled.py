"""The compiled SQL statements that all ledgers of a process share."""

from typing import Any

from sqlalchemy.util import LRUCache

COMPILED: LRUCache[Any, Any] = LRUCache(500)
"""The compiled SQL statements of all ledgers of this process."""


class SharedDialect:
    """Base of SQLAlchemy dialects with which all ledgers of this process share compiled SQL statements.

    A statement takes longer to compile than to run, and a server with many tenants has many ledgers. SQLAlchemy uses a
    compiled statement for all engines with equal dialects, and all objects of one class are equal.
    """

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))
