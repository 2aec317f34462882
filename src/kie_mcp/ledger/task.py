"""The data of a task: its state, arguments, cost and results. The ledger stores these data, and tools return them."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from kie_mcp.catalog.credits import format_credits
from kie_mcp.catalog.fields import Kind
from kie_mcp.errors import BrokenRow

State = Literal["prepared", "submitting", "running", "succeeded", "failed", "expired", "unknown"]
"""State of a task.

`prepared`: the create request was not sent to KIE yet. `submitting`: the request is being sent; after a crash in this
state, the state becomes `unknown`. `expired`: KIE deleted the task or its results before they were saved. `unknown`: it
is unknown whether KIE accepted the task, or the state in the ledger is not readable.
"""
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "expired", "unknown"})
"""States of tasks that have ended; such tasks are no longer polled."""
PENDING: frozenset[State] = frozenset({"prepared", "submitting"})
"""States of tasks whose create request KIE has not answered yet."""

IN_PARTS = "parts"
"""The route of a parent task, whose call KIE takes only in parts. Each part is a task of its own with a real route."""
BATCH = "batch"
"""The route of a batch: many calls with one budget. Each call is a task of its own, an item, with its own charge."""

EDIT = "edit"
"""The route of an edit: a film that is made on this machine and costs nothing."""
WITHOUT_CREDITS = (IN_PARTS, BATCH, EDIT)
"""The routes of tasks that send no create request themselves; KIE does not charge for these tasks."""

BUCKET_SCHEME = "s3://"
"""Prefix of the address of a result that is saved in a bucket."""

LETTERS = "abcdefghilmnoprstuvwy"
"""The letters in ids. Letters that clients' tokenizers seldom join with others into one token are left out."""
TASK_ID = "t_[a-z0-9]{10,12}"
"""Regular expression of a task's id; ids of earlier versions had 12 letters or digits."""

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
    """MIME type of the saved file; after a failed download, the MIME type of what the host sent instead of the file."""
    id: str = ""
    """KIE's id of the song or stem, by which later calls refer to it; empty for other files."""
    label: str = ""
    """Text that distinguishes this result from other results of the same task, such as the name of a stem."""
    facts: str = ""
    """Description of the saved file, such as `1024x1024 PNG, 1.2 MB`; empty until the file is saved."""

    @property
    def link(self) -> str:
        """KIE's URL of the file; empty if KIE gave no URL, or if the URL is a data URI."""
        return "" if self.url.startswith("data:") else self.url

    @property
    def is_in_bucket(self) -> bool:
        """Whether the file is saved in a bucket, and not on this machine."""
        return self.path.startswith(BUCKET_SCHEME)

    @property
    def local_path(self) -> str:
        """Path of the saved file on this machine, to show; empty if the file is not saved, or is saved in a bucket.

        A question mark replaces each byte of the path that is not UTF-8, because such bytes cannot be sent.
        """
        return "" if self.is_in_bucket else self.path.encode(errors="replace").decode()

    @property
    def is_damaged(self) -> bool:
        """Whether the last download failed because the host sent other data, or only a part of the file."""
        return bool(self.mime_type and not self.path)

    @property
    def is_media(self) -> bool:
        """Whether the file is a picture, clip or sound; also True if its type is not known yet."""
        return not self.mime_type or self.mime_type.startswith(("image/", "video/", "audio/"))


