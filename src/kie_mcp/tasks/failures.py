"""Failures: build the errors of failed tasks; each error says why, whether KIE billed the task, and what to do next."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kie_mcp.catalog.credits import format_credits
from kie_mcp.catalog.model import KieModel
from kie_mcp.errors import ApiError, KieMcpError, NotOffered, NotRecorded, TaskFailed, UnknownOutcome
from kie_mcp.kie import codes
from kie_mcp.kie.advice import Advice
from kie_mcp.kie.status import Status
from kie_mcp.ledger.ledger import LedgerError, is_postgresql_error
from kie_mcp.ledger.task import PENDING, Task
from kie_mcp.text import quote_words

_NAMES_NO_RESULT = "KIE says that the task has succeeded, and names no result."
_TROUBLE = re.compile(r"\btry (again|later)\b|\bbusy\b|concurren|overload|rate limit", re.IGNORECASE)
"""Matches KIE's reason for a failed task if the same call may work later; some of these have the code 400."""
_NEW_WORD = "KIE calls the state of the task"
_NO_STATE = "KIE does not tell the state of the task"


def lacks_result(task: Task) -> bool:
    """Return True if a task succeeded at KIE, but KIE's answer had no result.

    Earlier versions of kie-mcp saved such a task with the state `failed`.
    """
    told = (task.note, (task.error or {}).get("message", ""))
    return not task.results and any(each.startswith(_NAMES_NO_RESULT) for each in told)


def no_result_note(advice: Advice) -> str:
    """Return a sentence for the user about a task that succeeded at KIE and has no result."""
    further = f"If there is a file, resolve_task takes its link: look at {advice.task_list}."
    return f"{_NAMES_NO_RESULT} What else KIE says is kept. {further}"


def new_word_note(word: str, advice: Advice) -> str:
    """Return a sentence for the user about a task that runs too long, in a state with an unknown name (`word`)."""
    further = f"If there is a file, resolve_task takes its link: look at {advice.task_list}."
    return f"{_NEW_WORD} {quote_words(word)}, which kie-mcp does not know. {further}"


def no_state_note(reason: str, next_step: str, advice: Advice) -> str:
    """Return a sentence for the user about a task whose state KIE has not told for a while.

    Args:
        reason: KIE's answer, or why there is none.
        next_step: What the user can do so that KIE tells the state again.
        advice: The texts for the owner of the account.
    """
    further = f"The task may have ended: look at {advice.task_list}. resolve_task takes the link of its file."
    return f"{_NO_STATE}: {reason.rstrip('.')}. {next_step} {further}"


def has_no_known_state(task: Task) -> bool:
    """Return True if a task runs, but KIE has not told its state for a while, or in a word that is not known."""
    return task.state == "running" and task.note.startswith((_NEW_WORD, _NO_STATE))


def not_sent_error() -> KieMcpError:
    """Build the error for a task whose process ended or died before it sent the create request."""
    return KieMcpError("The server ended before KIE was asked.", "Call again.", retryable=True)


def taken_over_error() -> KieMcpError:
    """Build the error for a task that another process took over before this process sent the create request."""
    return KieMcpError(
        "This server was stopped for so long that another one gave the task up, so KIE was not asked.",
        "Call again.",
        retryable=True,
    )


def task_gone_error(advice: Advice) -> ApiError:
    """Build the error for a task that KIE does not know, or no longer knows."""
    return ApiError(
        "KIE does not know this task, or not any more: it keeps records for 14 days.", advice.check_task, billed=None
    )


def not_created_error() -> ApiError:
    """Build the error for a task that, according to a caller of `resolve_task`, KIE never accepted."""
    return ApiError(
        "KIE never accepted this task, according to the call of resolve_task.", "The same call makes it anew."
    )


def create_interrupted_error(balance_note: str, advice: Advice) -> UnknownOutcome:
    """Build the error for a task whose process crashed while the create request was on its way to KIE.

    Args:
        balance_note: A space and a sentence with the balances before the create request and now; empty if one of the
            two balances is unknown.
        advice: The next steps for the account's owner.
    """
    message = f"The server ended while KIE was asked. The task may have been accepted and billed.{balance_note}"
    return UnknownOutcome(message, advice.check_task, billed=None)


def files_gone_error(error: Exception) -> ApiError:
    """Build the error for a task whose files KIE deleted before they were downloaded."""
    return ApiError(
        f"The files were not saved while KIE had them, which is 14 days ({describe_cause(error)}).",
        "Make it again if it is still wanted.",
        billed=True,
    )


def deleted_error() -> ApiError:
    """Build the error for a task that succeeded, and whose files KIE had deleted before this server knew the task."""
    return ApiError(
        "KIE made this and has deleted the file: it keeps results for 14 days.",
        "Make it again if it is still wanted.",
        billed=True,
    )


def file_lost_error(paths: str) -> ApiError:
    """Build the error for one part of a task if the part's saved file is gone, on this machine and at KIE."""
    what = f"{paths} is gone, and KIE has no copy any more."
    return ApiError(what, "Make it again if it is still wanted.", billed=True)


