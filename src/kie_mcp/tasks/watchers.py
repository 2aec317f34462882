"""Watchers: the class for each way in which a task is made: by KIE, by KIE in parts, in a batch, or on this machine."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from kie_mcp.clock import Clock
from kie_mcp.film.timeline import Timeline
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.batch_watcher import BatchWatcher
from kie_mcp.tasks.edits import EditWatcher
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.services import Services
from kie_mcp.tasks.watcher import Watcher
from kie_mcp.tasks.whole import PartRunner, WholeWatcher

AnyWatcher = Watcher | WholeWatcher | BatchWatcher | EditWatcher


def build_watcher(task: Task, services: Services, duration: DurationEstimate, runner: PartRunner) -> AnyWatcher:
    """Return a new watcher of a task; a whole and a batch start their parts by the runner."""
    if task.is_edit:
        return EditWatcher(task, services, duration)
    if task.in_parts:
        return WholeWatcher(task, services, duration, runner)
    if task.is_batch:
        return BatchWatcher(task, services, duration, runner)
    return Watcher(task, services, duration)


@asynccontextmanager
async def prepared(watcher: AnyWatcher, order: Order, watched: Mapping[str, object]) -> AsyncIterator[None]:
    """Before the row of an edit is saved, check that its film can be made; do nothing for other tasks.

    Args:
        watcher: The watcher of the new task.
        order: The call.
        watched: The tasks that this process watches. If the edit is not among them after the `with` block, because it
            repeats an earlier call or its row could not be saved, what was prepared is deleted.

    Raises:
        InvalidCall: When the film cannot be made.
    """
    if not isinstance(watcher, EditWatcher) or not isinstance(order.call, Timeline):
        yield
        return
    await watcher.prepare(order.call)
    try:
        yield
    finally:
        if watcher.task.id not in watched:
            watcher.discard()


def hear_callback(watcher: AnyWatcher | None) -> bool:
    """Let a watcher poll its task at once, because KIE has called; return False if there is no watcher here."""
    if isinstance(watcher, Watcher):
        watcher.hear_callback()
    return watcher is not None


def stop_edit(watcher: AnyWatcher | None) -> None:
    """Stop the program that makes a film; a task at KIE goes on."""
    if isinstance(watcher, EditWatcher):
        watcher.stop()


async def wait_for_create(watcher: AnyWatcher, clock: Clock, seconds: float | None) -> None:
    """Wait until KIE has answered the create request of a task, or until the time is over; None is no limit."""
    if seconds is None:
        await watcher.create_settled.wait()
    else:
        await clock.wait_for_first(watcher.create_settled.wait, partial(clock.sleep, seconds))
