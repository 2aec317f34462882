"""Wake-ups between processes on one SQLite file: files that tell the process that watches a task to poll it at once.

PostgreSQL tells it itself.

A callback of KIE may arrive at any of several processes on one ledger, and only the one that watches the task may act
on it. A wake-up that is lost costs nothing: the task is then polled a little later.
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
"""Name of the folder in the folder of the ledger."""
LOOK_SECONDS = 0.1
"""Seconds between two reads of the folder."""
KEPT_SECONDS = 30
"""Seconds for which a wake-up is kept if no process takes it."""


class WakeFiles:
    """Sends wake-ups to other processes that use the same folder, and receives theirs; a wake-up is an empty file."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Store the arguments; the first wake-up creates the folder."""
        self._folder = folder / FOLDER
        self._clock = clock

    def send(self, id_: str) -> None:
        """Tell the process that watches the task with this id of the ledger to poll it."""
        try:
            disk.create_folder(self._folder)
            with suppress(FileExistsError):
                disk.create_file(self._folder / id_).close()
        except OSError as error:
            logger.warning("The process that watches task %s cannot be told: %s", id_, error.strerror)

    async def run(self, wake: Callable[[str], bool]) -> None:
        """Receive wake-ups, in an endless loop.

        Args:
            wake: A function that polls a task soon, by its id; it returns False if this process does not watch it.
        """
        while True:
            self.receive(wake)
            await self._clock.idle(LOOK_SECONDS)

    def receive(self, wake: Callable[[str], bool]) -> None:
        """Receive all waiting wake-ups once."""
        with suppress(OSError):
            for file in self._folder.iterdir():
                # The age is computed with the system's clock, because files have its times.
                if wake(file.name) or time.time() - file.stat().st_mtime > KEPT_SECONDS:
                    file.unlink(missing_ok=True)
