"""The data of a task, its state and its results, which the ledger stores and tool answers show."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from kie_mcp.catalog.credits import format_credits
from kie_mcp.catalog.fields import Kind
from kie_mcp.errors import BrokenRow

State = Literal["prepared", "submitting", "running", "succeeded", "failed", "expired", "unknown"]
"""State of a task.

`prepared` means that the create request was not sent to KIE yet. `submitting` means that it is being sent; after a
crash in this state, nobody knows whether KIE accepted the task.
"""
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "expired", "unknown"})
"""States of tasks that are no longer polled."""
PENDING: frozenset[State] = frozenset({"prepared", "submitting"})
"""States of tasks whose create request KIE has not answered yet."""

IN_PARTS = "parts"
"""The route of a whole: a task that KIE makes in parts, each of which is a task with a route of its own."""
BATCH = "batch"
"""The route of a batch: many calls with one budget, each of which is a task of its own that counts its own credits."""

EDIT = "edit"
"""The route of a film that is made on this machine, and costs nothing."""
WITHOUT_CREDITS = (IN_PARTS, BATCH, EDIT)
"""The routes of tasks for which KIE charges nothing themselves."""

BUCKET_SCHEME = "s3://"
"""Beginning of the address of a result that is kept in a bucket."""

KEPT_FOR = 14 * 24 * 3600
"""Seconds for which KIE keeps the results and the record of a task."""


@dataclass(slots=True)
class Result:
    """One file that a task made."""

    url: str
    """KIE's URL of the file; a data URI if KIE's answer contains the file itself; empty if there is no URL."""
    path: str = ""
    """Path of the saved file, or its address in a bucket, `s3://…`; empty until the file is saved."""
    mime_type: str = ""
    """MIME type of the saved file; if the download failed, the MIME type of the data that was sent instead."""
    id: str = ""
    """KIE's id of a song or stem, with which later calls name it; empty for other files."""
    label: str = ""
    """Text that tells this result from the task's other results, such as the name of a stem."""
    facts: str = ""
    """What the saved file is, such as `1024x1024 PNG, 1.2 MB`; empty until it is saved."""

    @property
    def link(self) -> str:
        """KIE's URL of the file; empty if there is none, also for a data URI."""
        return "" if self.url.startswith("data:") else self.url

    @property
    def is_in_bucket(self) -> bool:
        """Whether the file is kept in a bucket, and not on this machine."""
        return self.path.startswith(BUCKET_SCHEME)

    @property
    def local_path(self) -> str:
        """Path of the saved file; empty if it is not saved, or in a bucket."""
        return "" if self.is_in_bucket else self.path

    @property
    def is_damaged(self) -> bool:
        """Whether the last download did not get the file, but other data or only a part of the file."""
        return bool(self.mime_type and not self.path)

    @property
    def is_media(self) -> bool:
        """Whether this is, or may be, a picture, clip or sound."""
        return not self.mime_type or self.mime_type.startswith(("image/", "video/", "audio/"))