@dataclass(slots=True)
class Task:
    """One paid task, from the call until its files are saved. All times are seconds since 1970."""

    id: str
    """The ledger's id of the task: `t_` and ten letters."""
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
    """Time of the tool call, in seconds since 1970."""
    state: State = "prepared"
    kie_id: str | None = None
    """KIE's id of the task; None until KIE has accepted the task, and on routes where KIE gives tasks no ids."""
    finished: float | None = None
    """Time when kie-mcp noticed that the task had ended; None until then."""
    seconds: float | None = None
    """Seconds from KIE's acceptance of the task to the end of the task; None while it runs, or if unknown."""
    estimate: tuple[float, float] | None = None
    """The lowest and the highest number of credits that the task is likely to cost; None if unknown."""
    basis: str = ""
    """The source of the estimate in words, such as `price list`."""
    reserved: float = 0
    """Credits that count against the caps until the charge is known."""
    price_key: str = ""
    """A text that is equal for all calls of one model that have the same price per unit; the column is `tariff`."""
    units: float = 1
    """Number of price units that the call pays for, such as seconds or pictures."""
    balance: float | None = None
    """The account's balance in credits just before the create request was sent; None when unknown."""
    credits: float | None = None
    """Credits that the task cost; None when unknown.

    If KIE states no charge, the cost is the amount by which the balance fell, provided that no other task ran at the
    same time.
    """
    results: list[Result] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Results that are texts, such as lyrics."""
    error: dict[str, Any] | None = None
    """The error that ended the task, as `KieMcpError.as_dict()` returns it; None when there was no error."""
    saved: bool = False
    """Whether nothing is left to do: the task needs no more polling, and its files need no more downloading."""
    note: str = ""
    """A sentence about a problem that occurred after the task's end at KIE, such as a full disk or a missing file."""
    request: dict[str, Any] | None = None
    """Data that are needed to continue the task; None on routes that need no such data.

    On a `repeated` route, this is the body of the create request, which polling sends again, and the time when it was
    last sent. On other routes, it has the URLs of the files that the create request names. For a parent task, it is the
    plan of its parts. For a batch, it has the items and their states.
    """
    idempotency_key: str = ""
    """Key that is equal for all calls that ask for the same result; the database column is `fingerprint`."""
    session: str = ""
    """Id of the server process that received the call; in the ledger, its session (see `find_session()`)."""
    cancelled: float | None = None
    """Time when the caller cancelled the call and stopped waiting for the task; None if not cancelled.

    KIE continues a cancelled task, and the task costs the same.
    """
    parent: str | None = None
    """The id of the parent task if this task is a part; None for any other task.

    The cost of a parent task includes the cost of all its parts.
    """
    confirmed: bool = False
    """Whether a person agreed to the cost of the task, or to the cost of its parent task or batch."""

    @property
    def in_parts(self) -> bool:
        """Whether this is a parent task, whose parts are tasks of their own."""
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
        """Whether the task's state is final; such a task is no longer polled."""
        return self.state in FINAL

    @property
    def done(self) -> bool:
        """Whether the task has ended without success, or has succeeded and its files are saved."""
        return self.final and (self.saved or self.state != "succeeded")

    @property
    def accepted(self) -> bool:
        """Whether KIE is known to have accepted the task.

        False before KIE has answered the create request, if KIE refused the task, and if the outcome is unknown.
        """
        # An accepted task may have no id, because KIE gives tasks no ids on some routes. So the state and the error are
        # checked, too.
        is_billed = self.state == "failed" and (self.error or {}).get("billed") is True
        return self.kie_id is not None or is_billed or self.state in ("running", "succeeded", "expired")

    @property
    def refused(self) -> bool:
        """Whether the task failed before KIE accepted it; such a task cost nothing."""
        # A missing id does not show that KIE refused the task: on some routes, KIE gives tasks no ids. So the error
        # decides.
        never_sent = self.kie_id is None and (self.error or {}).get("billed") is False
        return self.state == "failed" and never_sent

    @property
    def is_broken(self) -> bool:
        """Whether the task's row in the ledger is broken; some data of such a task are lost."""
        return bool(self.error and self.error.get("category") == BrokenRow.category)

    @property
    def cost(self) -> str:
        """A sentence for the user that says what the task may cost."""
        name = "This batch" if self.is_batch else self.model
        if self.estimate:
            return f"{name} may cost {format_credits(self.reserved, note=self.basis)}"
        return f"What {name} costs is unknown ({self.basis}), so it counts as {format_credits(self.reserved)}"

    @property
    def prompt(self) -> str:
        """The prompt among the task's arguments; empty when the task has no prompt."""
        return str(self.arguments.get("prompt", ""))


def find_session(process: str) -> str:
    """Return the session of a process, to which a cap may apply: the first part of its id, which all workers share."""
    return process.partition("-")[0]


def new_id(prefix: str) -> str:
    """Return an id with 44 random bits, such as `t_lomapshevi`.

    An answer contains the id up to six times, so the id has to cost few tokens: it is short, and it has no digits,
    because many tokenizers need one token for each digit, but only one token for several letters. Without digits and
    capital letters, no two characters of an id look alike.

    Args:
        prefix: The letters before `_`, which say what the id is for, such as `t` for a task.
    """
    return f"{prefix}_{''.join(secrets.choice(LETTERS) for _ in range(10))}"
