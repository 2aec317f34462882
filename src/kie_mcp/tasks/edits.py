"""Edit: a task that makes a film with ffmpeg on this machine, and costs no credits.

The watcher of an edit puts the sources into a private folder. This folder is inside the output folder, where most
sources are, so that hard links to these sources are possible and no copies are needed. If the process of an edit dies,
the process that takes the edit over makes the film again, because that costs nothing.
"""

import logging
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import anyio
import anyio.to_thread
from pydantic import ValidationError

from kie_mcp import disk
from kie_mcp.catalog.fields import MediaRef, Ref, parse_task_id
from kie_mcp.errors import InvalidCall, KieMcpError, TaskFailed
from kie_mcp.film import editing, stills
from kie_mcp.film.editing import Edit, Film
from kie_mcp.film.texts import read_lyrics
from kie_mcp.film.timeline import Timeline
from kie_mcp.ledger.task import Task
from kie_mcp.media import formats
from kie_mcp.media.content import Content
from kie_mcp.media.pictures import UnreadablePicture
from kie_mcp.tasks import failures
from kie_mcp.tasks.base_watcher import BaseWatcher
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.leftovers import EDIT_FOLDER
from kie_mcp.tasks.media_inputs import abbreviate
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.pricing import describe_sources
from kie_mcp.tasks.services import Services

logger = logging.getLogger(__name__)

START_SECONDS, SHARE_OF_LENGTH = 2.0, 0.5
"""Expected duration of an edit: a constant number of seconds plus a share of the film's length."""

_one_at_a_time = anyio.Lock()
"""A lock that lets only one film be made at a time, because ffmpeg uses all processors for one film."""


