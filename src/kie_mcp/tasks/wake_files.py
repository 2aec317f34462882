"""Wake-ups between processes that share an SQLite ledger: an empty file asks a process to poll a task at once.

With PostgreSQL, no such files are needed, because the database itself sends messages between the processes.

A callback of KIE may arrive at any process that uses the ledger, but only the process that watches the task may act on
the callback. A lost wake-up costs nothing: the task is only polled a little later.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kie_mcp import disk
from kie_mcp.clock import Clock

logger = logging.getLogger(__name__)

FOLDER = "wake-ups"
"""Name of the folder for wake-ups, which is inside the ledger's folder."""
LOOK_SECONDS = 0.1
"""Seconds between two reads of the folder."""
KEPT_SECONDS = 30
"""Seconds after which a wake-up is deleted if no process has received it."""


class WakeFiles:
    """Sends wake-ups (empty files) to other processes that use the same folder, and receives wake-ups from them."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Store the arguments; the first wake-up creates the folder."""
        self._folder = folder / FOLDER
        self._clock = clock

    def send(self, id_: str) -> None:
        """Ask the process that watches the task with this ledger id to poll the task."""
        try:
            disk.create_folder(self._folder)
            with suppress(FileExistsError):
                disk.create_file(self._folder / id_).close()
        except OSError as error:
            logger.warning("The process that watches task %s cannot be told: %s", id_, error.strerror)

    async def run(self, wake: Callable[[str], bool]) -> None:
        """Receive wake-ups, in an endless loop.

        Args:
            wake: A function that takes a task's id and polls the task soon; it returns False if this process does not
                watch the task.
        """
        while True:
            self.receive(wake)
            await self._clock.idle(LOOK_SECONDS)

    def receive(self, wake: Callable[[str], bool]) -> None:
        """Read the folder once, and handle all wake-ups in it."""
        with suppress(OSError):
            for file in self._folder.iterdir():
                # `time.time()` is used instead of the `Clock`, because the file system takes the times of files from
                # the system's clock.
                if wake(file.name) or time.time() - file.stat().st_mtime > KEPT_SECONDS:
                    file.unlink(missing_ok=True)
