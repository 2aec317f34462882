"""The objects that all watchers of a process share: the client, the ledger, uploads, downloads and the clock."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, fields

from kie_mcp.clock import Clock
from kie_mcp.errors import InvalidCall
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import Task
from kie_mcp.tasks import failures
from kie_mcp.tasks.balance import Balance
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.leftovers import remove_leftovers
from kie_mcp.tasks.references import References
from kie_mcp.tasks.uploads import Uploader

logger = logging.getLogger(__name__)

LONGEST_LEDGER_BACKOFF = 30
"""Maximum seconds between two attempts to save a task in the ledger."""

Change = Callable[[Task, Task], Awaitable[None]]
"""The type of functions that are called after a task is saved, with the task as it is now and as it was before.

If the row was not changed, because another process has saved a newer state, the function gets the same task twice.
"""


@dataclass(frozen=True, slots=True)
class Services:
    """The objects that all watchers of a process share, such as the client of KIE's API and the ledger."""

    client: KieClient
    ledger: Ledger
    uploader: Uploader
    references: References
    downloader: Downloader | None
    balance: Balance
    clock: Clock
    on_change: Change | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)
    process: str = ""
    """The id of this process in the ledger."""

    async def save(self, task: Task, before: Task, *, as_watcher: bool = False) -> None:
        """Save a task's current state in the ledger, and then call the function `on_change`.

        Args:
            task: The task.
            before: The task as this process last read it from the ledger, or saved it.
            as_watcher: True if this process watches the task; a result that another process has saved in the row is
                then kept.
        """
        is_saved = await self.ledger.save(task, watcher=self.process if as_watcher else "")
        await self._tell(task, before if is_saved else task)

    async def save_settled(self, task: Task, before: Task) -> None:
        """Save a task that `resolve_task` has settled, unless another process has changed its row meanwhile.

        Raises:
            InvalidCall: When the row is no longer as in `before`; nothing was saved.
        """

        def settle(row: Task, _: Sequence[Task]) -> bool:
            if (row.state, row.kie_id, row.saved) != (before.state, before.kie_id, before.saved):
                return False
            for name in (each.name for each in fields(Task)):
                setattr(row, name, getattr(task, name))
            return True

        if await self.ledger.change(task.id, settle) != task:
            raise InvalidCall(f"Task {task.id} has changed meanwhile.", "Nothing was settled. Ask get_task.")
        await self._tell(task, before)

    async def _tell(self, task: Task, before: Task) -> None:
        told = {"task": task.id, "state": task.state, "model": task.model, "credits": task.credits, "saved": task.saved}
        logger.info("task %s is %s", task.id, task.state, extra=told)
        if self.on_change:
            await self.on_change(task, before)

    async def save_until_written(self, task: Task, before: Task, on_failure: Callable[[], None]) -> None:
        """Save the current state of a task that this process watches, and try again until the ledger can be written.

        Args:
            task: The task with the state to save.
            before: The task as this process last read it from the ledger, or saved it.
            on_failure: A function that is called after each failed attempt, so that callers who wait for this task can
                be answered before the ledger can be written again.
        """
        backoff = 1
        while True:
            try:
                await self.save(task, before, as_watcher=True)
            except LedgerError as error:
                logger.warning("task %s cannot be written down: %s", task.id, failures.describe_cause(error))
            else:
                return
            on_failure()
            await self.clock.idle(backoff)
            backoff = min(2 * backoff, LONGEST_LEDGER_BACKOFF)

    async def write_sidecars(self, task: Task) -> str:
        """Write the sidecar of each saved file; return a sentence for the user if this fails, else an empty text."""
        if self.downloader:
            try:
                await self.downloader.write_sidecars(task, await self.ledger.sources_of(task))
            except (OSError, LedgerError) as error:
                return f"The JSON beside the files could not be written: {failures.describe_cause(error)}."
        return ""

    async def remove_leftovers(self) -> None:
        """Delete partial downloads and folders of edits that dead processes left and that no process needs."""
        if self.downloader:
            await remove_leftovers(self.downloader.storage.folder, self.ledger, self.clock.time())
