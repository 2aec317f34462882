"""Run many seeds, or show one: `.venv/bin/python tests/simulation --seeds 10000 --workers 2`, or `--seed 17`."""

import argparse
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
# As pytest does.
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults")]

from simulation import Run, run_seed  # noqa: E402
from support.ledgers import use_server  # noqa: E402
from support.paths import ROOT  # noqa: E402
from support.postgresql import PostgresqlServer  # noqa: E402

DOCUMENT = ROOT / "docs" / "reliability.md"
START, END = "<!-- simulation: python tests/simulation --seeds 10000 --write -->\n", "<!-- /simulation -->"


def try_seed(seed: int) -> Run | str:
    """Run one seed; return what went wrong as a text."""
    logging.disable()
    try:
        return run_seed(seed)
    except BaseException as error:  # noqa: BLE001 - each failure is shown, and the next seed is run
        return f"seed {seed}:\n{''.join(traceback.format_exception(error))}"


def show_seed(seed: int) -> None:
    """Run one seed and print its trace."""
    trace: list[str] = []
    try:
        run_seed(seed, trace)
    finally:
        print(*trace, sep="\n")


def build_table(runs: list[Run]) -> Iterator[str]:
    """Yield the lines of the table in the document, of runs in which no promise was broken."""
    injected = sum((run.injected for run in runs), Counter[str]())
    accepted = sum(run.figures.accepted for run in runs)
    charged = sum(run.figures.charged for run in runs)
    results = {"seeds": len(runs), "tasks that KIE accepted": accepted, "credits charged": charged}
    yield from ("| | number |", "|---|--:|")
    yield from (f"| {name} | {number:,.0f} |" for name, number in results.items())
    yield from ("| tasks lost | 0 |", "| calls paid twice | 0 |")
    yield from (f"| fault: {kind} | {number:,} |" for kind, number in sorted(injected.items()))


def main() -> int:
    """Run what was asked for, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, help="run only this one, and print its trace")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--write", action="store_true", help=f"write the figures into docs/{DOCUMENT.name}")
    options = parser.parse_args()
    with run_database(options.database) as server:
        if options.seed is not None:
            use_server(server)
            show_seed(options.seed)
            return 0
        return run_seeds(options, server)


@contextmanager
def run_database(kind: str) -> Iterator[PostgresqlServer | None]:
    """Run a PostgreSQL server, if it was asked for."""
    server = PostgresqlServer.create() if kind == "postgresql" else None
    try:
        yield server
    finally:
        if server:
            server.remove()


def run_seeds(options: argparse.Namespace, server: PostgresqlServer | None) -> int:
    """Run the seeds in several processes, print what came of them, and return 1 when a seed failed."""
    seeds = range(options.first, options.first + options.seeds)
    runs: list[Run] = []
    with ProcessPoolExecutor(options.workers, initializer=use_server, initargs=(server,)) as pool:
        for run in pool.map(try_seed, seeds, chunksize=min(20, options.seeds // options.workers + 1)):
            if isinstance(run, Run):
                runs.append(run)
            else:
                print(run, flush=True)
    failures: int = options.seeds - len(runs)
    print(f"{options.seeds} seeds, {failures} failed")
    if not failures:
        table = "\n".join(build_table(runs))
        print(table)
        if options.write:
            before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
            DOCUMENT.write_text(f"{before}{START}{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
