"""What queries give besides tasks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """Credits that were charged, or may yet be."""

    day: float
    """In the last 24 hours."""
    session: float
    """Since this server started."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was handed to KIE."""

    id: str
    sha256: str | None
    name: str
    url: str
    size: int | None
    mime_type: str
    created: float
    expires: float
