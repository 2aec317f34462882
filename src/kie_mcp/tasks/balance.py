"""Balance: remember the account's last balance, and measure a task's charge by the fall of the balance."""

from contextlib import suppress
from typing import NamedTuple

import anyio

from kie_mcp.background import Background
from kie_mcp.catalog.credits import format_credits
from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import Task

READ_SECONDS = 5
"""Maximum seconds to wait for KIE's answer with the balance."""
RECENT_SECONDS = 5
"""Maximum age, in seconds, at which `read()` keeps the remembered balance if KIE returns an equal balance."""
FRESH_SECONDS = 600
"""Maximum age, in seconds, of a remembered balance; other programs may spend credits with the same key meanwhile."""
REFUND_SECONDS = 60
"""Seconds after a task's failure in which KIE may refund its credits; a refund would hide another task's charge."""


class Known(NamedTuple):
    """A balance that KIE returned while no task was running, and the time of the request."""

    credits: float
    asked: float
    """The time of the request for the balance, in seconds since 1970."""
    newest_number: int
    """The number of the newest task in the ledger at that time; later tasks always have higher numbers."""


class BalanceBefore(NamedTuple):
    """The balance that was read before a task's create request or, if `is_parallel` is True, during this request."""

    task_id: str
    credits: float
    is_parallel: bool
    """Whether the balance was read in parallel with the create request, and may already contain the task's charge."""


class Balance:
    """Reads the balance in credits, and remembers it until a task in the ledger begins or ends."""

    def __init__(self, client: KieClient, ledger: Ledger, clock: Clock, background: Background) -> None:
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._background = background
        self._known: Known | None = None
        self._parallel: BalanceBefore | None = None
        """The balance that was read in parallel with the latest create request; None if no such balance was read.

        Only the latest balance is kept. An older balance is useless: while two tasks run, their charges cannot be told
        apart.
        """

    async def read(self) -> float:
        """Return the balance from KIE, and remember it if no task runs.

        If the balance equals one that was remembered a moment ago (`RECENT_SECONDS`), the ledger is not read, so that
        many calls in a row are fast.

        Raises:
            ApiError: When KIE does not answer, or when the answer has no valid number of credits.
        """
        known = self._known
        if known and self._is_younger(known, RECENT_SECONDS) and await self._client.read_balance() == known.credits:
            return known.credits
        return await self._read_after(await self._find_newest_if_idle())

    def _is_younger(self, known: Known, seconds: float) -> bool:
        return 0 <= self._clock.time() - known.asked <= seconds

    async def _read_after(self, newest_number: int | None) -> float:
        """Return the balance from KIE, and remember it if no task runs.

        Args:
            newest_number: The number of the newest task, from `_find_newest_if_idle()`; None if a task runs.
        """
        asked = self._clock.time()
        balance = await self._client.read_balance()
        if newest_number is not None:
            self._known = Known(balance, asked, newest_number)
        return balance

    async def _find_newest_if_idle(self) -> int | None:
        """Return the number of the newest task; None if a task runs, or if the ledger cannot be read."""
        with suppress(LedgerError):
            return await self._ledger.statistics.newest_number_if_idle()
        return None

    async def find(self) -> float | None:
        """Return the balance from KIE without remembering it; None if KIE does not answer within `READ_SECONDS`."""
        with anyio.move_on_after(READ_SECONDS), suppress(ApiError):
            return await self._client.read_balance()
        return None

    async def note_before(self, task: Task, *, states_charge: bool) -> None:
        """Note the balance just before a task's create request, without delaying this request.

        If no other task has run in any process since the remembered balance was read, this balance is noted. Otherwise,
        the balance is read in parallel with the create request, but only if KIE will not state the task's charge, and
        if no other task is running, or failed a moment ago, whose charge or refund would change the balance, too.

        Args:
            task: The task, before its create request is sent.
            states_charge: Whether KIE's status answers for this task will contain the charge.
        """
        known = self._known
        with suppress(LedgerError):
            if known and await self._still_holds(known, task):
                task.balance = known.credits
            elif not states_charge and await self._ledger.statistics.ran_alone(task, refund_seconds=REFUND_SECONDS):
                self._background.start(self._read_in_parallel, task.id)

    async def _read_in_parallel(self, task_id: str) -> None:
        if (found := await self.find()) is not None:
            self._parallel = BalanceBefore(task_id, found, is_parallel=True)

    def _recall_before(self, task: Task) -> BalanceBefore | None:
        if task.balance is not None:
            return BalanceBefore(task.id, task.balance, is_parallel=False)
        return self._parallel if self._parallel and self._parallel.task_id == task.id else None

    async def _still_holds(self, known: Known, task: Task) -> bool:
        since = min(known.asked, task.created)
        return self._is_younger(known, FRESH_SECONDS) and await self._ledger.statistics.ran_alone(
            task, since=since, newest_number=known.newest_number, refund_seconds=REFUND_SECONDS
        )

    def refresh_soon(self) -> None:
        """Read the balance in the background, to remember it for the next task; do nothing while a task runs."""
        self._background.start(self._refresh)

    async def _refresh(self) -> None:
        if (newest_number := await self._find_newest_if_idle()) is not None:
            with anyio.move_on_after(READ_SECONDS), suppress(ApiError):
                await self._read_after(newest_number)

    async def measure_charge(self, task: Task, *, succeeded: bool) -> float | None:
        """Return by how many credits the balance has fallen since a task's create request.

        The result is None if a balance is unknown or another task ran at the same time. It is also None if the balance
        has not fallen, although the task succeeded and has a price: KIE may charge the task later.
        """
        after, before = await self._read_alone(task), self._recall_before(task)
        if before is None or after is None:
            return None
        charge = round(before.credits - after, 2)
        # If the balance has risen, somebody bought credits, so the charge is unknown. If the first balance was read in
        # parallel with the create request, KIE may have charged the task already. So if both balances are equal, it is
        # unknown whether the task was free.
        has_price = succeeded and task.reserved > 0
        return None if charge < 0 or (not charge and (before.is_parallel or has_price)) else charge

    async def explain(self, task: Task) -> str:
        """Return a sentence with the balances before and after the create request of a task with an unknown outcome.

        The sentence does not say whether KIE accepted the task, because KIE may charge the task later. The sentence
        begins with a space. If a balance is unknown or another task ran at the same time, an empty text is returned.
        """
        after, before = await self._read_alone(task), self._recall_before(task)
        if before is None or after is None:
            return ""
        seconds = f"{max(self._clock.time() - task.created, 0):.0f} s"
        when = "during" if before.is_parallel else "before"
        return (
            f" The balance was {format_credits(before.credits)} {when} the call, and {format_credits(after)} {seconds} "
            "later; KIE may charge a task later than that, so look at it again after a minute."
        )

    async def _read_alone(self, task: Task) -> float | None:
        """Read the balance now; return None if another task ran since this task began, or if a balance is unknown."""
        with suppress(LedgerError):
            if self._recall_before(task) and await self._ledger.statistics.ran_alone(task):
                after = await self.find()
                # Another task may have begun while the balance was read, so the ledger is read again.
                return after if await self._ledger.statistics.ran_alone(task) else None
        return None
