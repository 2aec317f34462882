"""Show results as pictures in terminals that can show pictures; a clip or a sound becomes one picture, too."""

import base64
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kie_mcp.cli.calls import WIDTH, make_console
from kie_mcp.cli.ledger import read_or_raise
from kie_mcp.cli.terminal import PictureTerminal, find_picture_terminal

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.text import Text

    from kie_mcp.config import Settings
    from kie_mcp.ledger.ledger import Ledger

MAX_BYTES = 2_000_000
"""Maximum size in bytes of the JPEG that is made from the results; the terminal gets the picture in another format."""
MAX_PIXELS = 960
"""Maximum width and maximum height of the JPEG that is made from the results, in pixels."""
ROWS_BELOW = 6
"""Number of the terminal's rows that a picture leaves free for text."""
CHUNK = 4096
"""Maximum number of characters in one part of a picture; kitty's protocol sends a picture in parts."""

Pictures = Annotated[
    Literal["auto", "blocks", "off"],
    typer.Option(
        help="Show pictures in terminals with sixels or kitty's graphics; show them as blocks in any; or show none."
    ),
]


def show_results(task_ids: Sequence[str], pictures: Pictures) -> None:
    """Show the results of tasks as one picture; several results become a contact sheet.

    If there is one task, all its results are shown; if there are several tasks, the first result of each task. Nothing
    is shown if stdout is no terminal, or if no file can be shown.
    """
    if not task_ids or pictures == "off" or not sys.stdout.isatty():
        return
    terminal = find_picture_terminal() if pictures == "auto" else None
    if pictures == "auto" and not terminal:
        return
    import anyio

    from kie_mcp.errors import KieMcpError
    from kie_mcp.ledger.ledger import LedgerError

    content = b""
    # The command has printed the tasks already, so it must not fail here if the ledger cannot be read.
    with suppress(KieMcpError, LedgerError):
        content = anyio.run(read_or_raise, partial(_render, task_ids))
    if not content:
        return
    import PIL.Image

    with PIL.Image.open(BytesIO(content)) as image:
        if terminal:
            _draw(image, terminal)
        else:
            make_console().print(*_draw_blocks(image), sep="\n")


async def _render(task_ids: Sequence[str], settings: "Settings", ledger: "Ledger") -> bytes:
    """Return one JPEG that shows all saved results; empty bytes if none is saved."""
    from kie_mcp.server.app import App
    from kie_mcp.server.contact_sheets import render_results
    from kie_mcp.server.preview_limits import PreviewLimits

    tasks = [task for id_ in task_ids if (task := await ledger.find(id_)) and task.results]
    shown = [(task.results[0], task.id) for task in tasks]
    if len(task_ids) == 1 and tasks:
        shown = [(each, "") for each in tasks[0].results]
    limits = PreviewLimits(max_bytes=MAX_BYTES, max_side_px=MAX_PIXELS)
    return (await render_results(App(settings).storage, shown, limits)).content if shown else b""


def _draw(image: "Image", terminal: PictureTerminal) -> None:
    """Draw a picture in its own size, or smaller if it would not fit into the terminal."""
    columns, rows = min(terminal.columns, WIDTH), max(terminal.rows - ROWS_BELOW, 1)
    image.thumbnail((terminal.width_px * columns // terminal.columns, terminal.height_px * rows // terminal.rows))
    if terminal.protocol == "kitty":
        sys.stdout.write("".join(_write_for_kitty(image)))
        sys.stdout.flush()
    else:
        with _without_questions():
            from textual_image.renderable.sixel import Image as Sixels
        make_console().print(Sixels(image.quantize(terminal.colours).convert("RGB")))


def _write_for_kitty(image: "Image") -> Iterator[str]:
    """Yield the control sequences that show a picture, and then a line break.

    The library textual-image is not used here, because it needs placeholders, which kitty has only since version 0.28.
    """
    file = BytesIO()
    image.save(file, "PNG")
    content = base64.standard_b64encode(file.getvalue()).decode()
    for start in range(0, len(content), CHUNK):
        # Options of kitty's protocol: a=T shows the picture, f=100 means PNG, q=2 turns the terminal's answers off, and
        # m=1 means that another part follows.
        options = "a=T,f=100,q=2," if start == 0 else ""
        yield f"\x1b_G{options}m={int(start + CHUNK < len(content))};{content[start : start + CHUNK]}\x1b\\"
    yield "\n"


@contextmanager
def _without_questions() -> Iterator[None]:
    """Prevent textual-image, while it is imported, from asking the terminal what the terminal can show.

    textual-image would wait only 0.1 s for the answer. Over SSH, the answer may come later, and would then appear as
    input of the shell.
    """
    stdout, sys.__stdout__ = sys.__stdout__, None  # type: ignore[misc]
    try:
        yield
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]


def _draw_blocks(image: "Image") -> Iterator["Text"]:
    """Yield lines of text in which each character shows two pixels, one in its upper half and one in its lower half."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    console = make_console()
    image.thumbnail((console.width, 2 * max(console.height - ROWS_BELOW, 1)))
    pixels = image.convert("RGB").tobytes()

    def find_colour(column: int, row: int) -> Color:
        start = 3 * (row * image.width + column)
        return Color.from_rgb(*pixels[start : start + 3])

    for top in range(0, image.height - 1, 2):
        line = Text(end="")
        for column in range(image.width):
            line.append("▀", Style(color=find_colour(column, top), bgcolor=find_colour(column, top + 1)))
        yield line
