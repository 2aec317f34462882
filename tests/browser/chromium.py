"""What the tests in a real browser need on this machine, and what their scripts play."""

import re
from pathlib import Path

import pytest
from support.paths import ROOT

from kie_mcp.demo.chat_page import find_browser

MODULES = ROOT / ".node" / "node_modules"
CHROMIUM = find_browser()
NODE = MODULES / ".bin" / "node"


def needs_browser(*packages: str) -> pytest.MarkDecorator:
    """Return a mark that skips tests where Chromium, Node or one of these npm packages is missing."""
    needed = {"chromium": CHROMIUM, "node": NODE.exists(), **{name: (MODULES / name).exists() for name in packages}}
    missing = [name for name, there in needed.items() if not there]
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)}; see scripts/node")


def list_scenes(script: Path) -> list[str]:
    """Return the names of the scenes in a script."""
    return re.findall(r'^  async "(.+)"\(browser\)', script.read_text(encoding="utf-8"), re.MULTILINE)
