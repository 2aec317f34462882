"""How soon a task's end is noticed, and by how many reads: `python -m benchmarks.watching`.

Tasks of several usual lengths run in the sandbox, on a clock that only sleeping moves. Our rule stands beside a look
every 3 or 5 s, once with what its own looks have taught it and once with the built-in figure alone. For every usual
length and over all, its mean lag must be at most half that of a look every 3 s, and its mean reads no more, or at most
2. Less than 2 cannot be asked of tasks of 2 s: a look every 3 s reads 1.05 times, and half its lag costs 1.26 reads at
best. It takes a minute.
"""

import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
import httpx2

from kie_mcp.clock import Clock
from kie_mcp.kie import routes, status
from kie_mcp.kie.client import KieClient
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.polling import SPREAD, estimate_duration, next_poll

USUAL = (2, 8, 20, 60, 180)
TASKS = 200
SEED = 1
FEW_READS = 2
TASK = {"model": "google/nano-banana", "input": {"prompt": "a heron at dawn"}}

Rule = Callable[[float, Sequence[float]], float]
"""Seconds until the next look, from the task's age and the lengths seen before."""


class SleptClock(Clock):
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        """Seconds slept so far."""
        return self.now

    def monotonic(self) -> float:
        """The same."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass(frozen=True)
class Seen:
    """How the ends of some tasks were noticed."""

    lags: Sequence[float]
    reads: Sequence[int]

    @property
    def lag(self) -> float:
        """Mean seconds."""
        return statistics.fmean(self.lags)

    @property
    def cost(self) -> float:
        """Mean reads."""
        return statistics.fmean(self.reads)

    def __add__(self, other: "Seen") -> "Seen":
        return Seen([*self.lags, *other.lags], [*self.reads, *other.reads])

    def __str__(self) -> str:
        return f"{self.lag:.2f} / {statistics.quantiles(self.lags, n=20)[-1]:.2f} / {self.cost:.2f}"

    def reaches(self, goal: "Seen") -> bool:
        """Whether this has half the lag of the other, at no higher cost."""
        return self.lag <= goal.lag / 2 and self.cost <= max(goal.cost, FEW_READS)


def lengths(usual: float, chance: random.Random) -> list[float]:
    """Equally likely log-normal lengths, in any order."""
    normal = statistics.NormalDist(math.log(usual), SPREAD)
    found = [math.exp(normal.inv_cdf((number + 0.5) / TASKS)) for number in range(TASKS)]
    chance.shuffle(found)
    return found


async def watch(seconds: Sequence[float], rule: Rule) -> Seen:
    """Run tasks of these lengths, one after the other."""
    clock = SleptClock()
    sandbox = Sandbox(credits=math.inf, clock=clock.time)
    lags, reads, taken = list[float](), list[int](), list[float]()
    async with KieClient("sandbox", transport=httpx2.ASGITransport(sandbox.app), clock=clock) as client:
        for length in seconds:
            began, looks, state = clock.now, 0, "running"
            id_ = await client.create(routes.JOBS.create, TASK)
            sandbox.accepted[-1].seconds = length
            while state == "running":
                await clock.sleep(rule(clock.now - began, taken))
                state = status.read(routes.JOBS.shape, await client.status(routes.JOBS.status, id_)).state
                looks += 1
            if state != "succeeded":
                raise AssertionError(state)
            # As the ledger has it: until it was noticed.
            taken.append(clock.now - began)
            lags.append(taken[-1] - length)
            reads.append(looks)
    return Seen(lags, reads)


def rules(usual: float) -> dict[str, Rule]:
    """The rules by name; the first is the one to beat."""
    return {
        "every 3 s": lambda _, __: 3,
        "every 5 s": lambda _, __: 5,
        "ours, learned": lambda age, taken: next_poll(age, estimate_duration(taken, usual)),
        "ours, built-in figure": lambda age, _: next_poll(age, estimate_duration([], usual)),
    }


async def measure() -> dict[str, dict[str, Seen]]:
    """The rows of the table, the last one over all lengths."""
    chance = random.Random(SEED)  # noqa: S311 - the same lengths each time
    rows = {}
    for usual in USUAL:
        seconds = lengths(usual, chance)
        rows[f"{usual} s"] = {name: await watch(seconds, rule) for name, rule in rules(usual).items()}
    first, *others = rows.values()
    rows["all"] = {name: sum((row[name] for row in others), seen) for name, seen in first.items()}
    return rows


def main() -> int:
    """Measure, print, and return 1 when a row misses the goal."""
    rows = anyio.run(measure)
    print("Mean lag in seconds / its 95th percentile / mean reads\n")
    print("| usual length |", " | ".join(rows["all"]), "|")
    print("|---|" + "---|" * len(rows["all"]))
    missed = []
    for name, row in rows.items():
        print(f"| {name} |", " | ".join(map(str, row.values())), "|")
        goal, _, *ours = row.values()
        if not all(seen.reaches(goal) for seen in ours):
            missed.append(name)
    print("\nGoal missed:", ", ".join(missed) or "nowhere")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
