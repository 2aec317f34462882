"""Polling schedule: how long to wait between two polls (status requests to KIE) of a running task.

Polls are rare while a task can hardly have ended, and frequent about the time when such tasks usually end. The next
poll comes after `sqrt(2 * patience / hazard)` seconds. `hazard` is the probability per second that the task ends now.
The delay is the time between the end of a task and the poll that notices it, and `patience` is the number of seconds
that each interval may add to the expected delay. No other schedule with the same number of polls has a smaller delay.

The schedule assumes that durations have a log-logistic distribution. This distribution is similar to a log-normal one,
but has a short formula for the hazard. It allows very long durations, so the intervals grow while a task is late.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_DURATIONS, NEWEST_DURATIONS = 5, 20
"""Minimum number of measured durations for computing a spread, and maximum number of durations (the newest) to use."""
SPREAD, WIDEST_SPREAD = 0.25, 1.0
"""Spread (see `DurationEstimate`) that is assumed while few durations are measured, and maximum computed spread."""
QUARTILES = 1.349
"""Distance between the lower and the upper quartile of a normal distribution, in standard deviations."""
LOGISTIC = math.pi / math.sqrt(3)
"""Standard deviation of a logistic distribution with scale 1.

This number, divided by the spread of the durations, is the shape parameter of the log-logistic distribution.
"""

FIRST_POLL_SHARE = 0.85
"""Latest time of a task's first poll, as a share (0 to 1) of the expected duration."""
FIRST_PATIENCE = 1.5
"""The interval until the first poll may add this many times as much to the expected delay as each later interval."""
FIRST_BLIND_POLL, SHORTEST_BLIND_DELAY, BLIND_DELAY_SHARE = 2.9, 1.95, 1 / 14
"""Times of the polls of a task, if no duration of its model has been measured yet.

The first number is the seconds until the first poll. The second is the minimum seconds between two polls. The third is
the interval between two polls, as a share of the task's age; near the built-in duration, intervals may be shorter.
"""
BUILT_IN_FROM, BUILT_IN_TO = 0.5, 1.5
"""Between these ages (shares of the built-in duration), polls may be more frequent, because the task may end soon."""
SHORTEST_DELAY, LONGEST_DELAY = 0.5, 60.0
"""The shortest and the longest time between two polls, in seconds. Estimated durations are never below the shortest."""
MAX_PATIENCE = 0.4
"""Upper limit of `patience`, the seconds that one interval adds to the expected delay until a poll notices the end."""
LONGEST_RELAXED_DELAY = 600.0
"""The longest time between two polls, in seconds, while KIE's callbacks report the ends of tasks."""
RELAXATION = 20
"""Factor by which intervals between polls are longer while KIE's callbacks report the ends of tasks.

With this factor, nearly every task's callback arrives before the next poll.
"""
REPEAT_SECONDS = 30
"""Minimum seconds between two equal create requests, on routes where a repeated request reads the status."""
DOUBT_SECONDS = 5.0
"""Seconds until the next poll if KIE did not know the task, although KIE should know the task by now."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
"""Seconds to wait after the first failed poll, and maximum seconds; the wait doubles with each further failed poll."""


@dataclass(frozen=True, slots=True)
class DurationEstimate:
    """The expected duration of a task, estimated from earlier tasks with the same model and clip length."""

    seconds: float
    """The median of the durations in seconds; at least 0.5."""
    spread: float = SPREAD
    """The standard deviation of the natural logarithms of the durations; it has no unit."""
    is_measured: bool = True
    """False if no task was measured yet, so that `seconds` is the model's built-in duration, which may be far off."""


def estimate_duration(durations: Sequence[float], built_in: float) -> DurationEstimate:
    """Estimate the duration of a task from the durations of earlier tasks.

    Args:
        durations: Durations of earlier tasks in seconds, with the newest task last.
        built_in: The duration in seconds to assume if `durations` is empty.
    """
    if not durations:
        return DurationEstimate(max(SHORTEST_DELAY, built_in), is_measured=False)
    logs = [math.log(max(SHORTEST_DELAY, seconds)) for seconds in durations[-NEWEST_DURATIONS:]]
    if len(logs) < FEWEST_DURATIONS:
        # The fewer durations there are, the less certain their median is. The factor makes the spread larger for few
        # durations.
        return DurationEstimate(math.exp(statistics.median(logs)), SPREAD * math.sqrt(1 + 1 / len(logs)))
    low, middle, high = statistics.quantiles(logs, n=4)
    # A few durations may be close together by chance. So the result is a weighted mean of the computed spread and the
    # assumed one (`SPREAD`), which has the weight of 20 durations.
    spread = ((high - low) / QUARTILES * len(logs) + SPREAD * NEWEST_DURATIONS) / (len(logs) + NEWEST_DURATIONS)
    return DurationEstimate(math.exp(middle), min(spread, WIDEST_SPREAD))


