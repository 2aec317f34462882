"""State transitions of a task: pure functions, without I/O, clock or ledger.

A task goes `prepared` -> `submitting` -> `running` -> `succeeded`, `failed` or `expired`. It becomes `unknown` when
nobody can tell whether KIE accepted the create. A succeeded task becomes `expired` when KIE deletes its files before
they are saved.
"""

from dataclasses import dataclass

from kie_mcp.errors import KieMcpError, UnknownOutcome
from kie_mcp.kie import status
from kie_mcp.kie.advice import KIE, Advice
from kie_mcp.kie.result_readers import Media
from kie_mcp.kie.routes import Route
from kie_mcp.kie.status import Status
from kie_mcp.ledger.task import FINAL, KEPT_FOR, State
from kie_mcp.tasks import failures

GRACE_SECONDS = 90
"""Seconds for which KIE may not know a new task yet, or may not name the results of a succeeded task yet."""
MISSES_BELIEVED = 3
"""Number of status answers in a row in which KIE does not know a task, after which the task counts as expired."""
REPEATED_FOR = 3600
"""Seconds after which a running task on a repeated route counts as failed. A 4K clip takes ten minutes, and KIE has no
code for a task that will never end."""


@dataclass(frozen=True, slots=True)
class Times:
    """The task's age and KIE's silence, in seconds, at the time of a status answer."""

    age: float
    """Seconds since the task was created."""
    silence: float
    """Seconds since KIE last said that the task is running; at first, since the watcher began."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A decision on a task: its next state, and what to save with it."""

    state: State
    """The next state."""
    error: KieMcpError | None = None
    """Why the task did not succeed; None for a task that runs or succeeded."""
    media: tuple[Media, ...] = ()
    """The files that the task made."""
    texts: tuple[str, ...] = ()
    """The texts that the task made."""
    note: str = ""
    """A sentence for the user on results that are missing or uncertain."""
    charged: float | None = None
    """Credits that KIE charged for the task; None when the answer names no charge or the task still runs."""
    progresses: bool = False
    """Whether KIE said that the task is running, so that `Times.silence` starts at 0 again."""
    misses: int = 0
    """Number of status answers in a row, up to this one, in which KIE did not know the task."""


def decide(
    state: State, route: Route, answer: Status, times: Times, misses: int = 0, *, advice: Advice = KIE
) -> Transition:
    """Decide a task's next state from a status answer.

    Args:
        state: The current state; a final state does not change.
        route: The route that the task was created on.
        answer: The status answer.
        times: The task's age and KIE's silence, in seconds.
        misses: Number of status answers in a row, before this one, in which KIE did not know the task.
        advice: The next steps for the account's owner.
    """
    if state in FINAL:
        return Transition(state)
    misses = misses + 1 if answer.state == "missing" else 0
    match answer.state:
        case "succeeded":
            return _decide_succeeded(route, answer, times, advice)
        case "failed":
            return Transition("failed", failures.task_failed_error(answer), charged=answer.credits)
        case "missing" if times.age > GRACE_SECONDS and misses >= MISSES_BELIEVED:
            return Transition("expired", failures.task_gone_error(advice), misses=misses)
        case "missing":
            return Transition("running", misses=misses)
        case "running" if route.repeated and times.age > REPEATED_FOR:
            return Transition("failed", failures.not_finished_error(answer, advice))
        case "running" if times.age > KEPT_FOR:
            return Transition("expired", failures.task_gone_error(advice))
        case "running":
            return Transition("running", progresses=True)


def _decide_succeeded(route: Route, answer: Status, times: Times, advice: Advice) -> Transition:
    # On some routes, the status answer of a succeeded task never contains a result.
    if answer.media or answer.texts or not status.SHAPES[route.shape].makes_results:
        return Transition("succeeded", media=answer.media, texts=answer.texts, charged=answer.credits)
    # A later answer may name the results, but a route that answers at once is asked only once.
    if not route.at_once and times.silence <= GRACE_SECONDS:
        return Transition("running")
    return Transition(
        "succeeded",
        media=answer.spare_media,
        texts=(answer.unread,) if answer.unread else (),
        note="" if answer.spare_media else failures.no_result_note(advice),
        charged=answer.credits,
    )


def refuse(error: KieMcpError) -> Transition:
    """Decide the state of a task whose create raised an error."""
    return Transition("unknown" if isinstance(error, UnknownOutcome) else "failed", error)


def recover(state: State, balance_note: str = "", *, advice: Advice = KIE) -> Transition:
    """Decide the state of a task whose process has died.

    Args:
        state: The task's state when the process died.
        balance_note: A sentence on whether the balance suggests that KIE accepted the create. It begins with a space;
            empty when nothing is known.
        advice: The next steps for the account's owner.
    """
    match state:
        case "prepared":
            return Transition("failed", failures.not_sent_error())
        case "submitting":
            return Transition("unknown", failures.create_interrupted_error(balance_note, advice))
        case _:
            return Transition(state)


def retry_saving(error: Exception, age: float) -> Transition:
    """Decide the state of a succeeded task whose files could not be saved: retry, or give up when KIE deleted them.

    Args:
        error: Why the files could not be saved.
        age: Seconds since the task was created.
    """
    if age > KEPT_FOR:
        return Transition("expired", failures.files_gone_error(error))
    return Transition("succeeded")
