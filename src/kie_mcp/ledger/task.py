"""A task, its states and results, as the ledger keeps them and answers show them."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from kie_mcp.catalog.credits import format_credits
from kie_mcp.catalog.fields import Kind

State = Literal["prepared", "submitting", "running", "succeeded", "failed", "expired", "unknown"]
"""State of a task.

`prepared` means that the create was not sent to KIE; `submitting` means that the create is being sent, so that a crash
leaves the outcome unknown.
"""
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "expired", "unknown"})
"""States that polling does not change."""

KEPT_FOR = 14 * 24 * 3600
"""Seconds that KIE keeps results and status records."""


@dataclass(slots=True)
class Result:
    """One file that a task made."""

    url: str
    """KIE's link to the file."""
    path: str = ""
    """Path of the saved file; empty until the file is saved."""
    mime_type: str = ""
    """MIME type of the saved file; when no file could be saved, the type of what the host sent instead."""
    id: str = ""
    """KIE's id of a song or stem, which later calls use to refer to the song or stem."""
    label: str = ""
    """Text that tells this result from the task's other results, such as the name of a stem."""
    facts: str = ""
    """What the saved file is, such as `1024x1024 PNG, 1.2 MB`; empty until it is saved."""

    @property
    def is_damaged(self) -> bool:
        """Whether the last attempt to download the file received something else, or only a part of the file."""
        return bool(self.mime_type and not self.path)

    @property
    def is_media(self) -> bool:
        """Whether this is, or may be, a picture, clip or sound."""
        return not self.mime_type or self.mime_type.startswith(("image/", "video/", "audio/"))


@dataclass(slots=True)
class Task:
    """One paid task, from before its create is sent until its files are saved. All times are seconds since 1970."""

    id: str
    """The ledger's id of the task: `t_` and twelve characters."""
    tool: str
    """Name of the tool that was called."""
    model: str
    """KIE's id of the model."""
    kind: Kind
    route: str
    """Id of the route (KIE's way to run the model); empty until a route is chosen."""
    arguments: dict[str, Any]
    """Arguments of the call; a data URI is replaced by the SHA-256 of its content."""
    created: float
    """Time of the call."""
    state: State = "prepared"
    kie_id: str | None = None
    """KIE's id of the task; None until KIE has accepted the task, or when KIE gives the task no id."""
    finished: float | None = None
    """Time when the task's end was noticed; None until then."""
    estimate: tuple[float, float] | None = None
    """Least and most credits that the task is likely to cost; None when unknown."""
    basis: str = ""
    """What the estimate is based on, in words."""
    reserved: float = 0
    """Credits that count against the caps until the charge is known."""
    price_key: str = ""
    """Price key: equal for calls of a model that cost the same per price unit. The database column is `tariff`."""
    units: float = 1
    """Price units that the call buys, such as seconds or pictures."""
    balance: float | None = None
    """Credits on the account just before KIE was asked; None when unknown."""
    credits: float | None = None
    """Credits charged: KIE's figure, or else the fall of the balance if no other task ran; None when unknown."""
    results: list[Result] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Results that are text, such as lyrics."""
    error: dict[str, Any] | None = None
    """`KieMcpError.as_dict()` of the error that ended the task; None when there was no error."""
    saved: bool = False
    """Whether nothing is left to poll or download."""
    note: str = ""
    """What went wrong after KIE had finished the task, such as a full disk or a dead link."""
    request: dict[str, Any] | None = None
    """Body of the create on a `repeated` route, where a poll sends the create again; None on other routes."""
    idempotency_key: str = ""
    """Idempotency key: equal for calls that ask for the same result. The database column is `fingerprint`."""
    session: str = ""
    """Id of the server process that received the call."""
    cancelled: float | None = None
    """Time when the caller stopped waiting, or None; KIE cannot be stopped, so the task goes on."""

    @property
    def final(self) -> bool:
        """Whether the task's state is final, so that polling would change nothing."""
        return self.state in FINAL

    @property
    def done(self) -> bool:
        """Whether the task has ended and, if it succeeded, its files are saved."""
        return self.final and (self.saved or self.state != "succeeded")

    @property
    def refused(self) -> bool:
        """Whether the task failed before KIE accepted it, so that it cost nothing."""
        # On some routes, KIE gives no id to a task that it accepts, so the error must also say that nothing was billed.
        never_sent = self.kie_id is None and (self.error or {}).get("billed") is False
        return self.state == "failed" and never_sent

    @property
    def cost(self) -> str:
        """What the task may cost, as a text for a person."""
        if self.estimate:
            return f"{self.model} may cost {format_credits(self.reserved, note=self.basis)}"
        return f"What {self.model} costs is unknown ({self.basis}), so it counts as {format_credits(self.reserved)}"

    @property
    def prompt(self) -> str:
        """The prompt among the task's arguments; empty when the task has no prompt."""
        return str(self.arguments.get("prompt", ""))


def new_id(prefix: str) -> str:
    """Return a random id that nobody can guess and that a person can read aloud."""
    return f"{prefix}_{''.join(secrets.choice('abcdefghjkmnpqrstuvwxyz23456789') for _ in range(12))}"
