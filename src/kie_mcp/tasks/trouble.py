"""What is said of a task that went wrong: the reason, what it cost, what to do next."""

import sqlalchemy.exc

from kie_mcp.catalog import KieModel
from kie_mcp.errors import ApiError, KieMcpError, NotOffered, TaskFailed, UnknownOutcome
from kie_mcp.kie.status import Status
from kie_mcp.tasks.task import Task

LOOK = "Look at https://kie.ai/logs before you ask for it again."

LOST = UnknownOutcome(
    "The server ended while KIE was asked. The task may have been accepted and billed.", LOOK, billed=None
)
GONE = ApiError("KIE does not know this task, or not any more: it keeps records for 14 days.", LOOK, billed=None)
EMPTY = TaskFailed("KIE says that the task has succeeded, and names no result.", LOOK, billed=None)


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
    return error


def broken(task: Task, error: Exception) -> KieMcpError:
    """That something here failed around a create."""
    if task.state != "submitting":
        name = f" as {task.kie_id}" if task.kie_id else ""
        return KieMcpError(
            f"KIE accepted task {task.id}{name}, but the ledger cannot be written ({reason(error)}).",
            "Do not repeat the call: get_task shows the result while this server runs, https://kie.ai/logs later. "
            "Make room on the disk.",
            billed=True,
        )
    if isinstance(error, sqlalchemy.exc.SQLAlchemyError):
        return KieMcpError(
            f"The ledger cannot be written ({reason(error)}), so KIE was not asked.", "Make room on the disk."
        )
    return KieMcpError(
        f"Something went wrong inside kie-mcp with task {task.id}; its log tells what.",
        "Look at https://kie.ai/logs before you call again.",
        billed=None,
    )


def reason(error: Exception) -> str:
    """What went wrong, without httpx2's advice, SQLAlchemy's query and a second full stop."""
    cause = getattr(error, "orig", error)
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(said).partition("\n")[0].rstrip(".")
