"""A task, its states and results, as the ledger keeps them and answers show them."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from kie_mcp.catalog.fields import Kind

State = Literal["prepared", "submitting", "running", "succeeded", "failed", "expired", "unknown"]
"""`prepared`: KIE has not been asked; `submitting`: it is being asked, so a crash now leaves the outcome unknown."""
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "expired", "unknown"})
"""States that polling does not change."""

KEPT_FOR = 14 * 24 * 3600
"""Seconds that KIE keeps results and status records."""


@dataclass(slots=True)
class Result:
    """One file that a task made."""

    url: str
    """KIE's link."""
    path: str = ""
    """Where it was saved; empty while it was not."""
    mime_type: str = ""
    id: str = ""
    """KIE's id of a song or stem; later calls refer to it."""
    label: str = ""
    """What this result is among several, such as the name of a stem."""


@dataclass(slots=True)
class Task:
    """One paid task, from before it is sent until its files are saved."""

    id: str
    """Our id, `t_` and twelve characters."""
    tool: str
    """Name of the tool that was called."""
    model: str
    """KIE's id of the model."""
    kind: Kind
    route: str
    """Id of the route, KIE's way to run the model; empty until one is chosen."""
    arguments: dict[str, Any]
    """Arguments of the call; a data URI as the hash of its content."""
    created: float
    """When the call was made, in seconds since 1970, as every time here."""
    state: State = "prepared"
    kie_id: str | None = None
    """KIE's id; None until KIE has accepted the task, or where it gives none."""
    finished: float | None = None
    """When its end was noticed."""
    estimate: tuple[float, float] | None = None
    """Credits that it is likely to cost, from and to; None when unknown."""
    basis: str = ""
    """Where the estimate comes from."""
    reserved: float = 0
    """Credits that count against the caps until the charge is known."""
    price_key: str = ""
    """Price key: equal for calls of a model that cost the same a price unit. Column `tariff`."""
    units: float = 1
    """Price units that the call buys, such as seconds or pictures."""
    balance: float | None = None
    """Credits on the account just before KIE was asked; None when unknown."""
    credits: float | None = None
    """Credits charged: what KIE says, else the fall of the balance when nothing else ran; None when unknown."""
    results: list[Result] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Results that are text, such as lyrics."""
    error: dict[str, Any] | None = None
    """`KieMcpError.as_dict()` of what ended it."""
    saved: bool = False
    """Whether nothing is left to poll or download."""
    note: str = ""
    """What went wrong after KIE had finished: a full disk, a dead link."""
    request: dict[str, Any] | None = None
    """The request, sent again in order to poll, where KIE gives no id to poll by."""
    idempotency_key: str = ""
    """Idempotency key: equal for calls that ask for the same. Column `fingerprint`."""
    session: str = ""
    """The server process that the call was made to."""
    cancelled: float | None = None
    """When its caller stopped waiting; KIE cannot be stopped, so the task goes on."""

    @property
    def final(self) -> bool:
        """Whether its state is final: polling would change nothing."""
        return self.state in FINAL

    @property
    def done(self) -> bool:
        """Whether it has ended, and its files are saved where there are any."""
        return self.final and (self.saved or self.state != "succeeded")

    @property
    def cost(self) -> str:
        """What it may cost, as text for a person."""
        if self.estimate:
            return f"{self.model} may cost {self.reserved:,.10g} credits ({self.basis})"
        return f"What {self.model} costs is unknown ({self.basis}), so it counts as {self.reserved:,.10g} credits"

    @property
    def prompt(self) -> str:
        """The prompt among its arguments; empty when there is none."""
        return str(self.arguments.get("prompt", ""))


def new_id(prefix: str) -> str:
    """Return an id that nobody can guess and a person can read out."""
    return f"{prefix}_{''.join(secrets.choice('abcdefghjkmnpqrstuvwxyz23456789') for _ in range(12))}"
