"""A finding: one thing that was examined, how it is, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

from kie_mcp.errors import KieMcpError

Status = Literal["ok", "note", "mend"]
"""How something is: it works; it works, but could be better; or it does not work and has to be mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined."""

    name: str
    """What was examined, in one to three words."""
    status: Status
    text: str
    """How it is, in one or two sentences."""
    next_step: str = ""
    """What the user can do; only what is `ok` may need nothing."""
    details: tuple[str, ...] = ()
    """More facts, each of which gets a line of its own."""

    @classmethod
    def from_error(cls, name: str, error: KieMcpError) -> "Finding":
        """Return the finding for something that does not work because of this error."""
        return cls(name, "mend", error.message, error.next_step)
