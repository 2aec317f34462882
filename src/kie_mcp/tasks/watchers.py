"""Watchers: keep the watchers of a process, and choose the class of a watcher by the kind of its task."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Union

from kie_mcp.film.timeline import Timeline
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.batch_watcher import BatchWatcher
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.parent_watcher import ParentWatcher, PartRunner
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.services import Services
from kie_mcp.tasks.watcher import Watcher

if TYPE_CHECKING:
    from kie_mcp.tasks.edits import EditWatcher

AnyWatcher = Union[Watcher, ParentWatcher, BatchWatcher, "EditWatcher"]


class Watchers(dict[str, AnyWatcher]):
    """The watchers of one process; the keys are the ids of their tasks in the ledger."""

    def remove(self, watcher: AnyWatcher) -> None:
        """Remove a watcher, and wake up the callers that wait for its task."""
        del self[watcher.task.id]
        watcher.create_settled.set()
        watcher.ended.set()

    def note_settled(self, task: Task) -> None:
        """Let the watcher of a task that `resolve_task` has settled go on with what was saved."""
        if watcher := self.get(task.id):
            watcher.note_settled(task)
            watcher.poll_soon()

    def handle_callback(self, id_: str) -> bool:
        """Poll a task at once, because its callback has arrived; return False if no watcher has this task."""
        watcher = self.get(id_)
        if isinstance(watcher, Watcher):
            watcher.handle_callback()
        return watcher is not None


def build_watcher(task: Task, services: Services, duration: DurationEstimate, runner: PartRunner) -> AnyWatcher:
    """Return a new watcher for a task; if the task has parts or items, the watcher starts them through the runner."""
    if task.is_edit:
        # This import takes 8 ms, and only edits need it.
        from kie_mcp.tasks.edits import EditWatcher

        return EditWatcher(task, services, duration)
    if task.in_parts:
        return ParentWatcher(task, services, duration, runner)
    if task.is_batch:
        return BatchWatcher(task, services, duration, runner)
    return Watcher(task, services, duration)


@asynccontextmanager
async def prepared(watcher: AnyWatcher, order: Order, watched: Mapping[str, object]) -> AsyncIterator[None]:
    """Prepare the files of an edit before the `with` block, and check that its film can be made.

    For other tasks, do nothing. The caller saves the task's row inside the block. The prepared files are deleted if the
    edit is not in `watched` after the block: then the call was a repeated one, or the row could not be saved.

    Args:
        watcher: The watcher of the new task.
        order: The order of the new task.
        watched: The tasks that this process watches.

    Raises:
        InvalidCall: When the film cannot be made.
    """
    if isinstance(order.call, Timeline):
        from kie_mcp.tasks.edits import EditWatcher

        if isinstance(watcher, EditWatcher):
            await watcher.prepare(order.call)
            try:
                yield
            finally:
                if watcher.task.id not in watched:
                    watcher.discard()
            return
    yield
