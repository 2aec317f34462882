"""A page that shows a task as a chat does, and a picture of it where there is a Chromium."""

import json
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 30
"""How long a browser may take."""


def write(place: Path, gallery: str, arguments: dict[str, Any], result: dict[str, Any]) -> None:
    """Write the page.

    Args:
        place: Where to.
        gallery: The gallery's own page.
        arguments: Of the call that is shown.
        result: Its result, as the protocol spells it, with previews.
    """
    told = json.dumps({"page": gallery, "arguments": arguments, "result": result})
    page = files("kie_mcp.demo").joinpath("chat.html").read_text(encoding="utf-8")
    # In a script, the end of another one would be its own.
    place.write_text(page.replace("/* told */ null", told.replace("</", "<\\/")), encoding="utf-8")


def browser() -> str | None:
    """Where this machine's Chromium is, if it has one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


async def photograph(page: Path, picture: Path) -> bool:
    """Take a picture of the page, where a browser is there to do it."""
    chromium = browser()
    if not chromium:
        return False
    # Chromium's own sandbox does not work for root.
    as_root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    # The time that it waits for the page passes in this process alone.
    patience = ["--virtual-time-budget=5000", "--disable-features=IsolateSandboxedIframes"]
    command = [chromium, "--headless", *as_root, *quiet, *patience, "--window-size=760,620"]
    address = (await anyio.Path(page).absolute()).as_uri()
    with anyio.move_on_after(SECONDS):
        await anyio.run_process([*command, f"--screenshot={picture}", address], check=False)
    return await anyio.Path(picture).exists()
