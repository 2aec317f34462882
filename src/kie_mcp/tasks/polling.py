"""Polling schedule: how long to wait between two status reads of a running task.

Polls are rare while a task can hardly have ended, and frequent about the time when such tasks end. Reads buy the most
when the next poll comes `sqrt(2 * patience / hazard)` later, the hazard being the chance per second that the task ends
now: then its end waits `patience` seconds on average between any two polls. Durations are taken as log-logistic: nearly
log-normal, but with a hazard of one line, and a tail so heavy that polls of a late task come ever farther apart.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_DURATIONS, NEWEST_DURATIONS = 5, 20
"""Durations that must be known to count more than the built-in figure, and durations that are taken into account."""
SPREAD, WIDEST_SPREAD = 0.25, 1.0
"""The spread while nothing is known, and the largest that is believed."""
QUARTILES = 1.349
"""How many standard deviations lie between the quartiles of a normal distribution."""
LOGISTIC = math.pi / math.sqrt(3)
"""The standard deviation of the logistic distribution."""

FIRST_POLL_SHARE = 0.85
"""The latest first poll, as a share of the expected duration. A task seems to have ended when it is polled: with a
first poll at the expected end or after it, the expected duration would grow with each task."""
SHORTEST_DELAY, LONGEST_DELAY = 0.5, 60.0
"""Seconds between two polls, and the shortest duration."""
MOST_PATIENCE = 0.4
"""Seconds that an end waits on average between two polls, for the shortest tasks."""
REPEAT_SECONDS = 30
"""Seconds that KIE wants between two creates on a route whose status is read by repeating the create."""
DOUBT_SECONDS = 1.0
"""Seconds until a task is polled again that KIE should know by now, and does not."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
"""Seconds until the next poll after one that failed; they double with each that fails."""


@dataclass(frozen=True, slots=True)
class DurationEstimate:
    """How long tasks of one kind take."""

    seconds: float
    """The median, at least 0.5."""
    spread: float = SPREAD
    """The standard deviation of the logarithm, from 0.1 to 1."""


def estimate_duration(durations: Sequence[float], built_in: float) -> DurationEstimate:
    """Estimate how long a task takes from how long earlier ones took.

    Args:
        durations: Seconds that the earlier tasks took, the newest last.
        built_in: Seconds to assume while too few durations are known.
    """
    if len(durations) < FEWEST_DURATIONS:
        return DurationEstimate(max(SHORTEST_DELAY, built_in))
    logs = [math.log(max(SHORTEST_DELAY, seconds)) for seconds in durations[-NEWEST_DURATIONS:]]
    low, middle, high = statistics.quantiles(logs, n=4)
    # A few durations tell little of their spread, and even 20 equal ones do not promise the next.
    spread = ((high - low) / QUARTILES * len(logs) + SPREAD * NEWEST_DURATIONS) / (len(logs) + NEWEST_DURATIONS)
    return DurationEstimate(math.exp(middle), min(spread, WIDEST_SPREAD))


def next_poll(age: float, duration: DurationEstimate) -> float:
    """Return the seconds until the next poll by the schedule alone.

    Args:
        age: Seconds since the task was created; below 0 when the clock was set back.
        duration: How long such tasks take.
    """
    shape = LOGISTIC / duration.spread
    # This makes as many reads as a poll every 3 s: benchmarks/polling.py.
    patience = min(MOST_PATIENCE, 1.25 / math.pow(duration.seconds, 0.9))
    # That early, the share of tasks that have ended is (age / duration) ** shape; its integral is how long they wait.
    share = math.pow(patience * (shape + 1) / duration.seconds, 1 / (shape + 1))
    first = duration.seconds * min(FIRST_POLL_SHARE, share)
    # Another clock may find that a sleep ended a little early.
    if age < 0.99 * first:
        seconds = first - max(age, 0)
    else:
        share = age / duration.seconds
        hazard = shape / (share + math.pow(share, 1 - shape)) / duration.seconds
        late = duration.seconds * math.exp(3 * duration.spread)
        seconds = max(math.sqrt(2 * patience / hazard), (age - late) / 10)
    return min(max(seconds, SHORTEST_DELAY), LONGEST_DELAY)


def poll_delay(
    age: float, duration: DurationEstimate, *, failed_polls: int = 0, doubted: bool = False, repeated: bool = False
) -> float:
    """Return the seconds until the next poll of a task, whatever came of the last one.

    Args:
        age: Seconds since the task was created.
        duration: How long such tasks take.
        failed_polls: Polls in a row, up to the last one, that got no status answer.
        doubted: Whether KIE should know the task by now, and the last answer did not.
        repeated: Whether the status is read by repeating the create.
    """
    if failed_polls:
        return float(min(FIRST_BACKOFF * 2.0 ** min(failed_polls - 1, 7), LONGEST_BACKOFF))
    if doubted:
        return DOUBT_SECONDS
    return max(next_poll(age, duration), REPEAT_SECONDS if repeated else 0)
