"""Watcher of a parent task: starts the parts of the task in order, and joins their files into one file.

All guarantees about money hold for the parts, because each part is a task with its own row, create request and watcher.
The parent task itself sends nothing to KIE. Its row reserves the credits of all parts before the first part is sent.
The idempotency key of each part is derived from the parent task. So a process that takes over a parent task finds the
existing parts, and makes only the missing ones.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import anyio

from kie_mcp.errors import InvalidCall, KieMcpError, TaskFailed
from kie_mcp.ledger.repeated import WITHOUT_RESULT
from kie_mcp.ledger.task import PENDING, Result, Task
from kie_mcp.tasks import failures
from kie_mcp.tasks.base_watcher import BaseWatcher
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.parts import Plan, count_credits
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.services import Services

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5
"""Seconds between two attempts to save the joined file, and between two checks of a part with unsaved files."""
LONGEST_WAIT = 3600
"""Maximum seconds to wait for a part before its row in the ledger is read again."""

ERROR_FIELDS = ("message", "next_step", "billed")
"""If a part fails, the parent task gets the error of the part, but with other values of these fields."""


Recorded = Callable[[], Awaitable[None]]
"""The type of functions that are called when the row of a part or item is in the ledger."""


class Started(NamedTuple):
    """A part or item whose create request is settled, and the error of this request, if there was one."""

    task: Task
    error: KieMcpError | None = None


class PartRunner(Protocol):
    """The runner's methods that start the parts of parent tasks and the items of batches, and wait for them."""

    async def start_part(self, order: Order, parent: Task, key: str, on_recorded: Recorded | None = None) -> Started:
        """Start a part or an item, or return the existing task with this idempotency key.

        Caps and confirmation are not checked again, because `parent` has passed these checks.

        Args:
            order: The order of the part or item.
            parent: The parent task of the part, or the batch of the item; its reservation includes the cost
                of the part or item.
            key: The idempotency key of the part or item.
            on_recorded: Called when the new row is in the ledger, while KIE answers the create request; not called for
                an existing task.

        Returns:
            The part or item, after KIE has accepted or refused it.

        Raises:
            KieMcpError: When the ledger cannot be written, so that nothing was sent to KIE.
        """
        ...

    async def get(self, id_: str, *, seconds: float | None = ...) -> Task:
        """Return a task, and make sure that a process watches it."""
        ...

    async def wait(self, tasks: Sequence[Task], seconds: float) -> list[Task]:
        """Wait until all tasks have ended, but at most for `seconds`; return the tasks in their latest state."""
        ...


