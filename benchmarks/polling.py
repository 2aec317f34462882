"""Measure how soon and with how many reads the end of a task is seen: `python -m benchmarks.polling [--write FILE]`.

Tasks of several usual durations run in the sandbox, on a clock that moves only when a function sleeps. The lag of a
task is the time from its end to the status read that sees the end.

The first table compares kie-mcp's polling schedule with polling every 3 or 5 s. The schedule learns durations either
from the times in KIE's records, or from its own reads. For every usual duration and for all together, its mean lag must
be at most half of the lag of polling every 3 s, with no more reads, or with at most 2 reads. For tasks of 2 s, fewer
than 2 reads are not possible: polling every 3 s needs 1.05 reads there, and half its lag needs at least 1.26 reads.

The last two columns are about a server to which KIE sends a callback at the end of each task: in one column all
callbacks arrive, in the other a tenth of them is lost. The time from a callback to the read is measured before, in real
time, with a server and a sandbox that use HTTP on this machine, so it does not contain KIE's network. For all durations
together, the mean lag must be at most 0.15 s, with a tenth of the reads without callbacks.

The second table shows the lags of the first, second and third task with an empty ledger, over many runs, with a
built-in duration that is right or wrong by a factor of 10. The first task may have a lag of 1 s, the third one of
0.7 s. The third one may need as many reads as polling every 3 s, or 4. While only a built-in duration is known, a lag
of 1 s needs a read about every 2 s, which is 4.2 reads for 8 s and 10.4 for 20 s: no schedule with fewer reads has a
lag of 1 s for all durations from 2 to 20 s. So the first task may need as many reads as polling every 1.9 s, or 4.

It takes four minutes.
"""

import argparse
import math
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2

from benchmarks.callback_delay import measure_delays
from benchmarks.document import format_table, write_block
from kie_mcp.clock import Clock
from kie_mcp.kie import routes, status
from kie_mcp.kie.client import KieClient
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.polling import SPREAD, estimate_duration, estimate_seconds, next_poll

USUAL_SECONDS = (2, 8, 20, 60, 180)
FIRST_SECONDS = (2, 5, 8, 12, 20)
FACTORS = {"nothing known, built-in figure right": 1, "10 x too long": 10, "10 x too short": 0.1}
TASKS = 200
STARTS = 1000
"""Number of runs of three tasks that begin with an empty ledger, for each built-in duration."""
MAX_FIRST_LAG, MAX_THIRD_LAG = 1.0, 0.7
"""Maximum mean lags in seconds, rounded to hundredths, of the first and the third task with an empty ledger."""
FEW_FIRST_READS, UNKNOWN_INTERVAL = 4, 1.9
"""Reads that each task may need, and seconds between polls that notice an end within a second on average."""
MAX_CALLED_LAG, MAX_CALLED_SHARE = 0.15, 0.1
"""Most seconds of lag with callbacks, and most reads with callbacks as a share of the reads without them."""
CALLED, PARTLY_CALLED = "KIE calls", "a tenth of calls lost"
SEED = 1
FEW_READS = 2
TASK = {"model": "google/nano-banana", "input": {"prompt": "a heron at dawn"}}

Schedule = Callable[[float, Sequence[float]], float]
"""Returns the seconds until the next poll, from the task's age and the durations that were learned so far."""


class SleptClock(Clock):
    """Clock that moves only when `sleep()` is called."""

    def __init__(self) -> None:
        self.now = 1.8e9

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self.now

    def monotonic(self) -> float:
        """Return the same time as `time()`."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move the clock by some seconds, without waiting."""
        self.now += seconds


@dataclass(frozen=True)
class Measurement:
    """The lags and the numbers of status reads of some tasks."""

    lags: Sequence[float]
    """For each task, the seconds from its end to the read that saw the end."""
    reads: Sequence[int]
    """For each task, the number of status reads."""

    @property
    def mean_lag(self) -> float:
        """Mean lag in seconds."""
        return statistics.fmean(self.lags)

    @property
    def mean_reads(self) -> float:
        """Mean number of status reads of a task."""
        return statistics.fmean(self.reads)

    def __add__(self, other: "Measurement") -> "Measurement":
        return Measurement([*self.lags, *other.lags], [*self.reads, *other.reads])

    def __str__(self) -> str:
        return f"{self.mean_lag:.2f} / {statistics.quantiles(self.lags, n=20)[-1]:.2f} / {self.mean_reads:.2f}"

    def reaches(self, goal: "Measurement") -> bool:
        """Return True if this measurement has at most half of the goal's lag, with no more reads, or `FEW_READS`."""
        return self.mean_lag <= goal.mean_lag / 2 and self.mean_reads <= max(goal.mean_reads, FEW_READS)


