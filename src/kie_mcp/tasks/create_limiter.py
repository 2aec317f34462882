"""The create limiter on the ledger: a slot in the shared rate limit and the task's `submitting`, in one transaction."""

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
        """Acquire a slot and write down that the task is being submitted; return 0, or the seconds to wait.

        A task that waits for a slot stays `prepared`: whoever finds it after a crash knows that KIE was not asked.

        Args:
            account: The account whose limit it is.
            task: The task to create; it becomes `submitting` here once the ledger says so.

        Raises:
            LedgerError: When the ledger cannot be written.
        """
        submitting = replace(task, state="submitting")
        wait = await self._ledger.create_slots.acquire(account, self._clock.time, *CREATE_LIMIT, submitting)
        if not wait:
            task.state = "submitting"
        return wait
