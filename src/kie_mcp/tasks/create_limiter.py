"""Create limiter: acquire a slot in the rate limit of creates that all processes on one ledger share."""

from dataclasses import replace

from kie_mcp.clock import Clock
from kie_mcp.kie.rate_limit import CREATE_LIMIT
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task


class LedgerCreateLimiter:
    """The rate limit of creates that all server processes on one ledger share; a `CreateLimiter` for a `KieClient`."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def acquire(self, account: str, task: Task) -> float:
        """Acquire a slot and save the task as `submitting`, in one transaction; return 0, or the seconds to wait.

        While a task waits for a slot, its row stays `prepared`. After a crash, this state shows that the create was
        not sent to KIE.

        Args:
            account: The KIE account whose rate limit applies.
            task: The task to create; its state becomes `submitting` after the row is saved.

        Raises:
            LedgerError: When the ledger cannot be written.
        """
        submitting = replace(task, state="submitting")
        wait = await self._ledger.create_slots.acquire(account, self._clock.time, *CREATE_LIMIT, submitting)
        if not wait:
            task.state = "submitting"
        return wait
