"""Write an HTML page that shows a tool call and its result as a chat does, and take a screenshot of the page."""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from kie_mcp.child_process import run_program

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_TIMEOUT_SECONDS = 30
"""Timeout of the browser for one screenshot, in seconds."""
MAX_OUTPUT_BYTES = 1_000_000
"""Largest number of bytes that the browser may print."""
WINDOW_PX = 760, 2000
"""Width and height of the browser's window, in pixels; the window is higher than the page of the demo."""
MARGIN_PX = 24
"""Height in pixels of the empty margin that is kept below the page's content when the screenshot is cropped."""


@dataclass(frozen=True)
class Chat:
    """What a user said, and the tool call that an agent made for it."""

    words: str
    tool: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    """The result of the tool call, as the JSON object that MCP defines, with preview pictures."""


def write_page(path: Path, gallery: str, chat: Chat) -> None:
    """Write the HTML page that shows a chat.

    Args:
        path: The path of the HTML file to write.
        gallery: The HTML document that shows the result's pictures; the page displays this document in an iframe.
        chat: What the page shows.
    """
    data = json.dumps({"page": gallery, **asdict(chat)})
    page = files("kie_mcp.demo").joinpath("chat.html").read_text(encoding="utf-8")
    # A `</script>` inside the JSON data would end the page's script element too early, so each `</` is escaped.
    path.write_text(page.replace("/* call */ null", data.replace("</", "<\\/")), encoding="utf-8")


def find_browser() -> str | None:
    """Return the path of the program Chromium or Chrome on this machine, or None if neither is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


async def take_screenshot(page: Path, screenshot: Path) -> bool:
    """Take a screenshot of an HTML page with Chromium or Chrome.

    Returns:
        True if the file `screenshot` exists afterwards; False if it does not, or if no browser is installed.
    """
    chromium = find_browser()
    if not chromium:
        return False
    # Chromium refuses to run as root unless Chromium's own sandbox is off.
    as_root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    # Virtual time lets the page's timers run for 5 s without real waiting. Virtual time does not reach frames in
    # another process, so `--disable-features=IsolateSandboxedIframes` keeps all frames in the page's process.
    virtual_time = ["--virtual-time-budget=5000", "--disable-features=IsolateSandboxedIframes"]
    window = f"--window-size={WINDOW_PX[0]},{WINDOW_PX[1]}"
    command = [chromium, "--headless", *as_root, *quiet, *virtual_time, window]
    address = (await anyio.Path(page).absolute()).as_uri()
    with suppress(TimeoutError, OSError):
        command += [f"--screenshot={screenshot}", address]
        await run_program(command, seconds=BROWSER_TIMEOUT_SECONDS, max_output_bytes=MAX_OUTPUT_BYTES)
    if not await anyio.Path(screenshot).exists():
        return False
    await anyio.to_thread.run_sync(_cut_empty_rows, screenshot)
    return True


def _cut_empty_rows(screenshot: Path) -> None:
    """Crop the empty rows below the page's content, because Chromium takes a screenshot of its whole window."""
    import PIL.Image
    import PIL.ImageChops

    with PIL.Image.open(screenshot) as opened:
        picture = opened.convert("RGB")
    paper = PIL.Image.new("RGB", picture.size, picture.getpixel((0, 0)))
    if drawn := PIL.ImageChops.difference(picture, paper).getbbox():
        picture.crop((0, 0, picture.width, min(drawn[3] + MARGIN_PX, picture.height))).save(screenshot)
