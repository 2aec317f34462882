"""Measure calls with many tasks in the ledger: `python -m benchmarks.growth [--write docs/performance.md]`.

Servers with ledgers of different sizes run at the same time and are called in turn, so that other load on the machine
affects all of them. A figure is the median in milliseconds, and a ratio is that to a ledger with 1,000 tasks; the last
line names the goals that were missed. It takes two minutes.

`--database postgresql --most 1000000` measures on PostgreSQL, with up to a million tasks, in five minutes. `--tenants
1000` measures on PostgreSQL, with 1,000 tasks of each of 1,000 tenants, in five minutes.
"""

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import sqlalchemy as sa

from benchmarks.document import format_table, write_block
from benchmarks.past_tasks import RARE_WORD, WORDS, YEAR, index_past_rows, past_rows, past_tasks, task_id
from benchmarks.stdio import INHERITED, ask, close, initialize
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.tables import tasks

SMALLEST = 1_000
"""Number of tasks in the smallest ledger, with which the others are compared."""
UNFINISHED = 1_000
"""Number of unfinished tasks that one server finds when it starts; its ledger has no other tasks."""
STARTS = 3
ROUNDS = 9
Arguments = Callable[[int], Mapping[str, Any]]
"""Returns the arguments of a call; the parameter is the number of the round."""

HALF_A_YEAR_AGO = datetime.fromtimestamp(time.time() - YEAR / 2).astimezone().isoformat()
CALLS: dict[str, tuple[str, Arguments]] = {
    "paid call": ("suno_music", lambda number: {"prompt": f"song {number}"}),
    "get_task": ("get_task", lambda number: {"task_ids": [task_id(number)]}),
    "list_tasks": ("list_tasks", lambda _: {}),
    "list_tasks, failed": ("list_tasks", lambda _: {"status": "failed"}),
    "library": ("library", lambda _: {}),
    "library, frequent word": ("library", lambda number: {"words": WORDS[number % len(WORDS)]}),
    "library, word and date": (
        "library",
        lambda number: {"words": WORDS[number % len(WORDS)], "before": HALF_A_YEAR_AGO},
    ),
    "library, rare word": ("library", lambda _: {"words": RARE_WORD}),
    "library, made from": ("library", lambda number: {"made_from": task_id(number + 1)}),
    "spend_report, ten years": ("spend_report", lambda _: {"days": 3650}),
}
MAX_MILLISECONDS = {"get_task": 8, "library, frequent word": 40, "spend_report, ten years": 150}
MAX_RATIO = 2
"""Largest allowed ratio of a figure with the largest ledger to that with the smallest one."""
MAX_PAID_RATIO = 1.3
"""The same for a paid call."""
MAX_UNFINISHED_RATIO = 2
"""Largest allowed ratio of the first call's time with unfinished tasks to its time without them."""


async def fill(folder: Path, count: int, *, unfinished: bool = False) -> None:
    """Write a ledger with this number of tasks, which have ended or still run."""
    ledger = await Ledger.open(folder)
    running = dict.fromkeys(("finished", "seconds", "day")) | {"state": "running", "results": [], "saved": False}
    async with ledger.database.writing() as connection:
        if rows := [{**row, **(running if unfinished else {})} for row in past_rows(count)]:
            await connection.execute(sa.insert(tasks), rows)
            for statement in index_past_rows("sqlite"):
                await connection.execute(sa.text(statement))
    await ledger.close()


async def fill_database(url: str, count: int) -> None:
    """Write a ledger with this number of tasks that still run into a PostgreSQL database."""
    ledger = await Ledger.open(Path(), url=url)
    change: dict[str, Any] = {"state": "running", "finished": None, "seconds": None, "results": [], "saved": False}
    rows = [row_from_task(replace(task, **change, created=time.time())) for task in past_tasks(count)]
    async with ledger.database.writing() as connection:
        await connection.execute(sa.insert(tasks), rows)
    await ledger.close()


