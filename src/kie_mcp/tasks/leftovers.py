"""Leftovers: what dead processes left of tasks whose files are saved: partial downloads, and the folders of edits."""

import logging
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import anyio.to_thread

from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.tasks import failures
from kie_mcp.tasks.partial_files import remove_partial_file
from kie_mcp.tasks.storage import PARTS_FOLDER

logger = logging.getLogger(__name__)

PARTIAL_NAME = re.compile(r"(\..+-(t_[a-z0-9]{12})-.+\.part)(\.version)?")
"""Matches the names of partial files, also of sidecars, and of the files with their versions; group 2 is the task."""
EDIT_FOLDER = ".{task}.{process}.edit"
"""Name of the private folder in which a process makes a film."""
EDIT_NAME = re.compile(r"(\.(t_[a-z0-9]{12})\..+\.edit)")
"""Matches the names of such folders; group 2 is the task."""


async def remove_leftovers(folder: Path, ledger: Ledger) -> None:
    """Delete what dead processes have left of downloads, if the ledger says that the files of the task are saved.

    The partial files of tasks that are not in the ledger stay, because they may belong to another ledger.

    Args:
        folder: The folder of partial files.
        ledger: The ledger, which has the tasks and whether their files are saved.
    """
    try:
        for id_, places in (await anyio.to_thread.run_sync(_find_leftovers, folder)).items():
            if (task := await ledger.find(id_)) and task.saved:
                await anyio.to_thread.run_sync(_remove, places)
    except (OSError, LedgerError) as error:
        logger.warning("Partial files in %s cannot be removed: %s", folder, failures.describe_cause(error))


def _find_leftovers(folder: Path) -> Mapping[str, set[Path]]:
    """Return the partial files and private folders in the output folder by the ids of their tasks."""
    found: dict[str, set[Path]] = defaultdict(set)
    for each in (folder, folder / PARTS_FOLDER):
        with suppress(FileNotFoundError):
            for place in each.iterdir():
                if name := PARTIAL_NAME.fullmatch(place.name) or EDIT_NAME.fullmatch(place.name):
                    found[name[2]].add(each / name[1])
    return found


def _remove(places: Iterable[Path]) -> None:
    for place in places:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            remove_partial_file(place)
