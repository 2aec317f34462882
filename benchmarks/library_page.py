"""Measure the library page with 10,000 results: `python -m benchmarks.library_page [--write docs/performance.md]`.

Chromium opens the page; the benchmark measures the time to the first paint, and the frame rate while scrolling.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio

from benchmarks.document import format_table, write_block

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "browser")]

from chromium import CHROMIUM, MODULES, NODE  # noqa: E402 - after the path of the tests
from support.ledgers import fill_ledger  # noqa: E402
from support.servers import serve_app  # noqa: E402

from kie_mcp.config import Settings  # noqa: E402
from kie_mcp.library_page.serving import build_local_page  # noqa: E402

ITEMS, TOKEN = 10_000, "a-token-of-the-benchmark"
MAX_FIRST_PAINT_MS, LEAST_FRAMES = 1000, 59


async def measure(folder: Path) -> dict[str, Any]:
    """Return the figures that `scrolling.mjs` measures for a library with `ITEMS` results."""
    settings = Settings(sandbox=True, data_dir=folder, output_dir=folder / "out")
    await fill_ledger(settings.state_dir, ITEMS)
    async with serve_app(build_local_page(settings, TOKEN)) as url:
        address = f"{url.removesuffix('/mcp')}/library#{TOKEN}"
        script = ROOT / "tests" / "browser" / "scrolling.mjs"
        with anyio.fail_after(120):
            ran = await anyio.run_process([NODE, script, address, str(ITEMS), str(CHROMIUM), MODULES], check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr.decode())
    return dict(json.loads(ran.stdout))


def main() -> int:
    """Print the figures; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the document with the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = anyio.run(measure, Path(folder))
    scrolls = {"just opened": found["fresh"], f"all {ITEMS:,} things loaded": found["loaded"]}
    names = ("frames_a_second", "median", "p99", "longest")
    table = "\n\n".join(
        (
            format_table(
                ("from the start of the page", "ms"),
                [["first paint", str(found["first_paint"])], ["first tiles", str(found["first_tiles"])]],
            ),
            format_table(
                ("scrolling", "frames a second", "ms a frame", "99 of 100 below", "longest"),
                [[name, *(str(scroll[each]) for each in names)] for name, scroll in scrolls.items()],
            ),
        )
    )
    print(table)
    if options.write:
        write_block(options.write, "library", "python -m benchmarks.library_page --write docs/performance.md", table)
    slowest = min(scroll["frames_a_second"] for scroll in scrolls.values())
    return int(found["first_paint"] > MAX_FIRST_PAINT_MS or slowest < LEAST_FRAMES)


if __name__ == "__main__":
    sys.exit(main())
