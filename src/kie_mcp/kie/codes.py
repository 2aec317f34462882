"""KIE's codes in one table: whether a create was refused, what is retryable, what a status answer says of its task.

A code is the `code` of the envelope `{code, msg, data}`, else the HTTP status. The same code answers creates, status
reads and all other requests, and stands in the record of a task that failed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kie_mcp.errors import ApiError, AuthError, InsufficientCredits, NotOffered, RateLimited

Verdict = Literal["request", "running", "failed", "missing"]
"""What a code in a status answer says of the task; `request`: nothing, as it is about the key, the rate or KIE."""

SUCCESS = 200
NO_ERROR = (None, 0, SUCCESS)
"""The codes that stand where nothing went wrong."""

CHANGE_MODEL = "Choose another model: find_models lists them."
CHANGE_ADDRESS = (
    f"{CHANGE_MODEL} If nothing works, check KIE_MCP_BASE_URL, KIE_MCP_UPLOAD_URL and KIE_MCP_ROUTE in the environment."
)
CHANGE_KEY = "Check KIE_API_KEY, and the key's IP list at https://kie.ai/api-key."
CHANGE_ARGUMENTS = "Change the arguments as the message says."
TRY_AGAIN = "Try again in a moment."
CHECK_LOGS = "Do not repeat the call: look at https://kie.ai/logs, then settle it with resolve_task."
"""The next step when the outcome of a create is unknown."""

UNKNOWN_MODEL = re.compile(
    r"\b(no such|unknown|invalid|unsupported) model\b"
    r"|\bmodel\b.{0,120}\b(not (found|exist|available|supported|offered|valid)|no longer|unknown|unavailable)\b",
    re.IGNORECASE,
)
"""The message of a 422 that refuses the model, rather than the model's arguments."""


@dataclass(frozen=True, slots=True)
class Code:
    """What one of KIE's codes means, for each kind of request that it may answer."""

    error: type[ApiError] = ApiError
    """The class of the error that a refused or failed request raises."""
    next_step: str = CHANGE_ARGUMENTS
    refused: bool = False
    """Whether a create answered with it has certainly made no task, so that nothing was billed."""
    retryable: bool = False
    """Whether the same request may succeed later."""
    accepted: bool = False
    """Whether a create answered with it and a task id stands for a task that exists."""
    not_ready: bool = False
    """Whether it may answer a repeated create until the file is ready, and even then."""
    upload_gone: bool = False
    """Whether a create refused with it is worth another attempt with fresh uploads."""
    bare: Verdict = "running"
    """What a status answer says of the task when no record of the task comes with the code."""
    recorded: Verdict = "running"
    """The same when the record comes with it."""
    failure_retryable: bool = False
    """Whether a task that failed with it may succeed when it is created again."""

    def verdict(self, *, recorded: bool) -> Verdict:
        """Return what a status answer with this code says of the task.

        Args:
            recorded: Whether the task's record comes with the code.
        """
        return self.recorded if recorded else self.bare


OTHER = Code()
"""A code that KIE does not document, or none: it says nothing, so a create's outcome is unknown."""
REFUSED = Code(refused=True)
"""Any 3xx or 4xx without a row of its own: KIE did not like the request."""
TROUBLE = Code(next_step=TRY_AGAIN, retryable=True)
"""Any 5xx without a row of its own."""
ACCOUNT = replace(REFUSED, bare="request", recorded="request")
"""Refused for the key, the balance or the rate."""
FAILED = Code(bare="failed", recorded="failed")
"""The task has ended without a result."""
FAILED_AT_KIE = replace(FAILED, refused=True, failure_retryable=True)
"""KIE tried, could not make it and charged nothing."""

CODES: Mapping[int, Code] = {
    SUCCESS: replace(OTHER, accepted=True),
    400: replace(REFUSED, not_ready=True),
    401: replace(ACCOUNT, error=AuthError, next_step=CHANGE_KEY),
    402: replace(ACCOUNT, error=InsufficientCredits, next_step="Top up at https://kie.ai/billing, then call again."),
    403: replace(ACCOUNT, error=AuthError, next_step=CHANGE_KEY),
    404: replace(REFUSED, error=NotOffered, next_step=CHANGE_ADDRESS, bare="missing", recorded="missing"),
    405: replace(REFUSED, error=NotOffered, next_step=CHANGE_ADDRESS),
    # KIE gave up waiting for the vendor; the create may have been accepted.
    408: replace(FAILED, next_step=TRY_AGAIN, retryable=True, failure_retryable=True),
    # The task exists already, and its id comes along: that counts as created.
    409: replace(REFUSED, next_step="Use the one that exists: list_tasks shows the tasks there are.", accepted=True),
    # KIE's "recordInfo is null" comes without a record; with one, the code is not about the task's end.
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
    # Only with its record does it say that the task failed; without one it is KIE's own trouble.
    500: replace(TROUBLE, bare="request", recorded="failed", failure_retryable=True),
    501: replace(FAILED_AT_KIE, next_step="KIE could not make it: change the arguments, or choose another model."),
    **dict.fromkeys(range(502, 531), replace(TROUBLE, bare="request", recorded="request")),
    505: replace(ACCOUNT, next_step=f"KIE has switched this off. {CHANGE_MODEL}"),
    531: replace(FAILED_AT_KIE, next_step="KIE could not make it and charged nothing: call again if you like."),
    4030: replace(REFUSED, next_step="KIE does not serve the region that this server is in."),
}
"""The documented codes."""


def find(code: int | None) -> Code:
    """Return what a code means; every code means something, also one that KIE does not document, and None."""
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


def error(code: int, message: str, retry_after: float | None = None) -> ApiError:
    """Build the error of an answer whose code is not a success.

    Args:
        code: KIE's code, else the HTTP status.
        message: KIE's message on one line; may be empty.
        retry_after: Seconds that KIE asked to wait.
    """
    row = find(code)
    kind, next_step = row.error, row.next_step
    if code == 422 and UNKNOWN_MODEL.search(message):
        kind, next_step = NotOffered, CHANGE_MODEL
    text = f"KIE says {code}: {message or 'no reason'}"
    return kind(text, next_step, retryable=row.retryable, code=code, retry_after=retry_after)