def parts_lost_error(lost: Mapping[int, Task], count: int) -> ApiError:
    """Build the error for a parent task that cannot reuse the parts of an earlier call, because files are lost.

    Args:
        lost: The lost parts; the keys are the numbers of the parts, counted from 0.
        count: The number of all parts.
    """
    told = [
        f"Part {number + 1} of {count}, task {part.id}, which cost "
        f"{format_credits(part.reserved if part.credits is None else part.credits)}, is lost: "
        f"{(part.error or {}).get('message', '')}"
        for number, part in lost.items()
    ]
    return ApiError(
        " ".join(told),
        "Ask the user whether to pay for it again. The same call then makes what is lost or missing, and pays for "
        "that; with quote: true it tells how much.",
    )


@contextmanager
def explain_ledger_errors() -> Iterator[None]:
    """Replace a `LedgerError` in the `with` block by a `KieMcpError`, which says that no request was sent to KIE."""
    try:
        yield
    except LedgerError as error:
        raise ledger_unwritable_error(error) from None


def ledger_unwritable_error(error: Exception) -> KieMcpError:
    """Build the error for a task that was not sent to KIE because the ledger cannot save the task."""
    return KieMcpError(
        f"The ledger cannot be written ({describe_cause(error)}), so KIE was not asked.",
        f"{_mend_ledger(error)}; then call again.",
        retryable=True,
    )


def unexpected_error(error: Exception, *, billed: bool | None) -> KieMcpError:
    """Build the error for a call that failed because of the ledger or because of a bug in kie-mcp."""
    if not isinstance(error, LedgerError):
        return KieMcpError("Something went wrong inside kie-mcp; its log says what.", "Ask list_tasks.", billed=billed)
    return KieMcpError(
        f"The ledger cannot be used ({describe_cause(error)}).",
        f"{_mend_ledger(error)}; then ask list_tasks, and call again.",
        retryable=billed is False,
        billed=billed,
    )


def _mend_ledger(error: Exception) -> str:
    """Return advice on making the ledger usable again, as the beginning of a sentence."""
    if is_postgresql_error(error):
        return "See that PostgreSQL runs, takes connections and has room"
    return "Make room on the disk, or end what holds the ledger"


def task_failed_error(answer: Status, advice: Advice) -> KieMcpError:
    """Build the error for a task that KIE accepted and later reported as failed."""
    billed = None if answer.credits is None else answer.credits > 0
    if not answer.error:
        step = "The same call may work later, or another model."
        return TaskFailed("KIE says no and gives no reason.", step, billed=billed)
    message, code = f"KIE says: {quote_words(answer.error)}", codes.find(answer.code)
    if code.failure_retryable or code.retryable or _TROUBLE.search(answer.error):
        return TaskFailed(message, "KIE had trouble: the same call may work later.", retryable=True, billed=billed)
    is_about_account = code.with_record == "request" or code.upload_gone
    next_step = code.advise(advice) if is_about_account else "Change what the message names, then call again."
    return TaskFailed(message, next_step, billed=billed)


def not_finished_error(answer: Status, advice: Advice) -> KieMcpError:
    """Build the error for a task that still runs after an hour, on a route without a status URL.

    On such a route, the client sends the create request again to read the task's status.
    """
    last = f"; it says {quote_words(answer.error)}" if answer.error else ""
    return TaskFailed(f"KIE has not finished this task within an hour{last}.", advice.check_task, billed=None)


def add_alternative(error: KieMcpError, call: KieModel, task: Task) -> KieMcpError:
    """Add the task's id to the error of a create request; if the model is gone, suggest another model as well."""
    if isinstance(error, NotOffered) and call.legacy:
        error.message = f"KIE no longer offers {call.id}. {error.message}"
        error.next_step = f"Use {call.legacy} instead."
    if isinstance(error, UnknownOutcome):
        error.message = f"{error.message} It is task {task.id} here."
    error.task_id = task.id
    return error


def internal_create_error(task: Task, error: Exception, advice: Advice) -> KieMcpError:
    """Build the error for a create request that failed because of an error inside this process, not because of KIE."""
    if task.state not in PENDING:
        name = f" as {task.kie_id}" if task.kie_id else ""
        return NotRecorded(
            f"KIE accepted task {task.id}{name}, but the ledger cannot be written ({describe_cause(error)}).",
            "Do not repeat the call: get_task shows the result while this server runs, and asks by KIE's id later. "
            "Make room on the disk: writing is tried again.",
            billed=True,
            task_id=task.id,
        )
    if isinstance(error, LedgerError):
        return ledger_unwritable_error(error)
    return KieMcpError(
        f"Something went wrong inside kie-mcp with task {task.id}; its log says what.",
        advice.check_task,
        billed=None if task.state == "submitting" else False,
        task_id=task.id,
    )


def describe_cause(error: Exception) -> str:
    """Return the first line of an error's message, without SQLAlchemy's SQL query and without a final full stop."""
    cause = getattr(error, "orig", error)
    message = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(message).partition("\n")[0].rstrip(".")