def random_durations(usual: float, chance: random.Random, count: int = TASKS) -> list[float]:
    """Return equally likely log-normal durations in random order."""
    normal = statistics.NormalDist(math.log(usual), SPREAD)
    durations = [math.exp(normal.inv_cdf((number + 0.5) / count)) for number in range(count)]
    chance.shuffle(durations)
    return durations


async def poll_tasks(durations: Sequence[float], schedule: Schedule, *, kie_states_times: bool = True) -> Measurement:
    """Run tasks of these durations one after the other, and poll each to its end.

    Args:
        durations: Seconds that the tasks take.
        schedule: Returns the seconds until the next poll.
        kie_states_times: True to learn durations from KIE's records, False to learn them only from the polls.
    """
    clock = SleptClock()
    sandbox = Sandbox(credits=math.inf, clock=clock.time)
    lags, reads, learned = list[float](), list[int](), list[float]()
    async with KieClient("sandbox", transport=httpx2.ASGITransport(sandbox.app), clock=clock) as client:
        for duration in durations:
            began, polls, age, running_age = clock.now, 0, 0.0, 0.0
            answer = status.Status("running")
            id_ = await client.create_task(routes.JOBS.create, TASK)
            sandbox.accepted[-1].seconds = duration
            while answer.state == "running":
                await clock.sleep(schedule(age, learned))
                answer = status.parse_status(routes.JOBS.shape, await client.read_status(routes.JOBS.status, id_))
                running_age, age = age, clock.now - began
                polls += 1
            if answer.state != "succeeded" or answer.seconds is None:
                raise AssertionError(answer)
            learned.append(answer.seconds if kie_states_times else estimate_seconds(age, running_age))
            lags.append(age - duration)
            reads.append(polls)
    return Measurement(lags, reads)


def hear_tasks(durations: Sequence[float], usual: float, delays: Sequence[float], lost: float) -> Measurement:
    """Compute the measurement for tasks whose ends KIE reports with callbacks, in addition to rare polls.

    Args:
        durations: Seconds that the tasks take.
        usual: The built-in duration of the tasks, in seconds.
        delays: Seconds from the end of a task to the read that a callback causes, as measured before.
        lost: The share of callbacks that never arrive, from 0 to 1.
    """
    chance = random.Random(SEED)  # noqa: S311 - the same calls are lost each time
    lags, reads, learned = list[float](), list[int](), list[float]()
    for duration in durations:
        called = duration + chance.choice(delays) if chance.random() >= lost else math.inf
        age, polls = 0.0, 0
        while age < duration:
            age = min(age + next_poll(age, estimate_duration(learned, usual), relaxed=True), called)
            polls += 1
        learned.append(duration)
        lags.append(age - duration)
        reads.append(polls)
    return Measurement(lags, reads)


def our_schedule(built_in: float) -> Schedule:
    """Return kie-mcp's schedule for a model with this built-in duration, in seconds."""
    return lambda age, learned: next_poll(age, estimate_duration(learned, built_in))


async def compare_schedules(chance: random.Random) -> dict[str, dict[str, Measurement]]:
    """Return the rows of the first table; the last row is about all durations together."""
    rows: dict[str, dict[str, Measurement]] = {}
    delays = await measure_delays()
    for usual in USUAL_SECONDS:
        durations, ours = random_durations(usual, chance), our_schedule(usual)
        rows[f"{usual} s"] = {
            "every 3 s": await poll_tasks(durations, lambda _, __: 3),
            "every 5 s": await poll_tasks(durations, lambda _, __: 5),
            "ours, by KIE's times": await poll_tasks(durations, ours),
            "ours, by its own reads": await poll_tasks(durations, ours, kie_states_times=False),
            CALLED: hear_tasks(durations, usual, delays, 0),
            PARTLY_CALLED: hear_tasks(durations, usual, delays, 0.1),
        }
    first, *others = rows.values()
    rows["all"] = {name: sum((row[name] for row in others), measurement) for name, measurement in first.items()}
    return rows