class EditWatcher(BaseWatcher):
    """Makes the film of one edit on this machine."""

    def __init__(self, task: Task, services: Services, duration: DurationEstimate) -> None:
        super().__init__(task, services, duration)
        self._edit: Edit | None = None
        self._scope = anyio.CancelScope()

    def poll_soon(self) -> None:
        """Do nothing, because KIE does not know the edit."""

    def stop(self) -> None:
        """Stop the program that makes the film; the task then fails."""
        self._scope.cancel()

    async def prepare(self, timeline: Timeline) -> None:
        """Put the sources into the private folder, and check that the film can be made from them.

        Raises:
            InvalidCall: When a source is not on this machine, or the timeline does not fit a source.
        """
        try:
            self._edit = await self._stage(timeline)
        except OSError as error:
            self.discard()
            raise InvalidCall(
                f"The sources cannot be put together: {failures.describe_cause(error)}.", "Make room on the disk."
            ) from None
        except BaseException:
            self.discard()
            raise
        self.task.basis = "made on this machine"
        seconds = START_SECONDS + SHARE_OF_LENGTH * self._edit.layout.seconds
        self.duration = DurationEstimate(seconds, is_measured=False)

    def discard(self) -> None:
        """Delete the private folder."""
        if downloader := self._services.downloader:
            shutil.rmtree(self._private_folder(downloader), ignore_errors=True)

    async def start(self, *_: object) -> None:
        """Set the task's state to `running`, and save it."""
        self.task.state = "running"
        await self._save()
        self.create_settled.set()

    async def follow(self, *, poll_now: bool) -> None:
        """Make the film and save it.

        Args:
            poll_now: True after a takeover; the sources are then put into a private folder again.
        """
        began = self._services.clock.monotonic()
        try:
            with self._scope:
                await self._make(was_taken_over=poll_now)
            if self._scope.cancelled_caught:
                self._fail(TaskFailed("It was stopped by its caller.", "The same call makes it anew."))
            self.task.finished, self.task.saved = self._services.clock.time(), True
            self.task.seconds = None if poll_now else self._services.clock.monotonic() - began
            self.task.credits = 0
            await self._save()
            # Another process may have made the film meanwhile. The row then keeps the result of that process. So the
            # task is read again, even if this process failed.
            self.task = await self._services.ledger.find(self.task.id) or self.task
        except Exception:
            # The row keeps its last saved state. So a process takes the edit over again later.
            logger.exception("task %s", self.task.id)
        finally:
            self.discard()

    async def _make(self, *, was_taken_over: bool) -> None:
        try:
            if was_taken_over:
                timeline = Timeline.model_validate(self.task.arguments)
                await self._require_same_sources(timeline)
                await self.prepare(timeline)
            async with _one_at_a_time:
                await self._save_film(await self._run())
        except KieMcpError as error:
            self._fail(error)
        except ValidationError:
            self._fail(TaskFailed("Its timeline in the ledger is broken.", "Make it anew."))
        except OSError as error:
            cause = failures.describe_cause(error)
            self._fail(TaskFailed(f"It could not be saved: {cause}.", "Make room; then call again.", retryable=True))

    async def _require_same_sources(self, timeline: Timeline) -> None:
        """Check that the sources of an edit that was taken over are the files that its caller named.

        A relative path may lead to another file here, and the ledger has no content of data URIs.
        """
        if any(ref.startswith("sha256:") for ref in timeline.files()):
            raise TaskFailed("A file in its call (a data URI) is gone with its server.", "The same call makes it anew.")
        contents = await self._services.references.identify(timeline.files())
        if self.task.request not in (None, describe_sources(timeline, contents)):
            raise TaskFailed("Its sources have changed since it was called.", "The same call makes it of the new ones.")

    async def _run(self) -> Film:
        if not self._edit:
            raise TaskFailed("Its sources are gone.", "Call again.")
        self._note(0)
        return await editing.make_film(self._edit, self._note)

    async def _save_film(self, film: Film) -> None:
        task, downloader = self.task, _require_downloader(self._services)
        task.results = [await downloader.keep_local_file(task, film.path, film.mime_type)]
        task.kind = next(kind for kind in ("video", "audio", "image") if film.mime_type.startswith(kind))
        task.state, task.error, task.credits = "succeeded", None, 0
        task.finished = self._services.clock.time()
        sidecar_note = await self._services.write_sidecars(task)
        task.note = " ".join(filter(None, (film.note, sidecar_note)))

    def _private_folder(self, downloader: Downloader) -> Path:
        # The folder's name contains the id of the process: while a process is paused, another process may take the edit
        # over, and two processes must never write into the same folder.
        return downloader.storage.folder / EDIT_FOLDER.format(task=self.task.id, process=self._services.process)

    def _note(self, share: float) -> None:
        """Write the film's progress into the task's note for waiting callers of this process; the note is not saved."""
        self.task.note = f"Making the film, {share:.0%}."

    def _fail(self, error: KieMcpError) -> None:
        self.task.state, self.task.error, self.task.note = "failed", error.as_dict(), ""

    async def _stage(self, timeline: Timeline) -> Edit:
        editing.find_program()
        folder = self._private_folder(_require_downloader(self._services))
        await anyio.to_thread.run_sync(_make_empty, folder)
        names: dict[Ref, str] = {}
        clips = len(timeline.clips)
        for number, ref in enumerate(timeline.files()):
            async with self._open(ref) as content:
                names[ref] = await anyio.to_thread.run_sync(_place, content, folder, number, clips, str(ref))
        return await editing.prepare(timeline, folder, names, await self._read_lyrics(timeline))

    @asynccontextmanager
    async def _open(self, ref: Ref) -> AsyncIterator[Content]:
        if not isinstance(ref, MediaRef):
            raise InvalidCall(f"{abbreviate(ref)} is no file.")
        async with self._services.references.open(ref) as content:
            yield content

    async def _read_lyrics(self, timeline: Timeline) -> str:
        """Return the lines of the timed lyrics to which a timeline refers; empty if it refers to no lyrics."""
        if not timeline.lyrics:
            return ""
        task = await self._services.ledger.find(parse_task_id(timeline.lyrics))
        lines = "\n".join(task.texts) if task else ""
        if not next(read_lyrics(lines), None):
            raise InvalidCall(
                f"lyrics: {abbreviate(timeline.lyrics)} is no task with timed lyrics.",
                "Nothing was made. Name a finished task of suno_timestamped_lyrics.",
            )
        return lines


def _require_downloader(services: Services) -> Downloader:
    if not services.downloader:
        raise InvalidCall("Files are not saved here (KIE_MCP_SAVE), so nothing can be made of them.")
    return services.downloader


def _make_empty(folder: Path) -> None:
    """Create an empty private folder; a folder that an earlier attempt left behind is deleted first."""
    disk.create_folder(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)


def _place(content: Content, folder: Path, number: int, clips: int, shown: str) -> str:
    """Put a file into the private folder under a new name, and return this name; pictures are converted."""
    if content.mime_type.startswith("image/"):
        try:
            return stills.write_picture(content.file, folder, str(number), clips)
        except UnreadablePicture as error:
            raise InvalidCall(f"{abbreviate(shown)} {error}.", "Nothing was made. Give another picture.") from None
    if content.mime_type == "audio/midi":
        raise InvalidCall(f"{abbreviate(shown)} has notes and no sound.", "Nothing was made. Give a sound.")
    name = f"{number}.{formats.EXTENSIONS[content.mime_type]}"
    if not _link(content.file, folder / name):
        with disk.create_file(folder / name) as copy:
            content.file.seek(0)
            shutil.copyfileobj(content.file, copy, 1 << 20)
    return name


def _link(file: IO[bytes], target: Path) -> bool:
    """Make a hard link to an open file; return False if no link can be made, or if the link leads to another file."""
    with suppress(OSError, NotImplementedError):
        os.link(disk.locate(file, target), target, follow_symlinks=False)
        if disk.is_same_file(file, target):
            return True
        target.unlink()
    return False
