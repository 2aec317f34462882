"""The base class of all watchers, with the task and the events for which callers wait."""

from dataclasses import fields, replace
from functools import cached_property, partial

import anyio

from kie_mcp.errors import KieMcpError
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.services import Services


class BaseWatcher:
    """Follows one task to its end; many callers may wait for the task."""

    def __init__(self, task: Task, services: Services, duration: DurationEstimate) -> None:
        """Store the arguments.

        Args:
            task: The task.
            services: The objects that all watchers of this process share.
            duration: The expected duration of the task.
        """
        self.task = task
        self.duration = duration
        self.error: KieMcpError | None = None
        """The error that `Runner.submit()` raises; None if `submit()` returns the task."""
        self._services = services
        self._recorded = replace(task)
        """The task as it is in the ledger, as far as this process knows."""

    # An event takes 0.8 kB, and of most tasks that a server takes over, nobody waits for one.
    @cached_property
    def create_settled(self) -> anyio.Event:
        """An event that is set when the create request has succeeded, has failed, or has an unknown outcome."""
        return anyio.Event()

    @cached_property
    def ended(self) -> anyio.Event:
        """An event that is set when callers need not wait any longer.

        A failed download, or a failed attempt to save the row, may still be retried after this event.
        """
        return anyio.Event()

    @property
    def is_submitting(self) -> bool:
        """Whether the create request was sent, and its outcome is not settled yet."""
        return self.task.state == "submitting" and not self.create_settled.is_set()

    def note_settled(self, settled: Task) -> None:
        """Take over what `resolve_task` has saved, here or in another process."""
        for name in (each.name for each in fields(Task)):
            setattr(self.task, name, getattr(settled, name))
        self._recorded = replace(settled)

    def stop(self) -> None:
        """Stop making a film; do nothing for other tasks, because KIE cannot stop them."""

    async def wait_for_create(self, seconds: float | None) -> None:
        """Wait until the outcome of the create request is settled, at most for `seconds`; None means no limit."""
        if seconds is None:
            await self.create_settled.wait()
        else:
            clock = self._services.clock
            await clock.wait_for_first(self.create_settled.wait, partial(clock.sleep, seconds))

    async def _save(self) -> None:
        """Save the task's current state, and try again until the ledger can be written; see `save_until_written()`."""
        await self._services.save_until_written(self.task, self._recorded, self.create_settled.set)
        self._recorded = replace(self.task)
