"""State transitions of a task: functions that compute the next state, without I/O, clock or ledger.

The states of a task are `prepared` -> `submitting` -> `running` -> `succeeded`, `failed` or `expired`. A task becomes
`unknown` if nobody can tell whether KIE accepted its create request. A succeeded task becomes `expired` if KIE deletes
its files before they are saved.
"""

from dataclasses import dataclass

from kie_mcp.errors import ApiError, KieMcpError, UnknownOutcome
from kie_mcp.kie import status
from kie_mcp.kie.advice import KIE, Advice
from kie_mcp.kie.result_readers import Media
from kie_mcp.kie.routes import Route
from kie_mcp.kie.status import Status
from kie_mcp.ledger.task import FINAL, KEPT_FOR, State
from kie_mcp.tasks import failures
from kie_mcp.text import quote_words

GRACE_SECONDS = 90
"""Maximum seconds until KIE's status answers show a new task, or the results of a succeeded task.

A task becomes `expired` if KIE's answers do not know it for longer than this. After an outage, KIE may not know a task
for some seconds although it runs.
"""
TOO_LONG = 10
"""A task in an unknown state gets a note after this multiple of its usual duration, but not before GRACE_SECONDS."""
ASK_AGAIN = "kie-mcp goes on asking; do not repeat the call."
REPEATED_FOR = 3600
"""Seconds after which a running task on a route without a status URL becomes `failed`.

On such a route, KIE has no error code that says that a task will never end. The longest task, a 4K clip, takes ten
minutes.
"""


@dataclass(frozen=True, slots=True)
class Times:
    """The age of a task when a status answer arrives, and the time since KIE last said that the task runs."""

    age: float
    """Seconds since the task was created."""
    silence: float
    """Seconds since KIE last said that the task runs; at first, seconds since this process began to watch the task."""
    usual: float = KEPT_FOR
    """Seconds that such a task usually takes."""
    missing: float = 0
    """Seconds since the first of the status answers in a row in which KIE did not know the task; 0 if it did now."""


@dataclass(frozen=True, slots=True)
class Transition:
    """The next state of a task, and the values to save together with this state."""

    state: State
    """The next state of the task."""
    error: KieMcpError | None = None
    """The error of a task that did not succeed; None for a task that runs or succeeded."""
    media: tuple[Media, ...] = ()
    """The files that the task made, with their URLs at KIE; empty while the task runs."""
    texts: tuple[str, ...] = ()
    """The text results that the task made, such as lyrics."""
    note: str = ""
    """A sentence for the user about results that are missing or uncertain, or about an unknown state."""
    charged: float | None = None
    """Credits that KIE charged for the task; None if KIE's answer has no charge or the task still runs."""
    progresses: bool = False
    """True if KIE said that the task runs; the next `Times.silence` is measured from this answer."""


def decide(state: State, route: Route, answer: Status, times: Times, *, advice: Advice = KIE) -> Transition:
    """Return the next state of a task after a status answer from KIE.

    Args:
        state: The current state; a final state does not change.
        route: The route on which the task was created.
        answer: KIE's status answer.
        times: Seconds since the task's creation, and since KIE last said that the task runs.
        advice: Texts for error messages; they tell the account's owner what to do.
    """
    if state in FINAL:
        return Transition(state)
    match answer.state:
        case "succeeded":
            return _decide_succeeded(route, answer, times, advice)
        case "failed":
            return Transition("failed", failures.task_failed_error(answer, advice), charged=answer.credits)
        case "missing" if route.repeated and times.missing > GRACE_SECONDS:
            return Transition("failed", failures.task_failed_error(answer, advice))
        case "missing" if times.missing > GRACE_SECONDS:
            return Transition("expired", failures.task_gone_error(advice))
        case "running" if route.repeated and times.age > REPEATED_FOR:
            return Transition("failed", failures.not_finished_error(answer, advice))
        case "running" | "missing" if times.age > KEPT_FOR:
            return Transition("expired", failures.task_gone_error(advice))
        case "running" | "missing":
            note = _explain_delay(route, answer, times, advice)
            return Transition("running", note=note, progresses=answer.state == "running")


def _explain_delay(route: Route, answer: Status, times: Times, advice: Advice) -> str:
    """Return a note about a task that is late and whose state KIE does not tell in known words; else an empty text."""
    if times.age <= max(TOO_LONG * times.usual, GRACE_SECONDS):
        return ""
    if answer.new_word:
        return failures.new_word_note(answer.new_word, advice)
    if answer.error and not route.repeated:
        return failures.no_state_note(f"KIE says {quote_words(answer.error)}", ASK_AGAIN, advice)
    return ""


def explain_silence(error: ApiError, failed_polls: int, silence: float, advice: Advice) -> str:
    """Return a note about a task that KIE cannot be asked about; an empty text while this may pass by itself.

    Args:
        error: The error of the last poll.
        failed_polls: The number of failed polls in a row.
        silence: Seconds since KIE's last answer about the task.
        advice: Texts that tell the account's owner what to do.
    """
    if silence <= GRACE_SECONDS and (error.retryable or failed_polls < 2):
        return ""
    return failures.no_state_note(str(error), ASK_AGAIN if error.retryable else error.next_step, advice)


def _decide_succeeded(route: Route, answer: Status, times: Times, advice: Advice) -> Transition:
    # On some routes, status answers never contain a result. A task on such a route succeeds without a result.
    if answer.is_gone:
        return Transition("expired", failures.deleted_error(), charged=answer.credits)
    if answer.media or answer.texts or not status.SHAPES[route.shape].makes_results:
        return Transition("succeeded", media=answer.media, texts=answer.texts, charged=answer.credits)
    # A result is missing. A later status answer may contain it, but a route that answers at once has no later status
    # answers.
    if not route.at_once and times.silence <= GRACE_SECONDS:
        return Transition("running")
    return Transition(
        "succeeded",
        media=answer.possible_media,
        texts=(answer.unread,) if answer.unread else (),
        note="" if answer.possible_media else failures.no_result_note(advice),
        charged=answer.credits,
    )


def refuse(error: KieMcpError) -> Transition:
    """Return the next state of a task whose create request raised an error."""
    return Transition("unknown" if isinstance(error, UnknownOutcome) else "failed", error)


def recover(state: State, balance_note: str = "", *, advice: Advice = KIE) -> Transition:
    """Return the next state of a task whose process has died.

    Args:
        state: The task's state when the process died.
        balance_note: A sentence, after a leading space, that states the balance before the create request and the
            balance now; empty if one of them is unknown.
        advice: Texts for error messages; they tell the account's owner what to do.
    """
    match state:
        case "prepared":
            return Transition("failed", failures.not_sent_error())
        case "submitting":
            return Transition("unknown", failures.create_interrupted_error(balance_note, advice))
        case _:
            return Transition(state)


def retry_saving(error: Exception, age: float) -> Transition:
    """Return the next state of a succeeded task whose files could not be saved.

    The state stays `succeeded` to retry the download; it becomes `expired` if KIE has deleted the files.

    Args:
        error: The error that the attempt to save the files raised.
        age: Seconds since the task was created.
    """
    if age > KEPT_FOR:
        return Transition("expired", failures.files_gone_error(error))
    return Transition("succeeded")
