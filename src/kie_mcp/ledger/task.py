"""A task as the ledger keeps it and answers show it."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from kie_mcp.catalog.fields import Kind

State = Literal["prepared", "submitting", "running", "succeeded", "failed", "expired", "unknown"]
"""`prepared` is before KIE is asked; `submitting` while it is, so that nobody knows whether it was."""
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "expired", "unknown"})

KEPT_FOR = 14 * 24 * 3600
"""Seconds that KIE keeps results and status records."""


@dataclass(slots=True)
class Result:
    """One file that a task made."""

    url: str
    path: str = ""
    mime_type: str = ""
    id: str = ""
    """KIE's id of a song or stem, for what builds on it."""
    label: str = ""


@dataclass(slots=True)
class Task:
    """One paid task, from before it is sent until its files are saved."""

    id: str
    tool: str
    model: str
    kind: Kind
    route: str
    arguments: dict[str, Any]
    created: float
    """Seconds since 1970, as every time here."""
    state: State = "prepared"
    kie_id: str | None = None
    finished: float | None = None
    estimate: tuple[float, float] | None = None
    """Credits, from and to."""
    basis: str = ""
    """Where the estimate comes from."""
    reserved: float = 0
    """Credits that count against the caps until it is known what was charged."""
    tariff: str = ""
    """Equal for calls of a model that cost the same a unit."""
    units: float = 1
    """How many units of its price the call buys."""
    balance: float | None = None
    """Credits on the account just before KIE was asked."""
    credits: float | None = None
    """Credits that were charged: what KIE says, else what the balance fell by when nothing else ran."""
    results: list[Result] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None
    saved: bool = False
    """Whether nothing is left to download."""
    note: str = ""
    """What went wrong after KIE was done: the disk, the link."""
    request: dict[str, Any] | None = None
    """What is sent again to ask after the task, where KIE gives no id to ask by."""
    fingerprint: str = ""
    """Equal for calls that ask for the same."""
    session: str = ""
    """The server process that was asked."""
    cancelled: float | None = None
    """When its caller stopped waiting; KIE goes on, so the task does too."""

    @property
    def final(self) -> bool:
        """Whether watching it would change nothing."""
        return self.state in FINAL

    @property
    def done(self) -> bool:
        """Whether it has ended, and its files are saved where there are any."""
        return self.final and (self.saved or self.state != "succeeded")

    @property
    def cost(self) -> str:
        """What it may cost, in words."""
        if self.estimate:
            return f"{self.model} may cost {self.reserved:,.10g} credits ({self.basis})"
        return f"What {self.model} costs is unknown ({self.basis}), so it counts as {self.reserved:,.10g} credits"

    @property
    def prompt(self) -> str:
        """What was asked for, in the caller's words."""
        return str(self.arguments.get("prompt", ""))


def new_id(prefix: str) -> str:
    """An id that nobody can guess and a person can read out."""
    return f"{prefix}_{''.join(secrets.choice('abcdefghjkmnpqrstuvwxyz23456789') for _ in range(12))}"
