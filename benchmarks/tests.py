"""Measure the time of scripts/test: `python -m benchmarks.tests [--write docs/performance.md] [arguments of pytest]`.

Other programs on the machine increase the elapsed time, but hardly the CPU time. So the table also has the CPU seconds,
without those of PostgreSQL and of most of Chromium's processes, which are not children of the tests.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.document import format_table, write_block

MAX_SECONDS = 360
"""The most seconds that scripts/test may take on two cores."""
CORES = 2
ROOT = Path(__file__).parents[1]
HEAD = ("step", "begins at", "seconds", "CPU seconds", f"CPU seconds / {CORES}", "budget", "load at the end")


def read_steps(folder: Path, began: float) -> list[list[str]]:
    """Return a table row for each step of scripts/test, from the file that the step wrote, sorted by end."""
    rows = []
    for file in sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime):
        times, *cpu = file.read_text().splitlines()
        start, end = map(int, times.split())
        used = sum(
            60 * int(minutes) + float(seconds) for minutes, seconds in re.findall(r"(\d+)m([\d.]+)s", "".join(cpu))
        )
        rows.append(
            [file.name, f"{max(0, start - began):.0f}", str(end - start), f"{used:.0f}", f"{used / CORES:.0f}", "", ""]
        )
    return rows


def main() -> int:
    """Run the tests, print their times, and return 1 when they fail or take too long."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, help="the document to write the table to")
    options, arguments = parser.parse_known_args()
    began, began_at = time.monotonic(), time.time()
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"STEPS": folder, "PYTEST_ADDOPTS": "--durations=25 --durations-min=1"}
        failed = subprocess.run([ROOT / "scripts/test", *arguments], check=False, env=environment).returncode
        passed = time.monotonic() - began
        rows = read_steps(Path(folder), began_at)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    load = f"{os.getloadavg()[0]:.1f}"
    rows.append(["all", "0", f"{passed:.0f}", f"{cpu:.0f}", f"{cpu / CORES:.0f}", str(MAX_SECONDS), load])
    table = format_table(HEAD, rows)
    print(table)
    if options.write:
        write_block(options.write, "tests", "python -m benchmarks.tests --write docs/performance.md", table)
    return int(bool(failed) or passed > MAX_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
