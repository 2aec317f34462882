"""Every state of a task, by every answer of KIE's, before and after each time limit."""

from itertools import product
from typing import get_args

import pytest
from support.cases import for_each

from kie_mcp.errors import ApiError, KieMcpError, TaskFailed, UnknownOutcome
from kie_mcp.kie import codes, routes
from kie_mcp.kie.advice import KIE
from kie_mcp.kie.result_readers import Media
from kie_mcp.kie.status import Status
from kie_mcp.ledger.task import FINAL, KEPT_FOR, State
from kie_mcp.tasks.failures import no_result_note
from kie_mcp.tasks.transitions import (
    GRACE_SECONDS,
    REPEATED_FOR,
    Times,
    decide,
    explain_silence,
    recover,
    refuse,
    retry_saving,
)

STATES: tuple[State, ...] = get_args(State)
ROUTES = {
    "polled": "jobs",
    "at once": "suno-timestamped-lyrics",
    "at once, yes or no": "suno-voice-check",
    "repeated": "veo-4k",
}
ANSWERS = {
    "file": Status("succeeded", media=(Media("https://kie.test/heron.png"),), credits=4),
    "text": Status("succeeded", texts=("a heron",), credits=4),
    "nothing": Status("succeeded", credits=4, unread='{"birds": 12}'),
    "cover": Status("succeeded", credits=4, possible_media=(Media("https://kie.test/cover.png"),)),
    "failed": Status("failed", error="No herons today.", credits=4),
    "missing": Status("missing", error="No herons here.", credits=4),
    "missing for long": Status("missing", error="No herons here.", credits=4),
    "running": Status("running", error="almost", credits=4),
}
MISSING = {"missing": GRACE_SECONDS, "missing for long": GRACE_SECONDS + 1}
"""Seconds for which KIE has not known the task."""
LIMITS = (GRACE_SECONDS, REPEATED_FOR, KEPT_FOR)
AGES = [0, *(age for limit in LIMITS for age in (limit, limit + 1))]
"""New; then at each limit and just after it: grace, an hour, 14 days."""

# For each age of AGES. S: succeeded, r: running, f: failed, n: succeeded and KIE names no result, c: succeeded with a
# cover alone, F: refused, u: unfinished, g: gone.
TABLE = {
    ("file", "polled"): "S S S S S S S",
    ("file", "at once"): "S S S S S S S",
    ("file", "at once, yes or no"): "S S S S S S S",
    ("file", "repeated"): "S S S S S S S",
    ("text", "polled"): "S S S S S S S",
    ("text", "at once"): "S S S S S S S",
    ("text", "at once, yes or no"): "S S S S S S S",
    ("text", "repeated"): "S S S S S S S",
    ("nothing", "polled"): "r r n n n n n",
    ("nothing", "at once"): "n n n n n n n",
    ("nothing", "at once, yes or no"): "S S S S S S S",
    ("nothing", "repeated"): "r r n n n n n",
    ("cover", "polled"): "r r c c c c c",
    ("cover", "at once"): "c c c c c c c",
    ("cover", "at once, yes or no"): "S S S S S S S",
    ("cover", "repeated"): "r r c c c c c",
    ("failed", "polled"): "f f f f f f f",
    ("failed", "at once"): "f f f f f f f",
    ("failed", "at once, yes or no"): "f f f f f f f",
    ("failed", "repeated"): "f f f f f f f",
    ("missing", "polled"): "r r r r r r g",
    ("missing", "at once"): "r r r r r r g",
    ("missing", "at once, yes or no"): "r r r r r r g",
    ("missing", "repeated"): "r r r r r r g",
    ("missing for long", "polled"): "g g g g g g g",
    ("missing for long", "at once"): "g g g g g g g",
    ("missing for long", "at once, yes or no"): "g g g g g g g",
    ("missing for long", "repeated"): "F F F F F F F",
    ("running", "polled"): "r r r r r r g",
    ("running", "at once"): "r r r r r r g",
    ("running", "at once, yes or no"): "r r r r r r g",
    ("running", "repeated"): "r r r r u u u",
}
OUTCOMES: dict[str, tuple[State, str, type[KieMcpError] | None]] = {
    "S": ("succeeded", "", None),
    "r": ("running", "", None),
    "f": ("failed", "No herons today.", TaskFailed),
    "F": ("failed", "No herons here.", TaskFailed),
    "n": ("succeeded", "", None),
    "c": ("succeeded", "", None),
    "u": ("failed", 'within an hour; it says "almost".', TaskFailed),
    "g": ("expired", "does not know this task", ApiError),
}
ROWS = [
    (*key, age, letter) for key, letters in TABLE.items() for age, letter in zip(AGES, letters.split(), strict=True)
]


def test_the_table_has_every_answer_on_every_route() -> None:
    assert set(TABLE) == set(product(ANSWERS, ROUTES))


@pytest.mark.parametrize("state", [state for state in STATES if state not in FINAL])
def test_an_answer_moves_an_open_task(state: State) -> None:
    """Where KIE has never said that it runs; whatever the state is called, an answer shows that KIE has the task."""
    for answer, route, age, letter in ROWS:
        case = f"{answer}, {route}, after {age} s"
        expected, message, kind = OUTCOMES[letter]
        status = ANSWERS[answer]
        times = Times(age, silence=age, missing=MISSING.get(answer, 0))
        found = decide(state, routes.find(ROUTES[route]), status, times)
        assert found.state == expected, case
        assert (found.media, found.texts, found.note) == {
            "S": (status.media, status.texts, ""),
            "n": ((), ('{"birds": 12}',), no_result_note(KIE)),
            "c": (status.possible_media, (), ""),
        }.get(letter, ((), (), "")), case
        assert found.progresses == (answer == "running" and letter == "r"), case
        assert type(found.error) is (kind or type(None)), case
        assert message in str(found.error or ""), case
        # What a task is said to have cost before it has ended is not final.
        assert found.charged == (4 if letter in "Sfnc" else None), case


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_stays(state: State) -> None:
    for answer, route, age in product(ANSWERS, ROUTES, AGES):
        times = Times(age, silence=age, missing=GRACE_SECONDS + 1)
        found = decide(state, routes.find(ROUTES[route]), ANSWERS[answer], times)
        given = (found.state, found.error, found.media, found.texts)
        assert given == (state, None, (), ()), f"{answer}, {route}, after {age} s"


