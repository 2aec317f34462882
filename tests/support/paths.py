"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the checkout."""
FACTS = ROOT.parent / "shared" / "kie"
"""KIE's documented API as data. It lies beside the checkout on some machines only."""
SNAPSHOTS = ROOT / "tests" / "snapshots"
