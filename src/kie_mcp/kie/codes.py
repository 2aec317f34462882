"""KIE's codes in one table: whether a create was refused, whether to retry, what a status answer means for its task.

A code is the `code` of the envelope `{code, msg, data}`, or the HTTP status when the envelope has none. The table is
for the answers to creates, to status reads and to all other requests, and for the codes in records of failed tasks.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal

from kie_mcp.errors import ApiError, AuthError, InsufficientCredits, NotOffered, RateLimited
from kie_mcp.kie.advice import KIE, Advice

Verdict = Literal["request", "running", "failed", "missing"]
"""What a code in a status answer means for the task.

`request` means that the code is not about the task, but about the key, the rate limit or KIE itself.
"""

SUCCESS = 200
NO_ERROR = (None, 0, SUCCESS)
"""The values of a code field that mean that nothing went wrong."""

CHANGE_MODEL = "Choose another model: find_models lists them."
CHANGE_ADDRESS = (
    f"{CHANGE_MODEL} If nothing works, check KIE_MCP_BASE_URL, KIE_MCP_UPLOAD_URL and KIE_MCP_ROUTE in the environment."
)
CHANGE_ARGUMENTS = "Change the arguments as the message says."
TRY_AGAIN = "Try again in a moment."

UNKNOWN_MODEL = re.compile(
    r"\b(no such|unknown|invalid|unsupported) model\b"
    r"|\bmodel\b.{0,120}\b(not (found|exist|available|supported|offered|valid)|no longer|unknown|unavailable)\b",
    re.IGNORECASE,
)
"""Matches the message of a 422 when KIE refuses the model's id and not the model's arguments."""


@dataclass(frozen=True, slots=True)
class Code:
    """What one of KIE's codes means, for each kind of request that KIE may answer with the code."""

    error: type[ApiError] = ApiError
    """The class of the error that a refused or failed request raises."""
    next_step: str | Callable[[Advice], str] = CHANGE_ARGUMENTS
    """What the caller can do; a function if the sandbox and the real KIE need different advice."""
    refused: bool = False
    """Whether a create that KIE answers with this code certainly made no task, so that nothing was billed."""
    retryable: bool = False
    """Whether the same request may succeed later."""
    accepted: bool = False
    """Whether the task exists when KIE answers a create with this code and a task id."""
    not_ready: bool = False
    """Whether KIE may answer the create of a `repeated` route with this code, before and after the file is ready."""
    upload_gone: bool = False
    """Whether a create that KIE refused with this code may succeed once its files are uploaded again."""
    bare: Verdict = "running"
    """What this code means for the task in a status answer without a record of the task."""
    recorded: Verdict = "running"
    """What this code means for the task in a status answer with a record of the task."""
    failure_retryable: bool = False
    """Whether a task that failed with this code may succeed when the task is created again."""

    def advise(self, advice: Advice) -> str:
        """Return what the caller can do next."""
        return self.next_step if isinstance(self.next_step, str) else self.next_step(advice)

    def verdict(self, *, recorded: bool) -> Verdict:
        """Return what this code in a status answer means for the task.

        Args:
            recorded: Whether the task's record comes with the code.
        """
        return self.recorded if recorded else self.bare


OTHER = Code()
"""Row for an undocumented or missing code: such a code says nothing, so a create's outcome is unknown."""
REFUSED = Code(refused=True)
"""Row for any 3xx or 4xx that `CODES` does not list: KIE refused the request."""
TROUBLE = Code(next_step=TRY_AGAIN, retryable=True)
"""Row for any 5xx that `CODES` does not list."""
ACCOUNT = replace(REFUSED, bare="request", recorded="request")
"""Base of the rows for a refusal that is about the key, the balance, the rate limit or KIE itself, not the task."""
FAILED = Code(bare="failed", recorded="failed")
"""Base of the rows for a task that ended without a result."""
FAILED_AT_KIE = replace(FAILED, refused=True, failure_retryable=True)
"""Base of the rows for a task that KIE tried to make, could not make and did not charge."""

CODES: Mapping[int, Code] = {
    SUCCESS: replace(OTHER, accepted=True),
    400: replace(REFUSED, not_ready=True),
    401: replace(ACCOUNT, error=AuthError, next_step=attrgetter("change_key")),
    402: replace(ACCOUNT, error=InsufficientCredits, next_step=lambda advice: f"{advice.top_up}, then call again."),
    403: replace(ACCOUNT, error=AuthError, next_step=attrgetter("change_key")),
    404: replace(REFUSED, error=NotOffered, next_step=CHANGE_ADDRESS, bare="missing", recorded="missing"),
    405: replace(REFUSED, error=NotOffered, next_step=CHANGE_ADDRESS),
    # KIE answers 408 when it stopped waiting for the vendor, so a create with this answer may have been accepted.
    408: replace(FAILED, next_step=TRY_AGAIN, retryable=True, failure_retryable=True),
    # KIE answers 409 with the id of a task that exists already, so the create counts as accepted.
    409: replace(REFUSED, next_step="Use the one that exists: list_tasks shows the tasks there are.", accepted=True),
    # A 422 without a record is KIE's "recordInfo is null": KIE does not know the task. A 422 that comes with the
    # task's record does not say that the task has ended.
    422: replace(REFUSED, not_ready=True, bare="missing"),
    429: replace(ACCOUNT, error=RateLimited, next_step="Wait ten seconds.", retryable=True),
    433: replace(
        ACCOUNT,
        error=InsufficientCredits,
        next_step="This key's own spending cap is reached: raise it at KIE.",
    ),
    451: replace(
        FAILED,
        next_step="KIE could not fetch a file: upload it with upload_file.",
        refused=True,
        upload_gone=True,
    ),
    455: replace(ACCOUNT, next_step="KIE is under maintenance: try again later.", retryable=True),
    # A 500 that comes with the task's record says that the task failed. A 500 without a record is KIE's own trouble.
    500: replace(TROUBLE, bare="request", recorded="failed", failure_retryable=True),
    501: replace(FAILED_AT_KIE, next_step="KIE could not make it: change the arguments, or choose another model."),
    **dict.fromkeys(range(502, 531), replace(TROUBLE, bare="request", recorded="request")),
    505: replace(ACCOUNT, next_step=f"KIE has switched this off. {CHANGE_MODEL}"),
    531: replace(FAILED_AT_KIE, next_step="KIE could not make it and charged nothing: call again if you like."),
    4030: replace(REFUSED, next_step="KIE does not serve the region that this server is in."),
}
"""The documented codes."""


def find(code: int | None) -> Code:
    """Return the row of a code; an undocumented code and None have a row, too."""
    number = code or 0
    if number in CODES:
        return CODES[number]
    match number // 100:
        case 3 | 4:
            return REFUSED
        case 5:
            return TROUBLE
        case _:
            return OTHER


def error(code: int, message: str, retry_after: float | None = None, *, advice: Advice = KIE) -> ApiError:
    """Build the error of an answer whose code is not a success.

    Args:
        code: KIE's code, or the HTTP status when KIE's answer has no code.
        message: KIE's message on one line; may be empty.
        retry_after: Seconds that KIE asked to wait.
        advice: What the account's owner can do.
    """
    row = find(code)
    kind, next_step = row.error, row.advise(advice)
    if code == 422 and UNKNOWN_MODEL.search(message):
        kind, next_step = NotOffered, CHANGE_MODEL
    text = f"KIE says {code}: {message or 'no reason'}"
    return kind(text, next_step, retryable=row.retryable, code=code, retry_after=retry_after)
