"""Takeover: renew this process's lease at regular times (heartbeats), and find tasks whose process has died."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from kie_mcp.clock import Clock
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import Task
from kie_mcp.tasks import failures

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = LEASE_SECONDS / 3
"""Seconds between two renewals of this process's lease, which is renewed only while the process watches tasks."""
LOOK_SECONDS = 1
"""Polling interval, in seconds, for the row of a task that another process watches, while a caller waits for the task.

With PostgreSQL, which reports changes, the row is only read after a reported change and for each progress report.
"""

TakeOver = Callable[[Task], Awaitable[None]]


class Takeover:
    """Renews the lease of this process, and finds tasks that no live process watches."""

    def __init__(self, ledger: Ledger, process: str, clock: Clock) -> None:
        """Store the arguments; the lease begins with the first call of `renew_lease()`.

        Args:
            ledger: The ledger, which stores the leases of all processes.
            process: The id of this process in the ledger.
            clock: The source of time.
        """
        self._ledger = ledger
        self._process = process
        self._clock = clock
        self._last_heartbeat = float("-inf")

    async def run(
        self,
        watched: Mapping[str, object],
        take_over: TakeOver,
        look_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """In an endless loop, take over tasks of dead processes and renew the lease of this process.

        The lease is renewed only while this process watches tasks.

        Args:
            watched: The tasks that this process watches; the keys are the ids of the tasks.
            take_over: A function that makes this process watch a task.
            look_seconds: Seconds between two searches for tasks of dead processes, at most `HEARTBEAT_SECONDS`.
        """
        while True:
            await self._clock.idle(look_seconds)
            await self.take_over_claimable(watched, take_over)

    async def take_over_claimable(self, watched: Mapping[str, object], take_over: TakeOver) -> None:
        """Renew the lease, and take over each task that no live process watches; errors are logged, not raised.

        Args:
            watched: The tasks that this process watches; the keys are the ids of the tasks.
            take_over: A function that makes this process watch a task.
        """
        try:
            if watched:
                await self.renew_lease()
            for id_ in await self._ledger.leases.claimable(self._process, self._clock.time()):
                # `Ledger.find()` sets `saved` to True if the task's row is broken. Such a task is not taken over,
                # because its watcher would overwrite the row.
                if id_ not in watched and (task := await self._ledger.find(id_)) and not task.saved:
                    await self._try_to_take_over(task, take_over)
        except LedgerError as error:
            logger.warning("The ledger cannot be used: %s", failures.describe_cause(error))
        except Exception:
            # The error is not raised further, because it would end the heartbeats. Other processes would then take over
            # the tasks.
            logger.exception("tasks cannot be taken over")

    async def _try_to_take_over(self, task: Task, take_over: TakeOver) -> None:
        try:
            await take_over(task)
        except LedgerError:
            raise
        except Exception:
            # The other tasks are taken over all the same.
            logger.exception("task %s cannot be taken over", task.id)

    async def renew_lease(self) -> None:
        """Renew the lease if it is due."""
        if self._clock.monotonic() >= self._last_heartbeat + HEARTBEAT_SECONDS:
            # The time is set first, so that of many calls at once, only one renews the lease.
            before, self._last_heartbeat = self._last_heartbeat, self._clock.monotonic()
            try:
                await self._ledger.leases.renew(self._process, self._clock.time())
            except BaseException:
                self._last_heartbeat = before
                raise

    async def wait_for_change(self, id_: str) -> None:
        """Wait until another process has changed, or may have changed, the task with this id in the ledger."""
        changes = self._ledger.database.changes
        if changes.are_reported:
            await changes.wait(id_)
        else:
            await self._clock.sleep(LOOK_SECONDS)

    async def release_lease(self) -> None:
        """End the lease, so that other processes can take over this process's tasks at once."""
        with suppress(LedgerError):
            await self._ledger.leases.release(self._process)
