"""Watcher of a batch: starts each item for which the budget is enough, and records the states of the items.

All guarantees about money hold for the items, because each item is a task with its own row, create request and watcher.
The batch itself sends nothing to KIE. The task id of each item is saved before the item is started. So a process that
takes a batch over finds the items that were started, and starts only the items that were not.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import anyio

from kie_mcp.errors import BrokenRow, KieMcpError
from kie_mcp.ledger.batches import find_ended_batches
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import Result, Task, new_id
from kie_mcp.tasks import failures
from kie_mcp.tasks.base_watcher import BaseWatcher
from kie_mcp.tasks.batch import MODEL, OPEN, Batch, Item
from kie_mcp.tasks.parent_watcher import LONGEST_WAIT, RETRY_SECONDS, PartRunner, Started, settle_create
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.services import Services

logger = logging.getLogger(__name__)

MAX_AT_ONCE = 10
"""Maximum number of items whose files and create requests are sent at the same time; more items may run at KIE."""


REOPEN_SECONDS = 14 * 24 * 3600
"""Maximum age, in seconds, of an ended batch that a new process checks for changed items.

KIE deletes results after this time.
"""


class BatchWatcher(BaseWatcher):
    """Follows one batch to its end. The error of an item is not raised, but stored with the item in the batch's row."""

    def __init__(self, task: Task, services: Services, duration: DurationEstimate, runner: PartRunner) -> None:
        super().__init__(task, services, duration)
        self._runner = runner
        self._batch = Batch.read(task)
        self._sending = anyio.Semaphore(MAX_AT_ONCE)
        self._changed = anyio.Event()
        self._saving = anyio.Lock()

    def poll_soon(self) -> None:
        """Do nothing: each item is polled on its own schedule."""

    async def start(self, *_: object) -> None:
        """Do nothing: `follow()` starts the items, so that a takeover, which calls only `follow()`, starts them too."""

    async def follow(self, *, poll_now: bool) -> None:  # noqa: ARG002 each item polls by itself
        """Start the items that are not started yet, wait until all have ended, and end the batch."""
        try:
            if self.task.final:
                return
            self.task.state = "running"
            await self._save()
            self.create_settled.set()
            async with anyio.create_task_group() as group:
                for item in self._batch.items:
                    # Here, an item waits until others are sent; if the batch is cancelled meanwhile, it is left out.
                    await self._sending.acquire()
                    if item.state in OPEN and await self._find_room(item):
                        # The state is set here, before the item starts, so that the item's credits are subtracted
                        # from the budget when the next item is checked.
                        item.state = "running"
                        group.start_soon(self._run_item, item)
                    else:
                        self._sending.release()
            await self._finish()
        except Exception:
            # In its row, the batch has not ended. So a process takes the batch over later and continues it.
            logger.exception("task %s", self.task.id)

    async def _find_room(self, item: Item) -> bool:
        """Wait until the budget has room for an item, and return True; return False if the item is left out instead.

        An item is left out if no running item can free any credits.
        """
        while item.state == "waiting" and not self._batch.has_room(item):
            if any(each.state == "running" for each in self._batch.items):
                await self._changed.wait()
            else:
                await self._leave_out(item)
        return item.state in OPEN

    async def _leave_out(self, item: Item) -> None:
        item.state = "left out"
        await self._note_change()

    async def _run_item(self, item: Item) -> None:
        """Start an item if no process has started it yet, and follow the item to its end.

        The caller has acquired `_sending` for the item. It is released when the item is started.
        """
        try:
            try:
                started = await self._start_when_possible(item)
            finally:
                self._sending.release()
        except KieMcpError as error:
            # The call cannot be built again from the row: a file that the call needs is gone, or a newer kie-mcp no
            # longer has the model or accepts the call's fields.
            item.state, item.error, item.credits = "failed", error.as_dict(), 0
            await self._note_change()
            return
        if not started:
            await self._leave_out(item)
            return
        await self._note_task(item, started.task)
        await self._note_task(item, await self._wait_until_done(started.task))

    async def _start_when_possible(self, item: Item) -> Started | None:
        """Find or start the task of an item; if the ledger cannot be used for a while, try again after pauses.

        While this server shuts down, it starts no tasks. The attempts go on until the process ends, so that the item is
        not marked as failed, and another process starts it later.

        Returns:
            The task; None if the batch was cancelled before the item was started.

        Raises:
            KieMcpError: When a further attempt would fail, too.
        """
        while True:
            try:
                return await self._find_or_start(item)
            except (KieMcpError, LedgerError) as error:
                if isinstance(error, KieMcpError) and not error.retryable:
                    raise
                logger.warning("batch %s cannot start an item: %s", self.task.id, failures.describe_cause(error))
            await self._services.clock.idle(RETRY_SECONDS)

    async def _find_or_start(self, item: Item) -> Started | None:
        if item.task_id:
            return Started(await self._runner.get(item.task_id, seconds=None))
        if task := await self._services.ledger.find(item.order_id):
            # If the task's process died before it sent the create request, the task is marked as failed here, and a new
            # task is started below.
            task = await settle_create(self._runner, task.id)
            if not task.refused:
                return Started(task)
            item.order_id = new_id("t")
            await self._note_change()
        # Only here is it known that no process has started the item: in a batch that was taken over, its state may be
        # `running` all the same.
        row = await self._services.ledger.find(self.task.id)
        if row and row.cancelled is not None:
            return None
        order = replace(item.build_order(), id=item.order_id)

        async def note_row() -> None:
            self._batch.recorded.add(item.order_id)
            await self._note_change()

        started = await self._runner.start_part(order, self.task, item.key, note_row)
        if started.task.id != item.order_id:
            # Another call has made the same call meanwhile, and pays for it.
            item.reserved = 0
        return started

    async def _wait_until_done(self, task: Task) -> Task:
        while not task.done:
            await self._runner.wait([task], LONGEST_WAIT)
            task = await self._services.ledger.find(task.id) or task
            if not task.done:
                await self._services.clock.idle(RETRY_SECONDS)
        return task

    async def _note_task(self, item: Item, task: Task) -> None:
        before = replace(item)
        item.note(task)
        if item != before:
            await self._note_change()

    async def _note_change(self) -> None:
        """Save the states of the items, and wake the items that wait for room in the budget."""
        batch, task = self._batch, self.task
        task.note, task.request, task.reserved = batch.describe_progress(), batch.as_dict(), batch.reserved
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        await self._save()

    async def _finish(self) -> None:
        """End the batch with the files of all items, in the items' order. The batch fails only if no item succeeded."""
        task, items = self.task, self._batch.items
        made = [
            # Another process that was paused may have overwritten the item's row with an earlier state, in which the
            # files are not saved. So wait for the files again.
            (number, item, await self._wait_until_done(found))
            for number, item in enumerate(items, start=1)
            if item.state == "succeeded" and (found := await self._services.ledger.find(item.task_id))
        ]
        task.results = [each for number, item, found in made for each in label_results(number, item, found.results)]
        task.texts = [text for _, _, found in made for text in found.texts]
        charges = [item.credits for item in items if item.reserved and item.state != "left out"]
        known = [each for each in charges if each is not None]
        task.credits = round(sum(known), 2) if len(known) == len(charges) else None
        task.reserved = self._batch.committed
        task.estimate = (round(sum(known), 2), task.reserved)
        # The batch shows only one error of its items, preferably one of a task whose charge is unknown (`billed` is
        # None).
        errors = sorted((item.error for item in items if item.error), key=lambda error: error["billed"] is not None)
        task.error = errors[0] if errors and not made else None
        task.state = "succeeded" if made else "failed"
        task.note, task.request = self._batch.describe_progress(), self._batch.as_dict()
        task.finished, task.saved = self._services.clock.time(), True
        await self._save()

    async def _save(self) -> None:
        # The lock lets only one save run at a time. Otherwise, an earlier state of the row could overwrite a later
        # state.
        async with self._saving:
            await super()._save()