def start(folder: Path, url: str = "") -> subprocess.Popen[bytes]:
    """Start a server whose sandbox has the ledger in the folder `sandbox`, or in a PostgreSQL database."""
    settings = {"KIE_MCP_SANDBOX": "1", "KIE_MCP_DATA_DIR": str(folder), "KIE_MCP_OUTPUT_DIR": str(folder / "out")}
    # With a million tasks in a year, those of the last hour cost more than is spent without asking.
    settings |= {"KIE_MCP_CONFIRM_HOURLY": "0"} | ({"KIE_MCP_DATABASE_URL": url} if url else {})
    return subprocess.Popen(
        [sys.executable, "-m", "kie_mcp"],
        env={**INHERITED, **settings, "KIE_MCP_SANDBOX_SECONDS": "600", "KIE_MCP_TOOLS": "all"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def measure_call(server: subprocess.Popen[bytes], tool: str, arguments: Mapping[str, Any]) -> float:
    """Call a tool and return the milliseconds until its answer."""
    began = time.perf_counter()
    result = ask(server, "tools/call", name=tool, arguments=arguments)
    milliseconds = (time.perf_counter() - began) * 1000
    if "task_ids" not in arguments and result.get("isError"):
        raise AssertionError(result)
    return milliseconds


def resident_megabytes(server: subprocess.Popen[bytes]) -> float:
    """Return the memory of a server; 0 where the system has no /proc."""
    status = Path(f"/proc/{server.pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0)


def measure(folder: Path, urls: Mapping[int, str]) -> dict[str, dict[int, float]]:
    """Return the table: for each row, a figure for each size of the ledger.

    Args:
        folder: A folder for the servers' files.
        urls: For each size, the URL of the PostgreSQL database; empty for a SQLite file in the folder.
    """
    rows: dict[str, dict[int, float]] = {"spawn to tools/list": {}, "first call": {}}
    with ExitStack() as stack:
        servers: dict[int, subprocess.Popen[bytes]] = {}
        for size, url in urls.items():
            if not url:
                anyio.run(fill, folder / str(size) / "sandbox", size)
            began = time.perf_counter()
            servers[size] = stack.enter_context(start(folder / str(size), url))
            initialize(servers[size])
            ask(servers[size], "tools/list")
            rows["spawn to tools/list"][size] = (time.perf_counter() - began) * 1000
            rows["first call"][size] = measure_call(servers[size], "list_tasks", {})
        for name, (tool, arguments) in CALLS.items():
            taken: dict[int, list[float]] = {size: [] for size in urls}
            for number in range(ROUNDS):
                for size, server in servers.items():
                    taken[size].append(measure_call(server, tool, arguments(number)))
            rows[name] = {size: statistics.median(each) for size, each in taken.items()}
        rows["memory at the end, MB"] = {size: resident_megabytes(server) for size, server in servers.items()}
        for server in servers.values():
            close(server)
    return rows


def measure_unfinished(folder: Path) -> tuple[float, float]:
    """Return the milliseconds of the first call of a server without tasks, and of one with many unfinished tasks."""
    taken: dict[int, list[float]] = {0: [], UNFINISHED: []}
    for number in range(STARTS):
        for count, each in taken.items():
            data = folder / f"{number} of {count}"
            anyio.run(partial(fill, data / "sandbox", count, unfinished=True))
            with start(data) as server:
                initialize(server)
                ask(server, "tools/list")
                each.append(measure_call(server, "list_tasks", {}))
                close(server)
    return statistics.median(taken[0]), statistics.median(taken[UNFINISHED])


def describe(rows: Mapping[str, Mapping[int, float]]) -> str:
    """Return the table as Markdown; the ratio is that of the largest ledger to the smallest one."""
    sizes = list(rows["first call"])
    lines = [
        [name, *(f"{row[size]:,.1f}" for size in sizes), f"{row[sizes[-1]] / row[sizes[0]]:.2f}"]
        for name, row in rows.items()
    ]
    return format_table(["ms, by tasks in the ledger", *(f"{size:,}" for size in sizes), "ratio"], lines)


def find_missed(rows: Mapping[str, Mapping[int, float]]) -> list[str]:
    """Return the names of the rows that miss their goal."""
    missed = []
    for name, row in rows.items():
        figures = [*row.values()]
        most = MAX_PAID_RATIO if name == "paid call" else MAX_RATIO
        if figures[-1] > most * figures[0] or figures[-1] > MAX_MILLISECONDS.get(name, math.inf):
            missed.append(name)
    return missed


def compare_sizes(document: Path | None, most: int) -> list[str]:
    """Measure SQLite files of different sizes, and return the goals that were missed."""
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), dict.fromkeys(find_sizes(most), ""))
        alone, beside = measure_unfinished(Path(folder))
    table = describe(rows)
    table += (
        f"\n\nThe first call of a server with {UNFINISHED:,} unfinished tasks took {beside:,.0f} ms, "
        f"that of one without {alone:,.0f} ms."
    )
    publish(table, document, "growth", "")
    missed = find_missed(rows)
    return missed + (["first call with unfinished tasks"] if beside > alone * MAX_UNFINISHED_RATIO else [])


def compare_sizes_on_postgresql(document: Path | None, most: int) -> list[str]:
    """Measure PostgreSQL databases of different sizes, and return the goals that were missed."""
    from benchmarks.filled_database import clean, fill_database, run_databases

    sizes = find_sizes(most)
    names = [f"with_{size}_tasks" for size in sizes]
    with tempfile.TemporaryDirectory() as folder, run_databases(names) as urls:
        for size, url in zip(sizes, urls, strict=True):
            fill_database(url, size)
            clean(url)
        rows = measure(Path(folder), dict(zip(sizes, urls, strict=True)))
    publish(describe(rows), document, "growth_postgresql", f"--database postgresql --most {most} ")
    return find_missed(rows)


def compare_tenants(document: Path | None, tenants: int) -> list[str]:
    """Measure a tenant with 1,000 tasks alone, and as one of many in PostgreSQL; return the goals that were missed."""
    from benchmarks.filled_database import clean, run_databases
    from benchmarks.growth_tenants import TASKS, fill_tenants

    with tempfile.TemporaryDirectory() as folder, run_databases(("alone", "one_of_many")) as (alone, beside):
        for url, number in ((alone, 1), (beside, tenants)):
            fill_tenants(url, number)
            clean(url)
        rows = measure(Path(folder), {TASKS: alone, TASKS * tenants: beside})
    publish(describe(rows), document, "tenants", f"--tenants {tenants} ")
    return find_missed(rows)


def find_sizes(most: int) -> list[int]:
    """Return the numbers of tasks of the ledgers: 1,000, 10,000 and so on, up to `most`."""
    sizes = [SMALLEST]
    while sizes[-1] * 10 <= most:
        sizes.append(sizes[-1] * 10)
    return sizes


def publish(table: str, document: Path | None, name: str, options: str) -> None:
    """Print a table, and write it into a document if there is one."""
    print(table)
    if document:
        write_block(document, name, f"python -m benchmarks.growth {options}--write docs/performance.md", table)


def main() -> int:
    """Measure, print, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite", help="where the ledgers are")
    parser.add_argument("--most", type=int, default=100_000, help="number of tasks in the largest ledger")
    parser.add_argument("--tenants", type=int, help="measure one of so many tenants with 1,000 tasks each")
    parser.add_argument("--write", type=Path, help="the document to write the table to")
    options = parser.parse_args()
    if options.tenants:
        missed = compare_tenants(options.write, options.tenants)
    elif options.database == "sqlite":
        missed = compare_sizes(options.write, options.most)
    else:
        missed = compare_sizes_on_postgresql(options.write, options.most)
    print("Goal missed:", ", ".join(missed) or "nowhere")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
