"""Compare values with the files in tests/snapshots."""

import json
from pathlib import Path

import pytest


def matches_snapshot(snapshot: Path, value: object, request: pytest.FixtureRequest) -> bool:
    """Return True if the snapshot file contains this value as JSON; with --write-snapshots, write the file first."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--write-snapshots"):
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        snapshot.write_text(text, encoding="utf-8")
    return snapshot.exists() and snapshot.read_text(encoding="utf-8") == text
