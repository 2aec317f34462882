"""Delete leftovers of dead processes (partial downloads and folders of edits) if the files of their tasks are saved."""

import logging
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import anyio.to_thread

from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import TASK_ID
from kie_mcp.tasks import failures
from kie_mcp.tasks.partial_files import remove_partial_file
from kie_mcp.tasks.storage import PARTS_FOLDER

logger = logging.getLogger(__name__)

PARTIAL_NAME = re.compile(rf"(\..+-({TASK_ID})-.+\.part)(\.version)?")
"""Matches the names of partial files of results and sidecars, and of their version files; group 2 is the task's id."""
EDIT_FOLDER = ".{task}.{process}.edit"
"""Name of the private folder in which a process makes the film of an edit."""
EDIT_NAME = re.compile(rf"(\.({TASK_ID})\..+\.edit)")
"""Matches the names of the private folders of edits; group 2 is the id of the task."""

ABANDONED_SECONDS = 86400.0
"""Seconds after the last change of an edit's folder until it is deleted, if the edit has no row in the ledger."""


async def remove_leftovers(folder: Path, ledger: Ledger, now: float) -> None:
    """Delete what downloads and edits of dead processes left behind, if the files of the task are saved.

    Partial files of tasks that are not in the ledger stay, because they may belong to another ledger. The folder of an
    edit that is not in the ledger stays for `ABANDONED_SECONDS`, because a process creates the folder before it saves
    the row of the edit. No edit runs for so long.

    Args:
        folder: The folder of partial files.
        ledger: The ledger, which stores whether the files of a task are saved.
        now: The current time, in seconds since 1970.
    """
    try:
        for id_, places in (await anyio.to_thread.run_sync(_find_leftovers, folder)).items():
            if task := await ledger.find(id_):
                gone = places if task.saved else set[Path]()
            else:
                gone = {place for place in places if _is_abandoned(place, now)}
            await anyio.to_thread.run_sync(_remove, gone)
    except (OSError, LedgerError) as error:
        logger.warning("Partial files in %s cannot be removed: %s", folder, failures.describe_cause(error))


def _find_leftovers(folder: Path) -> Mapping[str, set[Path]]:
    """Find partial files and private folders in the output folder; return them by the id of their task."""
    found: dict[str, set[Path]] = defaultdict(set)
    for each in (folder, folder / PARTS_FOLDER):
        with suppress(FileNotFoundError):
            for place in each.iterdir():
                if name := PARTIAL_NAME.fullmatch(place.name) or EDIT_NAME.fullmatch(place.name):
                    found[name[2]].add(each / name[1])
    return found


def _is_abandoned(place: Path, now: float) -> bool:
    """Return whether a place is the folder of an edit, and its content has not changed for a day."""
    with suppress(OSError):
        return bool(EDIT_NAME.fullmatch(place.name)) and now - place.stat().st_mtime > ABANDONED_SECONDS
    return False


def _remove(places: Iterable[Path]) -> None:
    for place in places:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            remove_partial_file(place)
