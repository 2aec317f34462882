"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""
FACTS = ROOT.parent / "shared" / "kie"
"""KIE's documented API as facts, where it lies beside the checkout."""
SNAPSHOTS = ROOT / "tests" / "snapshots"
