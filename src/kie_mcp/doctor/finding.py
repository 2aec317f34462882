"""A finding: the result of one check, and what the user can do about it."""

from dataclasses import dataclass
from typing import Literal

from kie_mcp.errors import KieMcpError

Status = Literal["ok", "note", "mend"]
"""Result of a check: `ok` (it works), `note` (it could be better) or `mend` (it does not work, so repair it)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    """What was checked, in one to three words."""
    status: Status
    text: str
    """The result, in one or two sentences."""
    next_step: str = ""
    """What the user can do; it is empty only if the status is `ok`."""
    details: tuple[str, ...] = ()
    """Further facts; each is printed on its own line."""

    @classmethod
    def from_error(cls, name: str, error: KieMcpError) -> "Finding":
        """Return the finding for a check that failed with an error."""
        return cls(name, "mend", error.message, error.next_step)
