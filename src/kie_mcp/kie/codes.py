"""Table of KIE's codes: whether KIE refused a create request, whether to retry, and what a code means for a task.

A code is the `code` in the body `{code, msg, data}` of KIE's answer; if the body has no code, it is the HTTP status.
The table is used for the answers to all requests, and for the codes in KIE's records of failed tasks.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal

from kie_mcp.errors import ApiError, AuthError, InsufficientCredits, NotOffered, RateLimited
from kie_mcp.kie.advice import KIE, Advice
from kie_mcp.text import quote_words

Verdict = Literal["request", "running", "failed", "missing"]
"""The meaning of a code in a status answer.

`request` means that the code says nothing about the task, because KIE refused the API key, limited the rate or had an
error. `missing` means that KIE does not know the task. `running` and `failed` are states of the task.
"""

SUCCESS = 200
NO_ERROR = (None, 0, SUCCESS)
"""Values of the field `code` that mean that there was no error."""

CHANGE_MODEL = "Choose another model: find_models lists them."
CHANGE_ADDRESS = (
    f"{CHANGE_MODEL} If nothing works, check KIE_MCP_BASE_URL, KIE_MCP_UPLOAD_URL and KIE_MCP_ROUTE in the environment."
)
CHANGE_ARGUMENTS = "Change the arguments as the message says."
TRY_AGAIN = "Try again in a moment."

UNKNOWN_MODEL = re.compile(
    r"\b(no such|unknown|invalid|unsupported) model\b"
    r"|\bmodel:?( (name|id))?( you \w+)? *[^\s,:;]* +((is|does|has been|can) +)?((currently|temporarily) +)?"
    r"(not +(be +)?(found|exist|available|supported|offered|valid)|no longer|unknown|unavailable)\b"
    r"(?! +(with|in|for)\b)",
    re.IGNORECASE,
)
"""Matches KIE's message with code 422 if KIE refuses the model's id; with other messages, KIE refuses the arguments.

In "With this model, WebP is not supported" and "model V4 is not supported with personaModel", the model is no problem.
"""
UNKNOWN_SOURCE = re.compile(
    r"^(?!.*\bmodel\b).*(?<![\w/.-])(task|record|audio|video|music|song|image)s?\b(?![/.-]\w).*\b(not|no|null)\b",
    re.IGNORECASE,
)
"""Matches KIE's message with code 404 if KIE does not know the earlier task that the request names.

In "Model kling/text-to-video not found" and "/api/v1/video/generate not found", the words belong to another name.
"""


@dataclass(frozen=True, slots=True)
class Code:
    """The meaning of one of KIE's codes in the answers to each kind of request."""

    error: type[ApiError] = ApiError
    """Class of the error that is raised when KIE answers a request with this code."""
    next_step: str | Callable[[Advice], str] = CHANGE_ARGUMENTS
    """What the caller can do next: a sentence, or a function if the sandbox and the real KIE need different texts."""
    refused: bool = False
    """Whether a create request with this answer certainly created no task and cost nothing."""
    retryable: bool = False
    """Whether the same request may succeed later."""
    accepted: bool = False
    """Whether a create request with this answer created a task, provided that the answer has a task id."""
    not_ready: bool = False
    """Whether this code, on a `repeated` route (see `Route.repeated`), may mean that KIE has not finished the file yet.

    KIE may also send this code with a finished 4K clip, so only the answer's body says whether the file is finished.
    """
    upload_gone: bool = False
    """Whether a create request may be refused with this code because an upload is gone; then a new upload may help."""
    without_record: Verdict = "running"
    """The meaning of this code in a status answer that has no record of the task."""
    with_record: Verdict = "running"
    """The meaning of this code in a status answer that has the record of the task."""
    failure_retryable: bool = False
    """Whether a new task with the same arguments may succeed after a task failed with this code."""

    def advise(self, advice: Advice) -> str:
        """Return a sentence that says what the caller can do next."""
        return self.next_step if isinstance(self.next_step, str) else self.next_step(advice)

    def verdict(self, *, has_record: bool) -> Verdict:
        """Return what this code means for the task in a status answer.

        Args:
            has_record: Whether the status answer contains the record of the task.
        """
        return self.with_record if has_record else self.without_record


