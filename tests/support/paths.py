"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the checkout."""
FACTS = ROOT / "tests" / "contract"
"""Folder of the data files about KIE's documented API, which scripts/contract writes."""
SNAPSHOTS = ROOT / "tests" / "snapshots"
