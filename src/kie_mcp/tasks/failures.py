"""What is said of a task that went wrong: the reason, what it cost, what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager

from kie_mcp.catalog.model import KieModel
from kie_mcp.errors import ApiError, ConfirmationNeeded, KieMcpError, NotOffered, TaskFailed, UnknownOutcome
from kie_mcp.kie.client import LOOK
from kie_mcp.kie.status import Status
from kie_mcp.ledger.ledger import LedgerError
from kie_mcp.ledger.task import Task

NOT_SENT = KieMcpError("The server ended before KIE was asked.", "Call again.", retryable=True)
GONE = ApiError("KIE does not know this task, or not any more: it keeps records for 14 days.", LOOK, billed=None)
EMPTY = TaskFailed("KIE says that the task has succeeded, and names no result.", LOOK, billed=None)
SETTLED = ApiError("KIE never took this task: resolve_task was told so.", "The same call makes it anew.")


def lost(balance_tells: str) -> UnknownOutcome:
    """That a server ended in the middle of a create."""
    message = f"The server ended while KIE was asked. The task may have been accepted and billed.{balance_tells}"
    return UnknownOutcome(message, LOOK, billed=None)


def not_saved(error: Exception) -> ApiError:
    """That the files of a task are gone."""
    return ApiError(
        f"The files were not saved while KIE had them, which is 14 days ({reason(error)}).",
        "Make it again if it is still wanted.",
        billed=True,
    )


def to_confirm(task: Task, id_: str, *, stale: bool, minutes: int) -> ConfirmationNeeded:
    """That a person has to agree first."""
    given = "That confirmation has expired or was for another call. " if stale else ""
    return ConfirmationNeeded(
        f"{given}{task.cost}: so much needs the user's word.",
        f"Ask the user. If they agree, make the same call with confirm: {id_!r} within {minutes} minutes.",
        confirm=id_,
    )


@contextmanager
def before_kie_is_asked() -> Iterator[None]:
    """Say of what the ledger refuses that nothing was sent."""
    try:
        yield
    except LedgerError as error:
        raise not_asked(error) from None


def not_asked(error: Exception) -> KieMcpError:
    """That the ledger keeps a task from being started."""
    return KieMcpError(
        f"The ledger cannot be written ({reason(error)}), so KIE was not asked.",
        "Make room on the disk, or end what holds the ledger; then call again.",
        retryable=True,
    )


def failure(seen: Status) -> KieMcpError:
    """What KIE says of a task that failed."""
    message = seen.error or "KIE says no and gives no reason."
    billed = None if seen.credits is None else seen.credits > 0
    if seen.code in (408, 500, 501, 531) or "try again" in message.casefold():
        return TaskFailed(message, "KIE had trouble: the same call may work later.", retryable=True, billed=billed)
    return TaskFailed(message, "Change what the message names, then call again.", billed=billed)


def unfinished(seen: Status) -> KieMcpError:
    """That a task has been asked after for long enough."""
    last = f": {seen.error.rstrip('.')}" if seen.error else ""
    return TaskFailed(f"KIE has not finished this task within an hour{last}.", LOOK, billed=None)


def with_alternative(error: KieMcpError, call: KieModel, task: Task) -> KieMcpError:
    """The same error, with what this model's caller can do."""
    if isinstance(error, NotOffered) and call.legacy:
        error.message = f"KIE no longer offers {call.id}. {error.message}"
        error.next_step = f"Use {call.legacy} instead."
    if isinstance(error, UnknownOutcome):
        error.message = f"{error.message} It is task {task.id} here."
    error.task_id = task.id
    return error


def broken(task: Task, error: Exception) -> KieMcpError:
    """That something here failed around a create."""
    if task.state not in ("prepared", "submitting"):
        name = f" as {task.kie_id}" if task.kie_id else ""
        return KieMcpError(
            f"KIE accepted task {task.id}{name}, but the ledger cannot be written ({reason(error)}).",
            "Do not repeat the call: get_task shows the result while this server runs, and asks by KIE's id later. "
            "Make room on the disk: writing is tried again.",
            billed=True,
            task_id=task.id,
        )
    if isinstance(error, LedgerError):
        return not_asked(error)
    return KieMcpError(
        f"Something went wrong inside kie-mcp with task {task.id}; its log tells what.",
        LOOK,
        billed=None if task.state == "submitting" else False,
        task_id=task.id,
    )


def reason(error: Exception) -> str:
    """What went wrong, without httpx2's advice, SQLAlchemy's query and a second full stop."""
    cause = getattr(error, "orig", error)
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(said).partition("\n")[0].rstrip(".")