async def reopen(ledger: Ledger, task: Task) -> Task:
    """Set an ended batch to `running` again if the state or the results of an item have changed; return the batch.

    After the end of a batch, an item changes if its outcome was unknown and becomes known, or if its results were
    missing or lost and arrive.
    """
    try:
        unsettled = _find_unsettled(task, Batch.read(task))
    except BrokenRow:
        return task
    found = {item.task_id: await ledger.find(item.task_id) for item in unsettled}
    if not any(_has_changed(item, found[item.task_id]) for item in unsettled):
        return task

    def set_running(row: Task, _: Sequence[Task]) -> bool:
        batch = Batch.read(row)
        changed = [item for item in _find_unsettled(row, batch) if _has_changed(item, found.get(item.task_id))]
        # Another process may have reopened the batch meanwhile, and the batch may even have ended a second time.
        if not row.saved or not changed:
            return False
        for item in changed:
            item.state, item.error = "running", None
        row.state, row.finished, row.saved = "running", None, False
        row.error, row.note = None, batch.describe_progress()
        row.request, row.reserved = batch.as_dict(), batch.reserved
        return True

    return await ledger.change(task.id, set_running) or task


def _find_unsettled(task: Task, batch: Batch) -> list[Item]:
    """Return the items whose outcome was unknown, or whose results were missing or lost, when the batch ended."""
    shown = {result.label.partition(":")[0] for result in task.results}
    return [
        item
        for number, item in enumerate(batch.items, start=1)
        if item.state in ("unknown", "expired") or (item.state == "succeeded" and name_item(number) not in shown)
    ]


def _has_changed(item: Item, task: Task | None) -> bool:
    # An expired item may have results: links to files that KIE has deleted.
    return bool(task and (task.state != item.state or (task.results and task.state == "succeeded")))


async def reopen_ended_batches(ledger: Ledger, runner: PartRunner, now: float) -> None:
    """Reopen the ended batches in which an item has changed since the end.

    Errors are only logged, because this function runs in the background, and no caller waits for it.
    """
    try:
        found = await find_ended_batches(ledger.database, MODEL, now - REOPEN_SECONDS)
    except LedgerError as error:
        logger.warning("Ended batches cannot be read: %s", failures.describe_cause(error))
        return
    for id_ in found:
        try:
            await runner.get(id_, seconds=0)
        except KieMcpError as error:
            logger.warning("Batch %s cannot be read: %s", id_, error)
        except Exception:
            logger.exception("batch %s", id_)


def name_item(number: int) -> str:
    """Return the name of an item for the labels of its results; `number` is counted from 1."""
    return f"item {number}"


def label_results(number: int, item: Item, results: Sequence[Result]) -> list[Result]:
    """Return an item's results; the label of each has the item's number, counted from 1, and the item's prompt."""
    named = [(f"{name_item(number)}: {item.label}", "" if each.label == item.label else each.label) for each in results]
    return [replace(each, label=", ".join(filter(None, parts))) for each, parts in zip(results, named, strict=True)]
