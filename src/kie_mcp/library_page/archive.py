"""Send saved results as one ZIP file; the ZIP file is built while it is sent, and never stored."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from kie_mcp.clock import to_utc
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.storage import Storage

CHUNK_BYTES = 1 << 20
MISSING = "missing.txt"
"""Name of the text file in the ZIP that lists the results whose files are gone."""
FIRST_YEAR, LAST_YEAR = 1980, 2107
"""The first and the last year that a ZIP file can store."""


class _Sink:
    """A write-only file object without seek; it keeps the written bytes until `take()` returns them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Do nothing, because `take()` needs no flush."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def write_archive(storage: Storage, tasks: Sequence[Task], conceal: Callable[[str], str]) -> Iterator[bytes]:
    """Yield the bytes of a ZIP file with the saved files, and with a text that lists the files that are gone.

    Args:
        storage: The storage of the results.
        tasks: The tasks whose results are sent.
        conceal: Removes from the text what the receiver of the ZIP file must not see, such as paths of this machine.
    """
    sink, missing, names = _Sink(), list[str](), set[str]()
    # The ZIP stores the files without compression, because media files are compressed already.
    with ZipFile(sink, "w", ZIP_STORED) as archive:  # type: ignore[call-overload]
        for task, result in [(each, result) for each in tasks for result in each.results]:
            name = _find_free_name(Path(result.path).name, names) if result.path else result.link or task.id
            try:
                file = storage.open(result)
            except InvalidCall as error:
                missing.append(f"{name}: {error}")
                continue
            entry = ZipInfo(name, _find_zip_time(task.created))
            with file, archive.open(entry, "w", force_zip64=True) as target:
                while chunk := file.read(CHUNK_BYTES):
                    target.write(chunk)
                    yield sink.take()
        if missing:
            archive.writestr(MISSING, conceal("\n".join(missing)))
    yield sink.take()


def _find_zip_time(seconds: float) -> tuple[int, int, int, int, int, int]:
    """Convert seconds since 1970 to a time in the machine's time zone, as a ZIP file stores it."""
    time = to_utc(seconds).astimezone()
    year = min(max(time.year, FIRST_YEAR), LAST_YEAR)
    return year, time.month, time.day, time.hour, time.minute, time.second


def _find_free_name(name: str, taken: set[str]) -> str:
    """Return a file name that is not in `taken` yet, and add it to `taken`."""
    path, number = Path(name), 1
    while name in taken:
        number += 1
        name = f"{path.stem}-{number}{path.suffix}"
    taken.add(name)
    return name
