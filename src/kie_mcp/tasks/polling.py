"""When to look at a running task: seldom while it can hardly have ended, often about the time when such tasks end.

Reads buy the most when the next look comes `sqrt(2 * patience / hazard)` later, the hazard being the chance per second
that the task ends now: then its end waits `patience` seconds on average between any two looks. Lengths are taken as
log-logistic: nearly log-normal, but with a hazard of one line, and a tail so heavy that looks at a late task come ever
farther apart.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST, NEWEST = 5, 20
"""How many lengths tell more than the built-in figure, and how many are taken into account."""
SPREAD, WIDEST = 0.25, 1.0
"""The spread while nothing is known, and the largest that is believed."""
QUARTILES = 1.349
"""How many standard deviations lie between the quartiles of a normal distribution."""
LOGISTIC = math.pi / math.sqrt(3)
"""The standard deviation of the logistic distribution."""

FIRST = 0.85
"""The latest first look, as a share of the usual time. A task seems to have ended when it is looked at: with a first
look at the usual time or after it, that time would grow with each task."""
SHORTEST, LONGEST = 0.5, 60.0
"""Seconds between two looks."""
MOST_PATIENCE = 0.4
"""Seconds that an end waits on average between two looks, for the shortest tasks."""


@dataclass(frozen=True, slots=True)
class DurationEstimate:
    """How long such tasks take."""

    seconds: float
    """The median, at least 0.5."""
    spread: float = SPREAD
    """The standard deviation of the logarithm, from 0.1 to 1."""


def estimate_duration(lengths: Sequence[float], built_in: float) -> DurationEstimate:
    """What is usual, by how long earlier tasks took.

    Args:
        lengths: Their seconds, the newest last.
        built_in: The seconds to go by while there are too few of them.
    """
    if len(lengths) < FEWEST:
        return DurationEstimate(max(SHORTEST, built_in))
    logs = [math.log(max(SHORTEST, length)) for length in lengths[-NEWEST:]]
    low, middle, high = statistics.quantiles(logs, n=4)
    # A few lengths tell little of their spread, and even 20 equal ones do not promise the next.
    spread = ((high - low) / QUARTILES * len(logs) + SPREAD * NEWEST) / (len(logs) + NEWEST)
    return DurationEstimate(math.exp(middle), min(spread, WIDEST))


def next_poll(age: float, usual: DurationEstimate) -> float:
    """Seconds until the next look at a task.

    Args:
        age: The task's, in seconds; below 0 when the clock was set back.
        usual: How long such tasks take.
    """
    shape = LOGISTIC / usual.spread
    # So the reads are as many as with a look every 3 s: benchmarks/watching.py.
    patience = min(MOST_PATIENCE, 1.25 / math.pow(usual.seconds, 0.9))
    # That early, the share of tasks that have ended is (age / usual) ** shape; its integral is how long they wait.
    first = usual.seconds * min(FIRST, math.pow(patience * (shape + 1) / usual.seconds, 1 / (shape + 1)))
    # Another clock may find that a sleep ended a little early.
    if age < 0.99 * first:
        seconds = first - max(age, 0)
    else:
        share = age / usual.seconds
        hazard = shape / (share + math.pow(share, 1 - shape)) / usual.seconds
        late = usual.seconds * math.exp(3 * usual.spread)
        seconds = max(math.sqrt(2 * patience / hazard), (age - late) / 10)
    return min(max(seconds, SHORTEST), LONGEST)