OTHER = Code()
"""Meaning of a missing code, and of codes such as 600 (not 2xx to 5xx) that `CODES` lacks: the outcome is unknown."""
ACCEPTED = replace(OTHER, accepted=True)
"""Meaning of `SUCCESS`, and of 0 and other 2xx codes, with which KIE might say the same."""
REFUSED = Code(refused=True)
"""Meaning of 3xx and 4xx codes that are not in `CODES`: KIE refused the request."""
TROUBLE = Code(next_step=TRY_AGAIN, retryable=True)
"""Meaning of 5xx codes that are not in `CODES`: KIE had an error, and the same request may succeed later."""
ACCOUNT = replace(REFUSED, without_record="request", with_record="request")
"""Base entry for codes with which KIE refuses a request because of the key, balance, rate limit or maintenance."""
FAILED = Code(without_record="failed", with_record="failed")
"""Base entry for codes which say that a task ended without a result."""
FAILED_AT_KIE = replace(FAILED, refused=True, failure_retryable=True)
"""Base entry for codes which say that KIE started a task, failed to finish it, and did not charge for it."""

CODES: Mapping[int, Code] = {
    **dict.fromkeys((0, SUCCESS), ACCEPTED),
    400: replace(REFUSED, not_ready=True),
    401: replace(ACCOUNT, error=AuthError, next_step=attrgetter("change_key")),
    402: replace(ACCOUNT, error=InsufficientCredits, next_step=lambda advice: f"{advice.top_up}, then call again."),
    403: replace(ACCOUNT, error=AuthError, next_step=attrgetter("change_key")),
    404: replace(REFUSED, error=NotOffered, next_step=CHANGE_ADDRESS, without_record="missing", with_record="missing"),
    405: replace(REFUSED, error=NotOffered, next_step=CHANGE_ADDRESS),
    # KIE answers 408 when it has waited too long for the model's vendor. The vendor may have accepted the create
    # request. As the answer to a status request without the task's record, the 408 says nothing about the task.
    408: replace(FAILED, next_step=TRY_AGAIN, retryable=True, without_record="request", failure_retryable=True),
    # An answer 409 may have the id of a task that exists already. With an id, it is treated like a success.
    409: replace(REFUSED, next_step="Use the one that exists: list_tasks shows the tasks there are.", accepted=True),
    # A 422 without the task's record ("recordInfo is null") means that KIE does not know the task. A 422 with the
    # task's record does not say that the task has ended.
    422: replace(REFUSED, not_ready=True, without_record="missing"),
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
    # With the task's record, a 500 means that the task failed. Without the record, it means that the request failed.
    500: replace(TROUBLE, without_record="request", with_record="failed", failure_retryable=True),
    501: replace(FAILED_AT_KIE, next_step="KIE could not make it: change the arguments, or choose another model."),
    **dict.fromkeys(range(502, 531), replace(TROUBLE, without_record="request", with_record="request")),
    505: replace(ACCOUNT, next_step=f"KIE has switched this off. {CHANGE_MODEL}"),
    531: replace(FAILED_AT_KIE, next_step="KIE could not make it and charged nothing: call again if you like."),
    4030: replace(REFUSED, next_step="KIE does not serve the region that this server is in."),
}
"""The meaning of each code that KIE documents."""


def find(code: int | None) -> Code:
    """Return the meaning of a code; undocumented codes and None have a meaning, too."""
    if code is not None and code in CODES:
        return CODES[code]
    match (code or 0) // 100:
        case 2:
            return ACCEPTED
        case 3 | 4:
            return REFUSED
        case 5:
            return TROUBLE
        case _:
            return OTHER


def error(code: int, message: str, retry_after: float | None = None, *, advice: Advice = KIE) -> ApiError:
    """Return the error to raise for an answer whose code is not `SUCCESS`.

    Args:
        code: KIE's code; if the answer has no code, the HTTP status.
        message: KIE's message on one line; it may be empty.
        retry_after: Seconds that KIE asks to wait before the next attempt; None when KIE does not say.
        advice: Sentences for the owner of the account.
    """
    row = find(code)
    kind, next_step = row.error, row.advise(advice)
    if code == 422 and UNKNOWN_MODEL.search(message):
        kind, next_step = NotOffered, CHANGE_MODEL
    if code == 404 and UNKNOWN_SOURCE.search(message):
        kind, next_step = ApiError, CHANGE_ARGUMENTS
    text = f"KIE says {code}: {quote_words(message) if message else 'no reason'}"
    return kind(text, next_step, retryable=row.retryable, code=code, retry_after=retry_after)
