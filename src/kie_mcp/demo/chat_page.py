"""Write an HTML page that shows a task as a chat client would, and take a screenshot of the page with Chromium."""

import json
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_TIMEOUT_SECONDS = 30
"""Maximum seconds that the browser may take for a screenshot."""


def write_page(path: Path, gallery: str, arguments: dict[str, Any], result: dict[str, Any]) -> None:
    """Write the HTML page that shows one call and its result.

    Args:
        path: The file to write.
        gallery: The HTML of the gallery, which the page shows in a frame.
        arguments: The arguments of the call.
        result: The call's result in the protocol's JSON form, with previews.
    """
    data = json.dumps({"page": gallery, "arguments": arguments, "result": result})
    page = files("kie_mcp.demo").joinpath("chat.html").read_text(encoding="utf-8")
    # A `</script>` inside the data would end the script element too early, so each `</` is escaped.
    path.write_text(page.replace("/* call */ null", data.replace("</", "<\\/")), encoding="utf-8")


def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome on this machine; None when there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


async def take_screenshot(page: Path, screenshot: Path) -> bool:
    """Take a screenshot of the page, and return whether the screenshot's file exists afterwards.

    Return False when there is no browser.
    """
    chromium = find_browser()
    if not chromium:
        return False
    # Chromium refuses to run as root unless Chromium's own sandbox is off.
    as_root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    # Virtual time lets the page's timers run for 5 s without real waiting. It works only for frames in the process of
    # the page, so isolation of sandboxed frames is off.
    virtual_time = ["--virtual-time-budget=5000", "--disable-features=IsolateSandboxedIframes"]
    command = [chromium, "--headless", *as_root, *quiet, *virtual_time, "--window-size=760,620"]
    address = (await anyio.Path(page).absolute()).as_uri()
    with anyio.move_on_after(BROWSER_TIMEOUT_SECONDS):
        await anyio.run_process([*command, f"--screenshot={screenshot}", address], check=False)
    return await anyio.Path(screenshot).exists()