@pytest.mark.parametrize("route", ["polled", "repeated"])
@pytest.mark.parametrize("age", AGES)
def test_results_may_follow_for_as_long_after_the_last_running_however_old_the_task(route: str, age: float) -> None:
    for silence, expected in ((0, "running"), (GRACE_SECONDS, "running"), (GRACE_SECONDS + 1, "succeeded")):
        assert decide("running", routes.find(ROUTES[route]), ANSWERS["nothing"], Times(age, silence)).state == expected


@pytest.mark.parametrize(
    ("state", "expected", "billed"), [("prepared", "failed", False), ("submitting", "unknown", None)]
)
def test_a_create_that_a_crash_interrupted_is_not_sent_again(
    state: State, expected: State, billed: bool | None
) -> None:
    found = recover(state, " The balance fell.")
    assert found.state == expected
    assert found.error
    assert found.error.billed is billed
    assert ("The balance fell." in found.error.message) == (state == "submitting")


@pytest.mark.parametrize("state", [state for state in STATES if state not in {"prepared", "submitting"}])
def test_any_other_state_outlives_a_crash(state: State) -> None:
    assert recover(state) == recover(state, " The balance fell.")
    assert (recover(state).state, recover(state).error) == (state, None)


def test_a_create_whose_outcome_nobody_knows_is_no_failure() -> None:
    lost, refused = UnknownOutcome("The connection broke."), ApiError("No.")
    assert (refuse(lost).state, refuse(lost).error) == ("unknown", lost)
    assert (refuse(refused).state, refuse(refused).error) == ("failed", refused)


@pytest.mark.parametrize(("age", "expected"), [(0, "succeeded"), (KEPT_FOR, "succeeded"), (KEPT_FOR + 1, "expired")])
def test_files_are_downloaded_again_until_kie_has_deleted_them(age: float, expected: State) -> None:
    found = retry_saving(OSError(28, "No space left on device"), age)
    assert found.state == expected
    assert (found.error is None) == (expected == "succeeded")


@pytest.mark.parametrize(
    ("code", "failed_polls", "silence", "expected"),
    [
        (401, 1, 0, ""),
        (401, 2, 1, "Check KIE_API_KEY"),
        (505, 2, 1, "KIE has switched this off"),
        (500, 9, GRACE_SECONDS, ""),
        (500, 9, GRACE_SECONDS + 1, "kie-mcp goes on asking; do not repeat the call"),
        (429, 9, GRACE_SECONDS + 1, "kie-mcp goes on asking; do not repeat the call"),
    ],
)
def test_a_task_that_kie_cannot_be_asked_about_says_why_and_what_to_do(
    code: int, failed_polls: int, silence: float, expected: str
) -> None:
    note = explain_silence(codes.error(code, "no"), failed_polls, silence, KIE)
    assert bool(note) == bool(expected)
    if note:
        assert note.startswith(f'KIE does not tell the state of the task: KIE says {code}: "no". {expected}')
        assert "resolve_task takes the link of its file" in note


@pytest.mark.parametrize(("state", "error"), [("running", "record status is not success"), ("missing", "null")])
@pytest.mark.parametrize(("age", "is_late"), [(GRACE_SECONDS, False), (GRACE_SECONDS + 1, True)])
def test_a_late_task_of_which_kie_says_other_things_than_a_state_tells_them(
    state: str, error: str, age: float, *, is_late: bool
) -> None:
    answer = Status("missing" if state == "missing" else "running", error=error)
    found = decide("running", routes.JOBS, answer, Times(age, silence=age, usual=4))
    assert (found.state, error in found.note) == ("running", is_late)


@for_each(
    "code, error, retryable, next_step",
    [
        (429, "Too many concurrent tasks", True, "the same call may work later"),
        (455, "maintenance", True, "the same call may work later"),
        (503, "Service unavailable", True, "the same call may work later"),
        (400, "Concurrency limit reached, try later", True, "the same call may work later"),
        (402, "Insufficient credits", False, "Top up"),
        (451, "Failed to fetch file", False, "upload it with upload_file"),
        (413, "matches existing work of art", False, "Change what the message names"),
        (None, "", False, "The same call may work later, or another model"),
    ],
)
def test_a_failed_task_says_what_helps(code: int | None, error: str, *, retryable: bool, next_step: str) -> None:
    found = decide("running", routes.JOBS, Status("failed", error=error, code=code), Times(9, silence=9)).error
    assert found
    assert (found.retryable, next_step in found.next_step) == (retryable, True)


def test_a_success_whose_file_kie_has_deleted_is_expired() -> None:
    answer = Status("succeeded", media=(Media("https://kie.test/heron.mp4"),), is_gone=True)
    found = decide("running", routes.JOBS, answer, Times(9, silence=9))
    assert (found.state, found.media, found.error and found.error.billed) == ("expired", (), True)
    assert "has deleted the file" in str(found.error)
