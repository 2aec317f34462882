"""An HTML page that shows a task as a chat does, and a screenshot of it where there is a Chromium."""

import json
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_TIMEOUT_SECONDS = 30
"""Seconds that the browser may take for a screenshot."""


def write_page(path: Path, gallery: str, arguments: dict[str, Any], result: dict[str, Any]) -> None:
    """Write the page.

    Args:
        path: The file to write.
        gallery: The HTML of the gallery.
        arguments: The arguments of the call that the page shows.
        result: The call's result in the protocol's JSON form, with previews.
    """
    data = json.dumps({"page": gallery, "arguments": arguments, "result": result})
    page = files("kie_mcp.demo").joinpath("chat.html").read_text(encoding="utf-8")
    # A `</script>` inside the data would end the script that holds it.
    path.write_text(page.replace("/* call */ null", data.replace("</", "<\\/")), encoding="utf-8")


def find_browser() -> str | None:
    """Return the path of this machine's Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


async def take_screenshot(page: Path, screenshot: Path) -> bool:
    """Take a screenshot of the page; return False when there is no browser, or it took too long."""
    chromium = find_browser()
    if not chromium:
        return False
    # Chromium refuses to run as root unless its sandbox is off.
    as_root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    # Virtual time runs the page's timers for 5 s without real waiting; it reaches only frames in the page's process.
    virtual_time = ["--virtual-time-budget=5000", "--disable-features=IsolateSandboxedIframes"]
    command = [chromium, "--headless", *as_root, *quiet, *virtual_time, "--window-size=760,620"]
    address = (await anyio.Path(page).absolute()).as_uri()
    with anyio.move_on_after(BROWSER_TIMEOUT_SECONDS):
        await anyio.run_process([*command, f"--screenshot={screenshot}", address], check=False)
    return await anyio.Path(screenshot).exists()
