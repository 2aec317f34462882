"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the checkout."""
FACTS = ROOT / "tests" / "contract"
"""KIE's documented API as data, which scripts/contract writes."""
SNAPSHOTS = ROOT / "tests" / "snapshots"