async def poll_first_tasks(usual: float, built_in: float, chance: random.Random) -> list[Measurement]:
    """Return a measurement for each of the first, second and third task of a model, over `STARTS` empty ledgers."""
    # The first, second and third tasks have the same durations in different orders, so that the columns are comparable.
    runs = zip(*(random_durations(usual, chance, STARTS) for _ in range(3)), strict=True)
    starts = [await poll_tasks(durations, our_schedule(built_in)) for durations in runs]
    return [Measurement([each.lags[at] for each in starts], [each.reads[at] for each in starts]) for at in range(3)]


async def measure_first_tasks(chance: random.Random) -> dict[str, dict[str, Measurement]]:
    """Return the rows of the second table."""
    rows = {}
    for usual in FIRST_SECONDS:
        flat = await poll_tasks(random_durations(usual, chance), lambda _, __: 3)
        runs = {name: await poll_first_tasks(usual, usual * factor, chance) for name, factor in FACTORS.items()}
        firsts, seconds, thirds = zip(*runs.values(), strict=True)
        # From the second task on, the built-in duration does not count, so the runs measure the same.
        second, third = (sum(each[1:], each[0]) for each in (seconds, thirds))
        for name, first in zip(runs, firsts, strict=True):
            rows[f"{usual} s, {name}"] = {"every 3 s": flat, "1st task": first, "2nd": second, "3rd": third}
    return rows


def is_called_late(row: Mapping[str, Measurement]) -> bool:
    """Return True if tasks had too large a lag or needed too many reads, although KIE sent callbacks."""
    called, most_reads = row[CALLED], MAX_CALLED_SHARE * row["ours, by KIE's times"].mean_reads
    return called.mean_lag > MAX_CALLED_LAG or called.mean_reads > most_reads


def misses_goal(flat: Measurement, first: Measurement, third: Measurement) -> bool:
    """Return True if the first tasks of an empty ledger had too large a lag or needed too many reads."""
    most_reads = max(flat.mean_reads, FEW_FIRST_READS)
    most_first_reads = max(3 / UNKNOWN_INTERVAL * flat.mean_reads, FEW_FIRST_READS)
    is_late = round(first.mean_lag, 2) > MAX_FIRST_LAG or round(third.mean_lag, 2) > MAX_THIRD_LAG
    return is_late or first.mean_reads > most_first_reads or third.mean_reads > most_reads


def build_table(label: str, rows: Mapping[str, Mapping[str, Measurement]]) -> str:
    """Return the rows as a Markdown table."""
    columns = next(iter(rows.values()))
    return format_table([label, *columns], [[name, *map(str, row.values())] for name, row in rows.items()])


def main() -> int:
    """Measure, print, write, and return 1 when a row misses the goal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, help="the document to write the tables to")
    options = parser.parse_args()
    chance = random.Random(SEED)  # noqa: S311 - the same durations each time
    rows = anyio.run(compare_schedules, chance)
    text = "Mean lag in seconds / its 95th percentile / mean reads\n\n" + build_table("usual duration", rows)
    missed = [name for name, (goal, _, *ours) in each_row(rows) if not all(each.reaches(goal) for each in ours[:2])]
    missed += [CALLED] * is_called_late(rows["all"])
    rows = anyio.run(measure_first_tasks, chance)
    text += "\n\n" + build_table("usual duration, built-in figure", rows)
    missed += [name for name, (flat, first, _, third) in each_row(rows) if misses_goal(flat, first, third)]
    print(text, "\n\nGoal missed:", ", ".join(missed) or "nowhere")
    if options.write:
        write_block(options.write, "polling", "python -m benchmarks.polling --write docs/performance.md", text)
    return int(bool(missed))


def each_row(rows: Mapping[str, Mapping[str, Measurement]]) -> list[tuple[str, list[Measurement]]]:
    """Return the rows of a table with their names."""
    return [(name, list(row.values())) for name, row in rows.items()]


if __name__ == "__main__":
    sys.exit(main())
