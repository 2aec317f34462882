"""Storage: keep results and open them again, in a folder on this machine or in a bucket (see the module `bucket`)."""

import re
import stat
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import date
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import anyio.to_thread

from kie_mcp import disk
from kie_mcp.clock import to_local_day
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Result, Task
from kie_mcp.media import formats, result_types
from kie_mcp.tasks import partial_files, sidecar
from kie_mcp.tasks.partial_files import PartialFile

T = TypeVar("T")

PARTS_FOLDER = "parts"
"""Name of the subfolder for the files of parts: tasks whose files are joined to one file of the parent task."""
LONGEST_MODEL = 100
"""Maximum number of characters of a model's id in a file's name; most file systems allow names of 255 bytes."""

_USE_LINK = "Use the link in get_task's answer."
_MAKE_AGAIN = "There is no other copy: make it again."
_USE_OTHER = "Use the link in get_task's answer, or the path of the file if it is in a folder that may be read."


class Kept(NamedTuple):
    """The places of a result that `Storage.keep()` has kept."""

    place: str
    """The path of the file, or its address in the bucket; the ledger stores this text."""
    file: Path
    """The file on this machine; for a bucket, the copy in the cache."""


class Storage(ABC):
    """Keeps the files of results, and opens them again."""

    def __init__(self, folder: Path, to_day: Callable[[float], date]) -> None:
        """Store the arguments; nothing is created yet.

        Args:
            folder: The folder on this machine for partial files.
            to_day: Converts a time in seconds since 1970 to a day; the name of a result begins with this day.
        """
        self.folder = folder.expanduser().absolute()
        self._to_day = to_day

    def name(self, task: Task, number: int) -> str:
        """Return the file name of a result without its extension; `number` is the result's number in its task."""
        model = re.sub(r"[^a-z0-9.]+", "-", task.model.lower())[:LONGEST_MODEL]
        return f"{self._to_day(task.created)}-{model}-{task.id}-{number}"

    def find_part_folder(self, task: Task) -> Path:
        """Return the folder on this machine for the partial files of a task."""
        return self.folder / PARTS_FOLDER if task.parent else self.folder

    @abstractmethod
    async def keep(self, part: PartialFile, task: Task, name: str, extension: str, mime_type: str) -> Kept:
        """Keep a complete file as a result; if the same file is kept twice, the storage contains it only once.

        Args:
            part: The file, which this method closes.
            task: The task that made the file.
            name: The name of the file, from `name()`.
            extension: The file extension, without the dot.
            mime_type: The MIME type of the file.

        Raises:
            OSError: When the file cannot be read or kept.
        """

    @abstractmethod
    async def keep_sidecar(self, place: str, content: bytes, task: Task) -> None:
        """Keep the sidecar of a result; an existing sidecar of the same task is replaced.

        Raises:
            OSError: When the sidecar cannot be kept.
        """

    async def sign_links(self, results: Iterable[Result]) -> Callable[[Result], str]:
        """Return a function that returns the URL of each of these results.

        The URL is a new signed one if a result is in a bucket, else KIE's URL; empty if the result has no URL at all.
        """
        del results
        return attrgetter("link")

    def find_host(self) -> str:
        """Return the web host of the URLs that `sign_links()` signs, such as `https://s3.example`; empty if none."""
        return ""

    def find_reference(self, url: str) -> str:
        """Return `task:<id>#<n>` for a URL that `sign_links()` signed; any other text is returned unchanged."""
        return url

    def find_constant_name(self, result: Result) -> str:
        """Return a name under which a cache may keep a result for ever; empty if users may edit the result's file."""
        del result
        return ""

    def open(self, result: Result) -> IO[bytes]:
        """Open the saved file of a result.

        If somebody has replaced the file by a symbolic link or by a file of another kind, it is not opened. A picture
        that the user has edited is opened.

        Raises:
            InvalidCall: When the file does not exist, cannot be read, or was replaced.
        """
        if not result.path:
            raise InvalidCall("This result is not saved.", "get_task tries again to save it.")
        shown = result.local_path or "Its object in the bucket"
        try:
            file = self._open_place(result.path)
        except OSError as error:
            fault = "is no file, or not any more" if _is_gone(error, result) else f"cannot be read: {error.strerror}"
            raise InvalidCall(f"{shown} {fault}.", _USE_LINK if result.link else _MAKE_AGAIN) from None
        try:
            if not _is_of_kind(file, result):
                raise InvalidCall(f"{shown} is not what was saved.", _USE_OTHER)
        except BaseException:
            file.close()
            raise
        return file

    async def open_in_thread(self, result: Result) -> IO[bytes]:
        """Do the same as `open()` in a thread, because the bucket may have to be waited for.

        Raises:
            InvalidCall: When the file does not exist, cannot be read, or was replaced.
        """
        return await self._run(self.open, result)

    @asynccontextmanager
    async def open_if_there(self, result: Result) -> AsyncIterator[IO[bytes] | None]:
        """Open the saved file of a result; yield None if the result is not saved, or its file cannot be opened."""
        file = None
        with suppress(InvalidCall):
            file = await self.open_in_thread(result)
        with file or nullcontext():
            yield file

    async def is_there(self, result: Result) -> bool:
        """Return whether the saved file of a result still exists; True as well if it cannot be opened at the moment."""
        return await self._run(self._is_there, result)

    def _is_there(self, result: Result) -> bool:
        try:
            with self._open_place(result.path) as file:
                return _is_of_kind(file, result)
        except OSError as error:
            return not _is_gone(error, result)

    def locate(self, place: str) -> Path:
        """Return the path of a kept file on this machine.

        Raises:
            OSError: When the file cannot be downloaded from the bucket.
        """
        return Path(place)

    async def locate_in_thread(self, place: str) -> Path:
        """Do the same as `locate()` in a thread, because the bucket may have to be waited for.

        Raises:
            OSError: When the file cannot be downloaded from the bucket.
        """
        return await self._run(self.locate, place)

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function that uses the storage in a thread."""
        return await anyio.to_thread.run_sync(function, *arguments)

    def _open_place(self, place: str) -> IO[bytes]:
        return disk.open_file(self.locate(place))

    @abstractmethod
    async def check(self) -> None:
        """Check that results can be kept.

        Raises:
            OSError: When results cannot be kept.
        """


class FolderStorage(Storage):
    """Keeps results in a folder of this machine, and never overwrites a file there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, to_local_day)

    async def keep(self, part: PartialFile, task: Task, name: str, extension: str, mime_type: str) -> Kept:
        """Give the file its final name; a number is added if another file has this name."""
        del mime_type
        final = await anyio.to_thread.run_sync(part.commit, self.find_part_folder(task), name, extension)
        return Kept(str(final), final)

    async def keep_sidecar(self, place: str, content: bytes, task: Task) -> None:
        """Write the sidecar into the folder of the result's file."""
        file = Path(place)
        beside = file.with_name(f"{file.name}.json")
        # If another server is writing this sidecar, one of the two is enough.
        with suppress(BlockingIOError), partial_files.open_partial_file(file.parent, file.name, private=True) as part:
            part.begin("", None)
            part.file.write(content)
            # Only now, with the partial file locked, can no other process be writing this sidecar.
            if sidecar.belongs_to(beside, task):
                # An existing sidecar is replaced, because an earlier process may have known less about the task.
                part.replace(beside)
            else:
                part.commit(file.parent, file.name, "json")

    async def check(self) -> None:
        """Create the folder, if it does not exist yet."""
        await anyio.to_thread.run_sync(disk.create_folder, self.folder)


def _is_gone(error: OSError, result: Result) -> bool:
    """Return whether a file that could not be opened does not exist any more, or was replaced by what is no file."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return True
    if not result.is_in_bucket:
        with suppress(OSError):
            return not stat.S_ISREG(Path(result.path).lstat().st_mode)
    return False


def _is_of_kind(file: IO[bytes], result: Result) -> bool:
    """Return whether a file is still of its result's kind: picture, clip or sound. True for results of other kinds."""
    if not (result.is_media and result.mime_type):
        return True
    # A MIME type that is not in `EXTENSIONS` may come from the answer to the download, because the content of the file
    # does not show this type. So `identify()` gets it as the declared type again.
    declared = "" if result.mime_type in formats.EXTENSIONS else result.mime_type
    found = result_types.identify(file, declared=declared, url=result.link)
    file.seek(0)
    return found.partition("/")[0] == result.mime_type.partition("/")[0]