@dataclass(slots=True)
class Task:
    """One paid task, from the call until its files are saved. All times are seconds since 1970."""

    id: str
    """The ledger's id of the task: `t_` and twelve characters."""
    tool: str
    """Name of the tool that was called."""
    model: str
    """KIE's id of the model."""
    kind: Kind
    route: str
    """Id of the route (the endpoints at KIE that run the model); empty until a route is chosen."""
    arguments: dict[str, Any]
    """Arguments of the tool call; each data URI is replaced by the SHA-256 of its content."""
    created: float
    """Time of the tool call."""
    state: State = "prepared"
    kie_id: str | None = None
    """KIE's id of the task; None until KIE has accepted the task, or if KIE gives this task no id."""
    finished: float | None = None
    """Time when kie-mcp noticed that the task had ended; None until then."""
    seconds: float | None = None
    """Seconds from KIE's acceptance of the task to its end; None until it has ended, or when they are unknown."""
    estimate: tuple[float, float] | None = None
    """Fewest and most credits that the task is likely to cost; None when unknown."""
    basis: str = ""
    """The source of the estimate in words, such as `price list`."""
    reserved: float = 0
    """Credits that count against the caps until the charge is known."""
    price_key: str = ""
    """A text that is equal for calls of a model with the same price per unit; the database column is `tariff`."""
    units: float = 1
    """Number of price units that the call pays for, such as seconds or pictures."""
    balance: float | None = None
    """Credits on the account just before the create request was sent; None when unknown."""
    credits: float | None = None
    """Credits that the task cost; None when unknown.

    If KIE states no charge and no other task ran, the charge is the amount by which the balance fell.
    """
    results: list[Result] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Results that are texts, such as lyrics."""
    error: dict[str, Any] | None = None
    """The error that ended the task, as `KieMcpError.as_dict()` returns it; None when there was no error."""
    saved: bool = False
    """Whether the task needs no more polling or downloading."""
    note: str = ""
    """A sentence about a problem after KIE had finished the task, such as a full disk or a file that is gone."""
    request: dict[str, Any] | None = None
    """Body of the create request, which polling sends again on a `repeated` route; of a whole, the plan of its parts.

    Of a batch, its items and what became of each. None on other routes.
    """
    idempotency_key: str = ""
    """A text that is equal for calls that ask for the same result; the database column is `fingerprint`."""
    session: str = ""
    """Id of the server process that received the tool call."""
    cancelled: float | None = None
    """Time when the caller stopped waiting for the task, which continues at KIE; None if the caller did not stop."""
    parent: str | None = None
    """Of a part, the id of the whole that it was made for, which counts its credits; None of any other task."""
    confirmed: bool = False
    """Whether a confirmation was used up for the task: a person agreed to its cost."""

    @property
    def in_parts(self) -> bool:
        """Whether this is a whole, which KIE makes in parts."""
        return self.route == IN_PARTS

    @property
    def is_batch(self) -> bool:
        """Whether this is a batch, whose items are tasks of their own."""
        return self.route == BATCH

    @property
    def is_edit(self) -> bool:
        """Whether this is a film that is made on this machine."""
        return self.route == EDIT

    @property
    def final(self) -> bool:
        """Whether the task's state is final, so that the task is no longer polled."""
        return self.state in FINAL

    @property
    def done(self) -> bool:
        """Whether the task has ended and, if it succeeded, its files are saved."""
        return self.final and (self.saved or self.state != "succeeded")

    @property
    def refused(self) -> bool:
        """Whether the task failed before KIE accepted it, so that it cost nothing."""
        # A missing id is not enough, because on some routes KIE gives no id to a task that it accepts.
        never_sent = self.kie_id is None and (self.error or {}).get("billed") is False
        return self.state == "failed" and never_sent

    @property
    def is_broken(self) -> bool:
        """Whether the task's row in the ledger is broken, so that the ledger has only a part of the task."""
        return bool(self.error and self.error.get("category") == BrokenRow.category)

    @property
    def cost(self) -> str:
        """A sentence for the user that says what the task may cost."""
        if self.estimate:
            return f"{self.model} may cost {format_credits(self.reserved, note=self.basis)}"
        return f"What {self.model} costs is unknown ({self.basis}), so it counts as {format_credits(self.reserved)}"

    @property
    def prompt(self) -> str:
        """The prompt among the task's arguments; empty when the task has no prompt."""
        return str(self.arguments.get("prompt", ""))


def new_id(prefix: str) -> str:
    """Return a random id such as `t_abcdefghjkmn`, without letters that look alike.

    It has no digits, because a digit costs a token of a client's context, and letters often share one.

    Args:
        prefix: The letters before `_`, which name the kind of thing that the id is for.
    """
    return f"{prefix}_{''.join(secrets.choice('abcdefghjkmnpqrstuvwxyz') for _ in range(12))}"
