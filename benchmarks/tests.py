"""The time of scripts/test: `python -m benchmarks.tests [--write docs/performance.md] [arguments of pytest]`.

Other programs on the machine lengthen the time that passes, but hardly the time of CPU. So the table also has the time
that the CPU seconds take on two cores without other load.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.document import format_table, write_block

MOST_SECONDS = 360
"""The most seconds that scripts/test may take on two cores."""
CORES = 2
ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run the tests, print what they took, and return 1 when they fail or take too long."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, help="the document to write the table to")
    options, arguments = parser.parse_known_args()
    began = time.monotonic()
    command = [str(ROOT / "scripts/test"), "--durations=25", "--durations-min=1", *arguments]
    failed = subprocess.run(command, check=False).returncode
    passed = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    row = [f"{passed:.0f}", f"{cpu:.0f}", f"{cpu / CORES:.0f}", f"{os.getloadavg()[0]:.1f}", str(MOST_SECONDS)]
    head = ("", "seconds", "CPU seconds", f"CPU seconds / {CORES}", "load at the end", "budget")
    table = format_table(head, [["scripts/test", *row]])
    print(table)
    if options.write:
        write_block(options.write, "tests", "python -m benchmarks.tests --write docs/performance.md", table)
    return int(bool(failed) or min(passed, cpu / CORES) > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
