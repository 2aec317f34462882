"""Files that hold what was agreed."""

import json
from pathlib import Path

import pytest


def matches(snapshot: Path, value: object, request: pytest.FixtureRequest) -> bool:
    """Whether the file holds the value; when snapshots are written, it does from now on."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--write-snapshots"):
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        snapshot.write_text(text, encoding="utf-8")
    return snapshot.exists() and snapshot.read_text(encoding="utf-8") == text
