"""Failures: build the errors of failed tasks, each with a reason, whether KIE billed the task, and a next step."""

from collections.abc import Iterator
from contextlib import contextmanager

from kie_mcp.catalog.model import KieModel
from kie_mcp.errors import ApiError, ConfirmationNeeded, KieMcpError, NotOffered, TaskFailed, UnknownOutcome
from kie_mcp.kie import codes
from kie_mcp.kie.advice import Advice
from kie_mcp.kie.status import Status
from kie_mcp.ledger.ledger import LedgerError
from kie_mcp.ledger.task import Task

_NAMES_NO_RESULT = "KIE says that the task has succeeded, and names no result."


def lacks_result(task: Task) -> bool:
    """Whether KIE named no result of a succeeded task; earlier versions of kie-mcp saved such a task as failed."""
    told = (task.note, (task.error or {}).get("message", ""))
    return not task.results and any(each.startswith(_NAMES_NO_RESULT) for each in told)


def no_result_note(advice: Advice) -> str:
    """Build the note of a task that succeeded at KIE and has no result."""
    further = f"If there is a file, resolve_task takes its link: look at {advice.task_list}."
    return f"{_NAMES_NO_RESULT} What else KIE says is kept. {further}"


def not_sent_error() -> KieMcpError:
    """Build the error for a task whose process died before the create was sent."""
    return KieMcpError("The server ended before KIE was asked.", "Call again.", retryable=True)


def task_gone_error(advice: Advice) -> ApiError:
    """Build the error for a task that KIE does not know or no longer knows."""
    return ApiError(
        "KIE does not know this task, or not any more: it keeps records for 14 days.", advice.check_task, billed=None
    )


def not_created_error() -> ApiError:
    """Build the error for a task of unknown outcome that `resolve_task` settled as not created."""
    return ApiError("KIE never took this task: resolve_task was told so.", "The same call makes it anew.")


def create_interrupted_error(balance_note: str, advice: Advice) -> UnknownOutcome:
    """Build the error for a create interrupted by a crash.

    Args:
        balance_note: A sentence on whether the balance suggests that KIE accepted the create. It begins with a space;
            empty when nothing is known.
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


def confirmation_needed_error(task: Task, id_: str, *, stale: bool, minutes: int) -> ConfirmationNeeded:
    """Build the error for a call whose cost a person has to confirm first.

    Args:
        task: The task to confirm, which is not created yet.
        id_: The id of the confirmation, which the caller passes as `confirm` in the next call.
        stale: Whether the caller passed a confirmation that is expired or belongs to another call.
        minutes: Minutes for which the confirmation is valid.
    """
    stale_note = "That confirmation has expired or was for another call. " if stale else ""
    return ConfirmationNeeded(
        f"{stale_note}{task.cost}: so much needs the user's word.",
        f"Ask the user. If they agree, make the same call with confirm: {id_!r} within {minutes} minutes.",
        confirm=id_,
    )


@contextmanager
def explain_ledger_errors() -> Iterator[None]:
    """Replace a `LedgerError` in the `with` block by an error for the caller, which says that KIE was not asked."""
    try:
        yield
    except LedgerError as error:
        raise ledger_unwritable_error(error) from None


def ledger_unwritable_error(error: Exception) -> KieMcpError:
    """Build the error for a task that was not sent to KIE because the ledger cannot save the task."""
    return KieMcpError(
        f"The ledger cannot be written ({describe_cause(error)}), so KIE was not asked.",
        "Make room on the disk, or end what holds the ledger; then call again.",
        retryable=True,
    )


def task_failed_error(answer: Status) -> KieMcpError:
    """Build the error for a task that KIE accepted and later reported as failed."""
    message = answer.error or "KIE says no and gives no reason."
    billed = None if answer.credits is None else answer.credits > 0
    if codes.find(answer.code).failure_retryable or "try again" in message.casefold():
        return TaskFailed(message, "KIE had trouble: the same call may work later.", retryable=True, billed=billed)
    return TaskFailed(message, "Change what the message names, then call again.", billed=billed)


def not_finished_error(answer: Status, advice: Advice) -> KieMcpError:
    """Build the error for a task on a repeated route that still runs after an hour."""
    last = f": {answer.error.rstrip('.')}" if answer.error else ""
    return TaskFailed(f"KIE has not finished this task within an hour{last}.", advice.check_task, billed=None)


def add_alternative(error: KieMcpError, call: KieModel, task: Task) -> KieMcpError:
    """Add the task's id to the error of a failed create and, if KIE no longer offers the model, another model."""
    if isinstance(error, NotOffered) and call.legacy:
        error.message = f"KIE no longer offers {call.id}. {error.message}"
        error.next_step = f"Use {call.legacy} instead."
    if isinstance(error, UnknownOutcome):
        error.message = f"{error.message} It is task {task.id} here."
    error.task_id = task.id
    return error


def internal_create_error(task: Task, error: Exception, advice: Advice) -> KieMcpError:
    """Build the error for a create that failed inside this process, and not at KIE."""
    if task.state not in ("prepared", "submitting"):
        name = f" as {task.kie_id}" if task.kie_id else ""
        return KieMcpError(
            f"KIE accepted task {task.id}{name}, but the ledger cannot be written ({describe_cause(error)}).",
            "Do not repeat the call: get_task shows the result while this server runs, and asks by KIE's id later. "
            "Make room on the disk: writing is tried again.",
            billed=True,
            task_id=task.id,
        )
    if isinstance(error, LedgerError):
        return ledger_unwritable_error(error)
    return KieMcpError(
        f"Something went wrong inside kie-mcp with task {task.id}; its log tells what.",
        advice.check_task,
        billed=None if task.state == "submitting" else False,
        task_id=task.id,
    )


def describe_cause(error: Exception) -> str:
    """Return an error's message: its first line, without SQLAlchemy's query and without a final full stop."""
    cause = getattr(error, "orig", error)
    message = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(message).partition("\n")[0].rstrip(".")