class ParentWatcher(BaseWatcher):
    """Follows one parent task to its end."""

    def __init__(self, task: Task, services: Services, duration: DurationEstimate, runner: PartRunner) -> None:
        super().__init__(task, services, duration)
        self._runner = runner
        self._parts: list[Task] = []
        self._woken = anyio.Event()

    @cached_property
    def _plan(self) -> Plan:
        return Plan.read(self.task)

    def poll_soon(self) -> None:
        """Retry at once to save files that are not saved yet; the parts are polled by their own watchers."""
        self._woken.set()

    async def start(self, *_: object) -> None:
        """Start only the first part, because KIE's answer to this part shows whether KIE accepts the call."""
        try:
            await self._make_next()
        except Exception as error:
            # The error is not raised further, because it would cancel all other watchers in the task group.
            logger.exception("task %s", self.task.id)
            # If a part was started, `follow()` goes on with it.
            if not self._parts:
                self.error = failures.internal_create_error(self.task, error, self._services.client.advice)
                self.task.credits = self.task.reserved = 0
                await self._end_failed(self.error.as_dict())
        finally:
            self.create_settled.set()

    async def follow(self, *, poll_now: bool) -> None:
        """Make the parts that are missing, wait until all parts have ended, and join their files.

        Args:
            poll_now: True after a takeover.
        """
        task = self.task
        try:
            if poll_now and (error := await self._find_obstacle()):
                await self._fail(error)
            while not task.final and self._find_failed() is None and len(self._parts) < len(self._plan.orders):
                await self._make_next()
            if not task.final:
                await self._wait_for_parts()
                await self._finish()
        except Exception:
            # The row of the parent task keeps its last saved state. So a process takes the task over again later.
            logger.exception("task %s", task.id)

    async def _find_obstacle(self) -> KieMcpError | None:
        """Return the error if a task that was taken over cannot go on, else None."""
        try:
            return None if await self._was_sent() else failures.not_sent_error()
        except InvalidCall as error:
            # A newer kie-mcp no longer has the model, or no longer accepts the fields. KIE may have billed some parts.
            return replace(error, billed=None)

    async def _was_sent(self) -> bool:
        """Tell whether the create request of at least one part was sent to KIE, and KIE did not refuse it."""
        parts = await self._plan.find_parts(self._services.ledger)
        return any(part and part.state != "prepared" and not part.refused for part in parts)

    async def _make_next(self) -> None:
        """Find or start the next part; if KIE refuses the first part, the parent task fails with that error."""
        number = len(self._parts)
        if number == 0 and await self._fail_for_lost_files(await self._plan.find_parts(self._services.ledger)):
            return
        try:
            started = await self._find_or_start(number)
        except KieMcpError as error:
            # The part has no row that could store the error, because the ledger could not be written. So the parent
            # task gets the error.
            await self._wait_for_parts()
            await self._fail(error, number)
            return
        self._parts.append(started.task)
        if number == 0 and started.error and started.task.final:
            await self._fail(started.error, number)
        elif self.task.state == "prepared":
            self.task.state = "running"
            await self._note_progress()

    async def _find_or_start(self, number: int) -> Started:
        key = self._plan.key(number)
        part = await self._services.ledger.find_newest(key)
        if part and not part.final:
            # If the part's process died before it sent the create request, a takeover marks the part as failed here.
            # The part is then started again below.
            part = await settle_create(self._runner, part.id)
        if part and part.state not in WITHOUT_RESULT:
            return Started(part)
        if part and part.parent == self.task.id and not part.refused:
            return Started(part)
        return await self._runner.start_part(self._plan.orders[number], self.task, key)

    async def _fail_for_lost_files(self, parts: Sequence[Task | None]) -> bool:
        """Download lost files of earlier parts again; if KIE has lost a file too, end the parent task with an error.

        A lost part is made and paid again only after the caller has seen this error and repeats the call.

        Returns:
            Whether the parent task has ended.
        """
        found = [part and await self._get_files_back(part) for part in parts]
        lost = {number: part for number, part in enumerate(found) if part and part.state == "expired"}
        is_news = any(part.state != "expired" for number, part in enumerate(parts) if part and number in lost)
        if is_news:
            self._parts = [part for part in found if part]
            await self._fail(failures.parts_lost_error(lost, len(parts)))
        return is_news

    async def _get_files_back(self, part: Task) -> Task:
        """Download a part's missing files again; if KIE does not have them any more, mark the part as expired."""
        downloader = self._services.downloader
        if part.state != "succeeded" or not part.saved or not downloader:
            return part
        gone = [each for each in part.results if each.path and not await downloader.storage.is_there(each)]
        if not gone:
            return part
        paths = ", ".join(result.path for result in gone)
        before = replace(part)
        for result in gone:
            result.path = result.mime_type = result.facts = ""
        part.saved = False
        await self._services.save(part, before)
        await self._runner.get(part.id)
        part = await self._wait_for_part(part)
        if part.state == "expired" or any(not result.path for result in part.results):
            before = replace(part)
            part.state, part.error = "expired", failures.file_lost_error(paths).as_dict()
            await self._services.save(part, before)
        return part

    async def _wait_for_parts(self) -> None:
        for number, part in enumerate(self._parts):
            self._parts[number] = await self._wait_for_part(part)
            await self._note_progress()

    async def _wait_for_part(self, part: Task) -> Task:
        """Wait until a part has ended and its files are saved; return the part."""
        while not part.done:
            await self._runner.wait([part], LONGEST_WAIT)
            part = await self._services.ledger.find(part.id) or part
            if not part.done and await self._is_woken_early():
                await self._runner.get(part.id)
        return part

    async def _is_woken_early(self) -> bool:
        """Wait for RETRY_SECONDS, or until `poll_soon()` is called; return whether `poll_soon()` was called."""
        clock, self._woken = self._services.clock, anyio.Event()
        await clock.wait_for_first(self._woken.wait, partial(clock.idle, RETRY_SECONDS))
        return self._woken.is_set()

    async def _note_progress(self) -> None:
        note = f"{sum(part.done for part in self._parts)} of {len(self._plan.orders)} parts are made."
        if self.task.note != note:
            self.task.note = note
            await self._save()

    def _find_failed(self) -> int | None:
        """Return the number, counted from 0, of the first part that ended without a result; None if no part did."""
        failed = (number for number, part in enumerate(self._parts) if part.final and part.state != "succeeded")
        return next(failed, None)

    async def _finish(self) -> None:
        """End the parent task with one joined file, or with the error of the first part that failed."""
        self._parts = [await self._get_files_back(part) for part in self._parts]
        number = self._find_failed()
        if number is not None:
            await self._fail(self._parts[number].error or TaskFailed("It has no result.").as_dict(), number)
            return
        task, downloader = self.task, self._services.downloader
        task.texts = [text for part in self._parts for text in part.texts]
        task.results, note = await self._join(downloader)
        count_credits(task, await self._services.ledger.find_parts(task.id))
        task.state, task.finished = "succeeded", self._services.clock.time()
        task.note, task.saved = note or await self._services.write_sidecars(task), True
        await self._save()

    async def _join(self, downloader: Downloader | None) -> tuple[list[Result], str]:
        """Join the files of the parts; return the results, and a note for the user if the files could not be joined."""
        separate = [result for part in self._parts for result in part.results]
        if not downloader:
            return separate, "The parts are listed in order, because files are not saved here."
        places = [result.path for result in separate if result.path]
        if len(places) < len(self._parts):
            return separate, "The parts are listed in order, because some have no file."
        while True:
            try:
                joined = await downloader.join(self.task, await _locate(downloader, places))
            except FileNotFoundError as error:
                return separate, f"The parts are listed in order, because a file is gone: {error.filename}."
            except InvalidCall as error:
                return separate, f"The parts are listed in order, because they could not be joined. {error}"
            except OSError as error:
                self.task.note = f"Not joined: {failures.describe_cause(error)}. It is tried again."
                await self._save()
                self.ended.set()
                await self._is_woken_early()
                self.ended = anyio.Event()
                continue
            if joined:
                return [joined], ""
            return separate, "The parts are listed in order, because joining them needs ffmpeg, which is not here."

    async def _fail(self, error: KieMcpError | Mapping[str, Any], number: int | None = None) -> None:
        """End the parent task with an error.

        Args:
            error: The error of the part that failed, or an error that no single part caused.
            number: The number of the failed part, counted from 0; None if no single part caused the error.
        """
        task = self.task
        count_credits(task, await self._services.ledger.find_parts(task.id))
        told: dict[str, Any] = error.as_dict() if isinstance(error, KieMcpError) else dict(error)
        if number is not None:
            told |= self._explain_failure(told, number)
        if isinstance(error, KieMcpError):
            self.error = replace(error, **{name: told[name] for name in ERROR_FIELDS}, task_id=task.id)
        await self._end_failed(told)

    async def _end_failed(self, error: dict[str, Any]) -> None:
        task = self.task
        task.state, task.error, task.note = "failed", error, ""
        task.finished, task.saved = self._services.clock.time(), True
        await self._save()
        self.create_settled.set()

    def _explain_failure(self, error: Mapping[str, Any], number: int) -> dict[str, Any]:
        """Return the values of `ERROR_FIELDS` for the error of the parent task; the message names the failed part."""
        count, made = len(self._plan.orders), sum(part.state == "succeeded" for part in self._parts)
        part = self._parts[number] if number < len(self._parts) else None
        name = f"Part {number + 1} of {count}" + (f", task {part.id}," if part else "")
        is_unknown = part is not None and part.state == "unknown"
        state = {"unknown": "is unknown", "expired": "is lost"}.get(part.state if part else "", "was not made")
        others = [each for each, other in enumerate(self._parts) if other.state == "expired" and each != number]
        kept = "".join(f" Part {each + 1} is lost as well." for each in others)
        kept += f" {made} of {count} parts are made and kept." if made else ""
        again = "Afterwards the same call makes only the missing parts, and pays only for these."
        # If the outcome of the part is unknown, KIE may have charged for the part. `self.task.credits` may be 0 even
        # then, because the part may belong to an earlier parent task. So 0 becomes None (unknown).
        credits_ = self.task.credits or (None if is_unknown else self.task.credits)
        return {
            "message": f"{name} {state}: {error['message'].rstrip('. ')}.{kept}",
            "next_step": f"{error['next_step']} {again}".strip(),
            "billed": None if credits_ is None else credits_ > 0,
        }


async def settle_create(runner: PartRunner, id_: str) -> Task:
    """Wait until the create request of a part or an item is settled, whichever process watches it; return the task."""
    task = await runner.get(id_, seconds=None)
    # `get()` waits only for tasks that this process watches. Another process, or another call in this process, may be
    # taking the task over at this moment.
    while task.state in PENDING:
        (task,) = await runner.wait([task], RETRY_SECONDS)
    return task


async def _locate(downloader: Downloader, places: Sequence[str]) -> list[Path]:
    """Return the paths of kept files on this machine.

    Raises:
        OSError: When a file cannot be downloaded from the bucket.
    """
    return [await downloader.storage.locate_in_thread(place) for place in places]
