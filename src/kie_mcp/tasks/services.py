"""The objects that all watchers of a process share: the client, the ledger, uploads, downloads and the clock."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kie_mcp.clock import Clock
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import Task
from kie_mcp.tasks import failures
from kie_mcp.tasks.balance import Balance
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.references import References
from kie_mcp.tasks.uploads import Uploader

logger = logging.getLogger(__name__)

Change = Callable[[Task], Awaitable[None]]
"""The type of a function that is called with a task after its new state is saved in the ledger."""


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

    async def save(self, task: Task) -> None:
        """Save a task's current state in the ledger, and then call the function `on_change`."""
        await self.ledger.save(task)
        told = {"task": task.id, "state": task.state, "model": task.model, "credits": task.credits, "saved": task.saved}
        logger.info("task %s is %s", task.id, task.state, extra=told)
        if self.on_change:
            await self.on_change(task)

    async def write_sidecars(self, task: Task) -> str:
        """Write the sidecar of each saved file; return a sentence for the user if this fails, else an empty text."""
        if self.downloader:
            try:
                self.downloader.write_sidecars(task, await self.ledger.sources_of(task))
            except (OSError, LedgerError) as error:
                return f"The JSON beside the files could not be written: {failures.describe_cause(error)}."
        return ""
