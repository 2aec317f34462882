"""Kill replicas of kie-mcp while many callers use them: `python -m benchmarks.cluster [--tasks 5000]`.

200 callers use three server processes with one PostgreSQL database at once. The replicas are killed and started again
one after the other, and the database is restarted once, as after a power failure. At the end, the tasks that KIE
accepted are compared with the ledger and with the answers to the callers. Then the time of single calls and the
throughput are compared with a minimal server of the SDK that has one tool. If this kie-mcp supports keys of callers,
each caller has its own KIE key. Otherwise, all callers share one key, with which KIE allows two tasks a second.
PostgreSQL has to be installed.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2

from benchmarks.cluster_callers import HEADERS, Caller, Record, call_tool
from benchmarks.cluster_servers import TOKEN, Process, run_bare, run_kie, run_replica
from benchmarks.document import format_table, write_block
from benchmarks.growth import fill_database

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.postgresql import NOT_INSTALLED, PostgresqlServer, find_programs

DATABASE, SMALLEST = "cluster", "one_replica"
FOREIGN_READS = 2
"""Number of other callers for each caller; it tries to read one task of each of them, which must fail."""
DOWN_SECONDS = 2.0
TELL_SECONDS = 10
MAX_AT_ONCE = 16
"""Number of simultaneous calls while throughput is measured."""
ROUNDS = 5
"""How often the bare server and a replica take turns for each tool; the medians count, because machines are noisy."""
GOAL_SHARE = 0.6
GOAL_KILOBYTES = 12.0
KILLED, RESTARTED = FAULTS = ("replica killed", "database restarted")
PLAIN = {"Authorization": f"Bearer {TOKEN}", **HEADERS, "X-KIE-Key": "key-of-the-benchmark-0"}

Row = list[str]


@dataclass(frozen=True)
class Reckoning:
    """The result of the comparison, as numbers of tasks."""

    accepted: int
    unknown: int
    lost: list[str]
    """For each lost task, its prompt, and what KIE, the ledger and the caller know of it."""
    paid_twice: int
    foreign: int


@contextmanager
def run_database() -> Iterator[PostgresqlServer]:
    """Run PostgreSQL with an empty database for each part of the benchmark."""
    server = PostgresqlServer.create()
    try:
        for name in (DATABASE, SMALLEST):
            server.create_database(name)
        yield server
    finally:
        server.remove()


async def break_things(
    replicas: Sequence[Process], database: PostgresqlServer, seconds: float, done: Counter[str]
) -> None:
    """Kill one replica after the other, and restart the database once, in an endless loop with pauses in seconds.

    What was done is counted in `done`.
    """
    while True:
        await anyio.sleep(seconds)
        if done[KILLED] >= len(replicas) and not done[RESTARTED]:
            await anyio.to_thread.run_sync(database.stop)
            await anyio.to_thread.run_sync(database.start)
            done[RESTARTED] += 1
            continue
        replica = replicas[done[KILLED] % len(replicas)]
        await anyio.to_thread.run_sync(replica.kill)
        done[KILLED] += 1
        await anyio.sleep(DOWN_SECONDS)
        replica.start()
        await anyio.to_thread.run_sync(replica.wait_until_open)


async def tell_progress(record: Record, tasks: int) -> None:
    """Print from time to time how many tasks have ended."""
    while True:
        await anyio.sleep(TELL_SECONDS)
        print(f"{len(record.ended):,} of {tasks:,} tasks have ended", file=sys.stderr, flush=True)


async def use_cluster(
    replicas: Sequence[Process], database: PostgresqlServer, *, callers: int, tasks: int, pause: float
) -> Record:
    """Let all callers make their tasks while replicas are killed and the database is restarted."""
    record = Record()
    all_callers = [Caller(str(number), replicas, record) for number in range(callers)]
    async with anyio.create_task_group() as chaos:
        chaos.start_soon(break_things, replicas, database, pause, record.broken)
        chaos.start_soon(tell_progress, record, tasks)
        async with anyio.create_task_group() as group:
            for number, caller in enumerate(all_callers):
                share = tasks // callers + (number < tasks % callers)
                others = random.sample(all_callers, min(FOREIGN_READS, callers))
                group.start_soon(caller.make_all, share, others)
        chaos.cancel_scope.cancel()
    return record


def reckon(kie: Process, database: PostgresqlServer, record: Record) -> Reckoning:
    """Compare the tasks that KIE accepted with the ledger and with the answers to the callers."""
    accepted = httpx2.get(f"http://127.0.0.1:{kie.port}/benchmark/accepted", timeout=60).json()
    # Each key has a schema of its own.
    schemas = database.select(DATABASE, "SELECT schemaname AS name FROM pg_tables WHERE tablename = 'tasks'")
    queries = (f"SELECT kie_id, state, arguments FROM {schema['name']}.tasks" for schema in schemas)  # noqa: S608
    rows = [row for query in queries for row in database.select(DATABASE, query)]
    in_ledger = defaultdict(list)
    for row in rows:
        in_ledger[_read_prompt(row["arguments"])].append((row["kie_id"], row["state"]))
    known = {row["kie_id"] for row in rows if row["kie_id"]}
    unknown = {_read_prompt(row["arguments"]) for row in rows if row["state"] == "unknown"}
    lost = [prompt for _, id_, prompt in accepted if id_ not in known and prompt not in unknown]
    lost += [prompt for prompt, state in record.ended.items() if state not in ("succeeded", "unknown")]
    times = Counter((key, prompt) for key, _, prompt in accepted)
    paid_twice = sum(count - 1 for count in times.values())
    named = {prompt: id_ for _, id_, prompt in accepted}
    lost = [
        f"{prompt}: at KIE {named.get(prompt)}, in the ledger {in_ledger[prompt]}, answer {record.answers.get(prompt)}"
        for prompt in lost
    ]
    return Reckoning(len(accepted), len(unknown), lost, paid_twice, record.foreign)


def _read_prompt(arguments: Any) -> str:
    found = json.loads(arguments) if isinstance(arguments, str) else arguments
    return str(found["prompt"])


async def _call(http: httpx2.AsyncClient, server: Process, tool: str, arguments: Mapping[str, Any]) -> None:
    """Make a call that has to succeed; an error may be answered faster than what was asked for."""
    answer = await call_tool(http, server.url, tool, **arguments)
    if "error" in answer:
        raise RuntimeError(f"{tool}: {answer['error']}")


async def measure_throughput(servers: Sequence[Process], tool: str, calls: int, **arguments: Any) -> float:
    """Return the number of calls a second that the servers answer together."""
    begun = iter(range(calls))

    async def call(number: int) -> None:
        async with httpx2.AsyncClient(headers=PLAIN, timeout=60) as http:
            for _ in begun:
                await _call(http, servers[number % len(servers)], tool, arguments)

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for number in range(MAX_AT_ONCE):
            group.start_soon(call, number)
    return calls / (time.perf_counter() - began)


async def measure_single(server: Process, tool: str, calls: int, **arguments: Any) -> list[float]:
    """Make calls one after the other, and return the seconds of each."""
    taken = []
    async with httpx2.AsyncClient(headers=PLAIN, timeout=60) as http:
        for _ in range(calls):
            began = time.perf_counter()
            await _call(http, server, tool, arguments)
            taken.append(time.perf_counter() - began)
    return taken


async def compare(replicas: Sequence[Process], bare: Process, calls: int) -> tuple[list[Row], float]:
    """Compare cheap calls with the bare server; return table rows, and the lowest share of its throughput."""
    async with httpx2.AsyncClient(headers=PLAIN, timeout=60) as http:
        made = await call_tool(http, replicas[0].url, "nano_banana_image", prompt="a heron at the end")
    cheap: dict[str, dict[str, Any]] = {
        "get_task": {"task_ids": made["task_id"], "wait_seconds": 0},
        "get_credits": {},
        "list_tasks": {},
    }
    await measure_single(bare, "echo", 5, text="a heron")
    bare_times = _format_times(await measure_single(bare, "echo", calls // 4, text="a heron"))
    bare_rates, rows, lowest = [], [], 1.0
    for tool, arguments in cheap.items():
        single = await measure_single(replicas[0], tool, calls // 4, **arguments)
        rates, shares = [], []
        for _ in range(ROUNDS):
            bare_rates.append(await measure_throughput([bare], "echo", calls // ROUNDS, text="a heron"))
            rates.append(await measure_throughput(replicas[:1], tool, calls // ROUNDS, **arguments))
            shares.append(rates[-1] / bare_rates[-1])
        together = await measure_throughput(replicas, tool, calls, **arguments)
        alone, share = statistics.median(rates), statistics.median(shares)
        lowest = min(lowest, share)
        rows.append([tool, *_format_times(single), f"{alone:,.0f}", f"{share:.2f}", f"{together:,.0f}"])
    return [["bare server", *bare_times, f"{statistics.median(bare_rates):,.0f}", "1.00", ""], *rows], lowest


def measure_memory(folder: Path, kie: Process, database: str, count: int) -> float:
    """Return the kilobytes of memory that a server needs for each running task that it takes over."""
    figures = []
    for tasks in (0, count):
        if tasks:
            anyio.run(fill_database, database, tasks)
        place = folder / f"{tasks} tasks"
        place.mkdir()
        with run_replica(place, kie, database, with_keys=False) as replica:
            time.sleep(10)
            figures.append(replica.measure_kilobytes())
    return (figures[1] - figures[0]) / count


def _format_times(seconds: Sequence[float]) -> tuple[str, str]:
    ordered = sorted(seconds)
    return f"{statistics.median(ordered) * 1000:,.0f}", f"{ordered[int(len(ordered) * 0.95)] * 1000:,.0f}"


def report(reckoning: Reckoning, record: Record, options: argparse.Namespace, rows: Sequence[Row]) -> str:
    """Return the tables and sentences of the benchmark."""
    text = (
        f"{options.callers} callers, each with a KIE key of its own, and {options.replicas} replicas: KIE accepted "
        f"{reckoning.accepted:,} tasks. Lost {len(reckoning.lost)}, paid twice {reckoning.paid_twice}, tasks of others "
        f"that were read {reckoning.foreign}; of {reckoning.unknown} nobody knows whether KIE took them, and their "
        f"callers were told. A replica was killed {record.broken[KILLED]} times, and the database restarted "
        f"{record.broken[RESTARTED]} times; callers had to ask again {record.repeated.total():,} times.\n\n"
    )
    while_killed = [
        [kind, f"{len(each):,}", *_format_times(each)] for kind, each in sorted(record.seconds.items()) if each
    ]
    text += format_table(["while replicas are killed", "calls", "median ms", "95 % ms"], while_killed)
    head = [
        "alone",
        "median ms",
        "95 % ms",
        "calls/s, one process",
        "share of the bare server",
        "calls/s, all replicas",
    ]
    return f"{text}\n\n{format_table(head, rows)}"


def main() -> int:
    """Measure, print, and return 1 when something was lost, paid twice or seen by others, or a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--task-seconds", type=float, default=5, help="how long KIE takes for one")
    parser.add_argument("--pause", type=float, default=10, help="seconds from one fault to the next")
    parser.add_argument("--calls", type=int, default=2000, help="number of calls of which throughput is measured")
    parser.add_argument("--running", type=int, default=2000, help="tasks of which memory is measured; 0 leaves it out")
    parser.add_argument("--write", type=Path, help="the document to write the tables to")
    options = parser.parse_args()
    if not find_programs():
        print(NOT_INSTALLED)
        return 77
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        database = running.enter_context(run_database())
        kie = running.enter_context(run_kie(folder, options.task_seconds))
        url = database.url(DATABASE)
        replicas = [
            running.enter_context(run_replica(folder, kie, url, with_keys=True)) for _ in range(options.replicas)
        ]
        bare = running.enter_context(run_bare(folder))
        many = {"callers": options.callers, "tasks": options.tasks, "pause": options.pause}
        record = anyio.run(lambda: use_cluster(replicas, database, **many))
        reckoning = reckon(kie, database, record)
        for replica in replicas:
            replica.wait_until_ready()
        rows, lowest = anyio.run(compare, replicas, bare, options.calls)
        kilobytes = measure_memory(folder, kie, database.url(SMALLEST), options.running) if options.running else 0.0
    text = report(reckoning, record, options, rows)
    if options.running:
        text += f"\n\nA running task takes {kilobytes:.1f} kB of memory."
    print(text)
    for each in reckoning.lost:
        print("Lost:", each)
    if options.write:
        write_block(options.write, "cluster", "python -m benchmarks.cluster --write docs/performance.md", text)
    missed = [name for name in ("lost", "paid_twice", "foreign") if getattr(reckoning, name)]
    missed += [f"no {fault}: make more tasks" for fault in FAULTS if not record.broken[fault]]
    missed += [f"{lowest:.2f} of the bare server"] if lowest < GOAL_SHARE else []
    missed += [f"{kilobytes:.1f} kB a task"] if kilobytes > GOAL_KILOBYTES else []
    print("Goal missed:", ", ".join(missed) or "nowhere")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
