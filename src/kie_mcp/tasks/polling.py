"""Polling schedule: how long to wait between two status reads of a running task.

Polls are rare while a task can hardly have ended, and frequent about the time when such tasks usually end. The next
poll comes after `sqrt(2 * patience / hazard)` seconds; the hazard is the chance per second that the task ends now.
With these intervals, each interval adds `patience` seconds to the expected delay between a task's end and the poll that
notices it, and a given number of polls gives the smallest delay. The schedule assumes that durations have a
log-logistic distribution. This is nearly log-normal, but its hazard is a short formula. Its tail is heavy, so the polls
of a late task come ever farther apart.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_DURATIONS, NEWEST_DURATIONS = 5, 20
"""Number of durations needed to replace the built-in figure, and number of newest durations that are used."""
SPREAD, WIDEST_SPREAD = 0.25, 1.0
"""The spread that is assumed while no duration is known, and the upper limit of an estimated spread."""
QUARTILES = 1.349
"""Number of standard deviations between the lower and the upper quartile of a normal distribution."""
LOGISTIC = math.pi / math.sqrt(3)
"""Standard deviation of a logistic distribution with scale 1; divided by the spread, it gives the curve's shape."""

FIRST_POLL_SHARE = 0.85
"""Latest time of the first poll, as a share of the expected duration. The first poll must come before the expected end:
the measured duration of a task is the time of its last poll, so later polls would make each estimate longer."""
SHORTEST_DELAY, LONGEST_DELAY = 0.5, 60.0
"""Shortest and longest time between two polls, in seconds; shorter durations of tasks count as the shortest time."""
MOST_PATIENCE = 0.4
"""Upper limit of `patience`: seconds that one interval adds to the expected delay until a poll notices the end."""
REPEAT_SECONDS = 30
"""Seconds that KIE requires between two creates, on a route whose status is read by repeating the create."""
DOUBT_SECONDS = 1.0
"""Seconds until the next poll when KIE did not know the task, though KIE should know it by now."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
"""Seconds until the next poll after one failed poll, and after many; each failed poll in a row doubles the time."""


@dataclass(frozen=True, slots=True)
class DurationEstimate:
    """How long a task is expected to take, from tasks with the same model and clip length."""

    seconds: float
    """The median duration in seconds, at least 0.5."""
    spread: float = SPREAD
    """The standard deviation of the durations' natural logarithms."""


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
    # The assumed spread has the weight of 20 durations, because few or equal durations tell little about the next one.
    spread = ((high - low) / QUARTILES * len(logs) + SPREAD * NEWEST_DURATIONS) / (len(logs) + NEWEST_DURATIONS)
    return DurationEstimate(math.exp(middle), min(spread, WIDEST_SPREAD))


def next_poll(age: float, duration: DurationEstimate) -> float:
    """Return the seconds until the next poll by the schedule, without regard to the last poll's outcome.

    Args:
        age: Seconds since the task was created; below 0 when the clock was set back.
        duration: How long such tasks take.
    """
    shape = LOGISTIC / duration.spread
    # With this patience, a task gets as many reads as with a poll every 3 s; see benchmarks/polling.py.
    patience = min(MOST_PATIENCE, 1.25 / math.pow(duration.seconds, 0.9))
    # At an early age, the share of tasks that have ended is about (age / duration) ** shape. The integral of the share
    # up to the first poll is the expected delay in seconds, which has to equal the patience.
    share = math.pow(patience * (shape + 1) / duration.seconds, 1 / (shape + 1))
    first = duration.seconds * min(FIRST_POLL_SHARE, share)
    # The factor 0.99 is needed because a sleep may end slightly early.
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
    """Return the seconds until the next poll of a task, with regard to the last poll's outcome.

    Args:
        age: Seconds since the task was created.
        duration: How long such tasks take.
        failed_polls: Number of polls in a row, up to the last one, that got no status answer.
        doubted: Whether the last answer did not know the task, though KIE should know it by now.
        repeated: Whether the task's status is read by repeating the create.
    """
    if failed_polls:
        return float(min(FIRST_BACKOFF * 2.0 ** min(failed_polls - 1, 7), LONGEST_BACKOFF))
    if doubted:
        return DOUBT_SECONDS
    return max(next_poll(age, duration), REPEAT_SECONDS if repeated else 0)