def estimate_seconds(age: float, running_age: float) -> float:
    """Estimate how many seconds a task took: the middle between the poll that noticed its end and the previous poll.

    `age` itself would be too long, because the poll comes after the end. With estimates that are too long, the next
    tasks would be polled later, and would seem to take even longer.

    Args:
        age: Seconds from the start to the poll that found that the task had ended.
        running_age: Seconds from the start to the previous poll; 0 if there was no previous poll.
    """
    # `running_age` counts as at least half of `age`. Without a previous poll, the estimate is thus 75 % of `age`: the
    # first poll comes early, so a task that has ended by then probably ran for most of `age`.
    return (age + max(running_age, age / 2)) / 2


def next_poll(age: float, duration: DurationEstimate, *, relaxed: bool = False) -> float:
    """Return the seconds until the next poll, for a task whose last poll was successful.

    Args:
        age: Seconds since the task was created; below 0 if the machine's clock was set back.
        duration: The expected duration of the task.
        relaxed: True if a callback of KIE will most likely report the task's end; polls are then only a safeguard.
    """
    relaxation = RELAXATION if relaxed else 1
    shape = LOGISTIC / duration.spread
    # This formula was chosen so that a task needs as many polls as with a poll every 3 s; see benchmarks/polling.py.
    patience = min(MAX_PATIENCE, 1.21 / math.pow(duration.seconds, 0.893)) * relaxation**2
    # The next lines compute the time of the first poll. Soon after the start, the share of tasks that have ended is
    # about (age / duration) ** shape. The integral of this share up to the first poll is the expected delay in seconds.
    share = math.pow(FIRST_PATIENCE * patience * (shape + 1) / duration.seconds, 1 / (shape + 1))
    first = duration.seconds * (share if relaxed else min(FIRST_POLL_SHARE, share))
    # A sleep may end slightly before its time, so the first poll may come 1 % early.
    if age < 0.99 * first:
        seconds = first - max(age, 0)
    else:
        share = age / duration.seconds
        hazard = shape / (share + math.pow(share, 1 - shape)) / duration.seconds
        late = duration.seconds * math.exp(3 * duration.spread)
        seconds = max(math.sqrt(2 * patience / hazard), (age - late) / 10)
    if not duration.is_measured:
        blind = _blind_delay(age) * relaxation
        # A built-in duration may be far off. So it can only shorten intervals, and (unless `relaxed`) only while the
        # task's age is near that duration.
        near = relaxed or BUILT_IN_FROM < age / duration.seconds < BUILT_IN_TO
        seconds = min(blind, max(seconds, SHORTEST_BLIND_DELAY)) if near else blind
    return min(max(seconds, SHORTEST_DELAY), LONGEST_RELAXED_DELAY if relaxed else LONGEST_DELAY)


def _blind_delay(age: float) -> float:
    """Return the seconds until the next poll, for a task that may end at any time."""
    if age < 0.99 * FIRST_BLIND_POLL:
        return FIRST_BLIND_POLL - max(age, 0)
    return max(SHORTEST_BLIND_DELAY, age * BLIND_DELAY_SHARE)


def poll_delay(
    age: float,
    duration: DurationEstimate,
    *,
    failed_polls: int = 0,
    doubted: bool = False,
    repeated: bool = False,
    relaxed: bool = False,
) -> float:
    """Return the seconds until the next poll of a task, whether or not the last poll was successful.

    Args:
        age: Seconds since the task was created.
        duration: The expected duration of the task.
        failed_polls: Number of failed polls since the last status answer from KIE.
        doubted: True if KIE did not know the task at the last poll, although KIE should know the task by now.
        repeated: True if a poll of the task sends its create request again, because the route has no status URL.
        relaxed: Passed to `next_poll()`, which explains it.
    """
    if failed_polls:
        seconds = float(min(FIRST_BACKOFF * 2.0 ** min(failed_polls - 1, 7), LONGEST_BACKOFF))
    elif doubted:
        seconds = DOUBT_SECONDS
    else:
        seconds = next_poll(age, duration, relaxed=relaxed)
    return max(seconds, REPEAT_SECONDS) if repeated else seconds
