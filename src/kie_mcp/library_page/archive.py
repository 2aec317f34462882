"""Send saved results as one ZIP file; the ZIP file is built while it is sent, and never stored."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Result
from kie_mcp.tasks.storage import Storage

CHUNK_BYTES = 1 << 20
MISSING = "missing.txt"
"""Name of the text file in the ZIP that lists the results whose files are gone."""


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


def write_archive(storage: Storage, results: Sequence[Result], conceal: Callable[[str], str]) -> Iterator[bytes]:
    """Yield the bytes of a ZIP file with the saved files, and with a text that lists the files that are gone.

    Args:
        storage: The storage of the results.
        results: The results.
        conceal: Removes from the text what the receiver of the ZIP file must not see, such as paths of this machine.
    """
    sink, missing, names = _Sink(), list[str](), set[str]()
    # The ZIP stores the files without compression, because media files are compressed already.
    with ZipFile(sink, "w", ZIP_STORED) as archive:  # type: ignore[call-overload]
        for result in results:
            name = _find_free_name(Path(result.path).name, names)
            try:
                file = storage.open(result)
            except InvalidCall as error:
                missing.append(f"{name or result.link}: {error}")
                continue
            with file, archive.open(ZipInfo(name), "w", force_zip64=True) as entry:
                while chunk := file.read(CHUNK_BYTES):
                    entry.write(chunk)
                    yield sink.take()
        if missing:
            archive.writestr(MISSING, conceal("\n".join(missing)))
    yield sink.take()


def _find_free_name(name: str, taken: set[str]) -> str:
    """Return a file name that is not in `taken` yet, and add it to `taken`."""
    path, number = Path(name), 1
    while name in taken:
        number += 1
        name = f"{path.stem}-{number}{path.suffix}"
    taken.add(name)
    return name
