"""Watchers: choose the class of a task's watcher by how the task is made: at KIE, in parts, in a batch, or here."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Union

from kie_mcp.film.timeline import Timeline
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.batch_watcher import BatchWatcher
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.services import Services
from kie_mcp.tasks.watcher import Watcher
from kie_mcp.tasks.whole import PartRunner, WholeWatcher

if TYPE_CHECKING:
    from kie_mcp.tasks.edits import EditWatcher

AnyWatcher = Union[Watcher, WholeWatcher, BatchWatcher, "EditWatcher"]
OF_KIE = (Watcher, WholeWatcher, BatchWatcher)
"""The watchers of tasks that KIE runs: all but those of edits."""


def build_watcher(task: Task, services: Services, duration: DurationEstimate, runner: PartRunner) -> AnyWatcher:
    """Return a new watcher for a task. Wholes and batches get the runner, through which they start their tasks."""
    if task.is_edit:
        # This import takes 8 ms, which the first call of a model need not wait for.
        from kie_mcp.tasks.edits import EditWatcher

        return EditWatcher(task, services, duration)
    if task.in_parts:
        return WholeWatcher(task, services, duration, runner)
    if task.is_batch:
        return BatchWatcher(task, services, duration, runner)
    return Watcher(task, services, duration)


@asynccontextmanager
async def prepared(watcher: AnyWatcher, order: Order, watched: Mapping[str, object]) -> AsyncIterator[None]:
    """Prepare the files of an edit before the `with` block, and check that its film can be made; skip other tasks.

    The caller saves the task's row inside the block. The prepared files are deleted if the edit is not in `watched`
    after the block: then the call was a repeated one, or the row could not be saved.

    Args:
        watcher: The watcher of the new task.
        order: The order of the new task.
        watched: The tasks that this process watches.

    Raises:
        InvalidCall: When the film cannot be made.
    """
    if isinstance(watcher, OF_KIE) or not isinstance(order.call, Timeline):
        yield
        return
    await watcher.prepare(order.call)
    try:
        yield
    finally:
        if watcher.task.id not in watched:
            watcher.discard()


def handle_callback(watcher: AnyWatcher | None) -> bool:
    """Make the watcher of a task poll at once, because a callback has arrived; return False if there is no watcher."""
    if isinstance(watcher, Watcher):
        watcher.handle_callback()
    return watcher is not None


def stop_edit(watcher: AnyWatcher | None) -> None:
    """If a watcher makes a film on this machine, stop making the film; do nothing for other watchers."""
    if watcher and not isinstance(watcher, OF_KIE):
        watcher.stop()
