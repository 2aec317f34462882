"""Create limiter: delay create requests so that all processes with one ledger together stay within KIE's rate limit."""

import logging
from dataclasses import replace

from kie_mcp.clock import Clock
from kie_mcp.kie.rate_limit import CREATE_LIMIT
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import Task
from kie_mcp.tasks import failures

logger = logging.getLogger(__name__)


class LedgerCreateLimiter:
    """A `CreateLimiter` for a `KieClient`; all processes with the same ledger share the rate limit."""

    def __init__(self, ledger: Ledger, clock: Clock, common: Ledger | None = None) -> None:
        """Store the arguments.

        Args:
            ledger: The ledger with the tasks.
            clock: The source of time.
            common: The common ledger of all tenants; None without tenants. The rate limit is checked there as well,
                because several tenants may use one KIE account.
        """
        self._ledger = ledger
        self._clock = clock
        self._common = common

    async def acquire(self, account: str, task: Task) -> float:
        """If the rate limit allows a create request now, save the task as `submitting`; else return how long to wait.

        The ledger checks the rate limit and saves the task in one transaction. While a task waits, its row has the
        state `prepared`. After a crash, this state shows that the create request was not sent to KIE.

        Args:
            account: The KIE account whose rate limit applies.
            task: The task to create.

        Returns:
            0 if the create request may be sent now, else the seconds to wait before the next attempt.

        Raises:
            LedgerError: When the ledger cannot be written.
            KieMcpError: When another process has taken the task over and has already marked the task as failed.
        """
        # All processes of a machine share the monotonic clock, and a change of the system time does not affect it.
        if self._common and (
            wait := await self._common.create_slots.acquire(account, self._clock.monotonic, *CREATE_LIMIT)
        ):
            return wait
        submitting = replace(task, state="submitting")
        wait = await self._ledger.create_slots.acquire(account, self._clock.monotonic, *CREATE_LIMIT, submitting)
        if wait is None:
            raise failures.taken_over_error()
        if not wait:
            task.state = "submitting"
        return wait

    async def note_refusal(self, task: Task) -> None:
        """Save a task whose create request KIE has refused as `prepared` again.

        If the process ends before the request is sent again, this state shows that KIE has made no task. If the ledger
        cannot be written, the row keeps the state `submitting`.
        """
        task.state = "prepared"
        try:
            await self._ledger.create_slots.note_refusal(task)
        except LedgerError as error:
            logger.warning("task %s cannot be written down: %s", task.id, failures.describe_cause(error))
