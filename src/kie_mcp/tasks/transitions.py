"""State transitions of a task: pure functions, without I/O, clock or ledger.

`prepared` -> `submitting` -> `running` -> `succeeded`, `failed`, `expired`; or `unknown`, where nobody can tell whether
KIE accepted the create. A task that succeeded may still become `expired`, while its files are not saved.
"""

from dataclasses import dataclass

from kie_mcp.errors import KieMcpError, UnknownOutcome
from kie_mcp.kie import status
from kie_mcp.kie.routes import Route
from kie_mcp.kie.status import Status
from kie_mcp.ledger.task import FINAL, KEPT_FOR, State
from kie_mcp.tasks import failures

GRACE_SECONDS = 90
"""Seconds that KIE may not know a new task, or name no result of one that succeeded, before that is believed."""
MISSES_BELIEVED = 3
"""Status answers in a row that must not know a task, before that is believed."""
REPEATED_FOR = 3600
"""Seconds after which a task on a repeated route is given up: a 4K clip takes ten minutes, and no code of KIE's says
never."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long things have taken when a status answer comes."""

    age: float
    """Seconds since the task was created."""
    silence: float
    """Seconds since KIE last said that the task is running; at first, since the watcher began."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What becomes of a task."""

    state: State
    """The next state."""
    error: KieMcpError | None = None
    """Why it did not succeed."""
    takes_results: bool = False
    """Whether the results of the status answer are the task's."""
    charged: float | None = None
    """Credits that KIE says the task cost; None where it does not say, or the task has not ended at KIE."""
    progresses: bool = False
    """Whether KIE says that the task is running, so that its silence starts anew."""
    misses: int = 0
    """Status answers in a row, the present one included, that did not know the task."""


def decide(state: State, route: Route, answer: Status, times: Times, misses: int = 0) -> Transition:
    """Decide a task's next state by a status answer.

    Args:
        state: The present state; a final one stays.
        route: The route that the task was created on.
        answer: The status answer.
        times: How long the task has taken.
        misses: Status answers in a row, before this one, that did not know the task.
    """
    if state in FINAL:
        return Transition(state)
    misses = misses + 1 if answer.state == "missing" else 0
    match answer.state:
        case "succeeded":
            return _decide_succeeded(route, answer, times)
        case "failed":
            return Transition("failed", failures.task_failed_error(answer), charged=answer.credits)
        case "missing" if times.age > GRACE_SECONDS and misses >= MISSES_BELIEVED:
            return Transition("expired", failures.task_gone_error(), misses=misses)
        case "missing":
            return Transition("running", misses=misses)
        case "running" if route.repeated and times.age > REPEATED_FOR:
            return Transition("failed", failures.not_finished_error(answer))
        case "running" if times.age > KEPT_FOR:
            return Transition("expired", failures.task_gone_error())
        case "running":
            return Transition("running", progresses=True)


def _decide_succeeded(route: Route, answer: Status, times: Times) -> Transition:
    shape = status.SHAPES[route.shape]
    # Some answers say no more than yes.
    has_all = bool(answer.media or answer.texts or not (shape.media or shape.texts))
    if has_all:
        return Transition("succeeded", takes_results=True, charged=answer.credits)
    # The results may follow, unless nobody can ask again.
    if route.at_once or times.silence > GRACE_SECONDS:
        return Transition("failed", failures.no_result_error(), charged=answer.credits)
    return Transition("running")


def refuse(error: KieMcpError) -> Transition:
    """Decide the state of a task whose create raised an error."""
    return Transition("unknown" if isinstance(error, UnknownOutcome) else "failed", error)


def recover(state: State, balance_note: str = "") -> Transition:
    """Decide the state of a task whose process has died.

    Args:
        state: The state that the process left.
        balance_note: What the account's balance says about a create that was interrupted.
    """
    match state:
        case "prepared":
            return Transition("failed", failures.not_sent_error())
        case "submitting":
            return Transition("unknown", failures.create_interrupted_error(balance_note))
        case _:
            return Transition(state)


def retry_saving(error: Exception, age: float) -> Transition:
    """Decide the state of a task that succeeded and whose files could not be saved.

    Args:
        error: Why not.
        age: Seconds since the task was created.
    """
    if age > KEPT_FOR:
        return Transition("expired", failures.files_gone_error(error))
    return Transition("succeeded")
