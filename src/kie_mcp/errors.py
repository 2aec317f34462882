"""The classes of all errors that callers see; each error says whether credits were charged and what to do next.

* KieMcpError
    * InvalidCall           the arguments are wrong; nothing was sent
    * CapReached            the task would cost more than the operator allows; nothing was sent
    * ConfirmationNeeded    a person has to agree to the cost first; nothing was sent
    * NotAllowed            the caller has read-only access and may not start tasks; nothing was sent
    * ConfigurationError    the operator has to set something
    * ApiError              KIE answered with an error, or not at all
        * AuthError             the key is missing, wrong or not allowed
        * InsufficientCredits   the balance is too low
        * RateLimited           KIE refused the request for now; it was neither queued nor billed
        * NotOffered            KIE has no such route or model id; not billed
        * UnknownOutcome        KIE may have accepted the create request; it is never sent again
        * DamagedFile           the download of a result returned wrong data, or only a part of the file
    * TaskFailed            KIE accepted the task and could not finish it
    * NotRecorded           KIE accepted the task, which runs, but the ledger cannot be written
    * BrokenRow             the task's row in the ledger has impossible values
"""

from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(eq=False)
class KieMcpError(Exception):
    """Base class of all errors that callers see."""

    category: ClassVar[str] = "internal"
    """Name of the kind of error, which a tool's answer shows, such as `rate_limited`."""

    message: str
    """What went wrong, in one or two sentences."""
    next_step: str = ""
    """What the caller can do about the error."""
    retryable: bool = False
    """Whether the same call may succeed later."""
    billed: bool | None = False
    """Whether credits were charged; None if this is unknown."""
    task_id: str = ""
    """The ledger's id of the task that failed; empty if the error belongs to no task."""

    def __str__(self) -> str:
        return self.message

    def as_dict(self) -> dict[str, str | bool | None]:
        """Return the error's fields as a dict, which a tool's answer shows."""
        return {
            "category": self.category,
            "message": self.message,
            "retryable": self.retryable,
            "billed": self.billed,
            "next_step": self.next_step,
        }


class InvalidCall(KieMcpError):
    """The arguments are wrong; nothing was sent and nothing was charged."""

    category = "invalid_call"


class CapReached(KieMcpError):
    """The task would cost more than the operator allows; nothing was sent and nothing was charged."""

    category = "cap_reached"


@dataclass(eq=False)
class ConfirmationNeeded(KieMcpError):
    """A person has to agree to the cost first; nothing was sent and nothing was charged."""

    category: ClassVar[str] = "confirmation_needed"

    confirm: str = ""
    """Confirmation id: when a person has agreed, the caller repeats the call with this id in the argument `confirm`."""
    setting: str = ""
    """The setting that requires the confirmation: `KIE_MCP_CONFIRM_ABOVE` or `KIE_MCP_CONFIRM_HOURLY`."""
    credits: float | None = None
    """The most credits that the call may cost; None if no estimate was made."""
    balance: float | None = None
    """The number of credits left in the KIE account; None if the balance was not read."""


class NotAllowed(KieMcpError):
    """The caller has read-only access, and may not start tasks; nothing was sent and nothing was charged."""

    category = "not_allowed"


class ConfigurationError(KieMcpError):
    """The settings are wrong or incomplete; the operator has to change them before tools can work."""

    category = "configuration"


@dataclass(eq=False)
class ApiError(KieMcpError):
    """KIE answered with an error, or not at all."""

    category: ClassVar[str] = "kie"

    code: int | None = None
    """KIE's code in the answer's body; if the body has no code, the HTTP status; None when there was no answer."""
    retry_after: float | None = None
    """Seconds that KIE asks to wait before the next attempt; None when KIE does not say."""


class AuthError(ApiError):
    """The key is missing, wrong or not allowed to do this."""

    category = "auth"


class InsufficientCredits(ApiError):
    """The balance is too low for this task."""

    category = "insufficient_credits"


class RateLimited(ApiError):
    """KIE refused the request for now: it was neither queued nor billed."""

    category = "rate_limited"


class NotOffered(ApiError):
    """KIE has no such route or model id; nothing was created."""

    category = "not_offered"


class UnknownOutcome(ApiError):
    """KIE may have accepted the create request and started a paid task, so the request must not be sent again."""

    category = "unknown_outcome"


class DamagedFile(ApiError):
    """The download of a result returned wrong data, or only a part of the file; the download is tried again."""


class TaskFailed(KieMcpError):
    """KIE accepted the task and could not finish it."""

    category = "task_failed"


class NotRecorded(KieMcpError):
    """KIE accepted the task and runs it, but the ledger could not be written; the same call must not be made again."""

    category = "not_recorded"


class BrokenRow(KieMcpError):
    """The task's row in the ledger has impossible values, so that only a part of the task can be read."""

    category = "broken_row"

    @classmethod
    def for_columns(cls, names: str) -> Self:
        """Build the error for a row of the ledger in which these columns (`names`) have impossible values."""
        step = "KIE's own list of tasks has it by its time and model."
        return cls(f"This task's row in the ledger is broken ({names}).", step, billed=None)
