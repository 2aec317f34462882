"""Find out whether the terminal can show pictures, and how large they may be."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Literal, NamedTuple

Protocol = Literal["kitty", "sixel"]
"""How pictures are sent to a terminal: by the graphics protocol of kitty, or as sixels."""
KITTY_TERMINALS = ("xterm-kitty", "xterm-ghostty")
WITHOUT_PICTURES = ("", "dumb", "linux")
"""Values of TERM for which no picture is shown: no value, `dumb` (some editors) and `linux` (the console of Linux)."""
ANSWER_SECONDS = 1
"""Maximum seconds to wait for the terminal's answer; over SSH, the answer takes a network round trip."""
ASK_FOR_ATTRIBUTES = b"\x1b[c"
"""Control sequence (DA1) that asks any terminal for its model and its abilities; the answer is a list of numbers."""
ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
SIXELS = b"4"
VT340 = b"63"
"""First number of the answer if the terminal is a VT340, or an xterm that imitates one."""
VT340_COLOURS = 16


class PictureTerminal(NamedTuple):
    """A terminal that shows pictures."""

    protocol: Protocol
    columns: int
    rows: int
    width_px: int
    """Width in pixels of all columns together."""
    height_px: int
    """Height in pixels of all rows together."""
    colours: int = 256
    """Maximum number of colours in one sixel picture."""


# Windows has none of the modules that are imported below, and its terminals do not tell their size in pixels.
if sys.platform == "win32":

    def find_picture_terminal() -> PictureTerminal | None:
        """Return None, because no picture can be shown on Windows."""
        return None

else:
    import fcntl
    import struct
    import termios
    import tty
    from select import select

    def find_picture_terminal() -> PictureTerminal | None:
        """Return the terminal of this process if it shows pictures; None for other terminals, pipes, files and CI.

        This function waits at most `ANSWER_SECONDS`. It reads the terminal's answer completely, so that the shell gets
        no part of the answer as input.
        """
        name = os.environ.get("TERM", "")
        if name in WITHOUT_PICTURES or "CI" in os.environ or not sys.stdout.isatty():
            return None
        try:
            size = _read_size(sys.stdout.fileno())
        except OSError:
            return None
        if 0 in size:
            return None
        if name in KITTY_TERMINALS:
            return PictureTerminal("kitty", *size)
        attributes = _ask_for_attributes()
        if SIXELS not in attributes[1:]:
            return None
        return PictureTerminal("sixel", *size, colours=VT340_COLOURS if attributes[0] == VT340 else 256)

    def _read_size(terminal: int) -> tuple[int, int, int, int]:
        """Return the columns, the rows, the width and the height in pixels; some terminals tell 0 pixels."""
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
        return columns, rows, width, height

    def _ask_for_attributes() -> list[bytes]:
        """Return the numbers in the terminal's answer; empty if there is no answer."""
        try:
            with _open_terminal() as terminal:
                # If the user has typed something meanwhile, it is for the next command and must not be read here.
                if select([terminal], [], [], 0)[0]:
                    return []
                os.write(terminal, ASK_FOR_ATTRIBUTES)
                return _read_attributes(terminal)
        except (OSError, termios.error):
            return []

    @contextmanager
    def _open_terminal() -> Iterator[int]:
        """Open the terminal of this process, and turn off echo and line buffering until the `with` block ends.

        Raises:
            OSError: When there is no terminal, or this process runs in the background of its shell. The system stops a
                background process that changes the terminal.
        """
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        try:
            if os.tcgetpgrp(terminal) != os.getpgrp():
                raise BlockingIOError
            before = termios.tcgetattr(terminal)
            tty.setcbreak(terminal, termios.TCSANOW)
            try:
                yield terminal
            finally:
                # TCSAFLUSH discards an answer that came too late.
                termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        finally:
            os.close(terminal)

    def _read_attributes(terminal: int) -> list[bytes]:
        answer, until = b"", monotonic() + ANSWER_SECONDS
        while select([terminal], [], [], max(until - monotonic(), 0))[0] and (part := os.read(terminal, 64)):
            answer += part
            if found := ATTRIBUTES.search(answer):
                return found[1].split(b";")
        return []
