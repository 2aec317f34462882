"""Read limiter: lease slots for status reads, so that all processes with one ledger together keep KIE's rate limits."""

import logging
from collections.abc import Sequence
from functools import partial

from kie_mcp.clock import Clock
from kie_mcp.kie.rate_limit import PERIOD_SECONDS, ReadLimiters, Slot
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import new_id
from kie_mcp.tasks import failures

logger = logging.getLogger(__name__)

OUTSIDE = -1
"""Number of the slot that a process uses without a lease while the ledger cannot be used."""


class LedgerSlotLender:
    """A `SlotLender` that leases the slots of an account from a ledger."""

    def __init__(self, ledger: Ledger, clock: Clock, account: str) -> None:
        """Store the ledger that all processes share, the source of time, and the account's name."""
        self._slots = ledger.read_slots
        self._clock = clock
        self._account = account
        # The holder of the leases is this lender, not the process. A later lender of the same process must not renew
        # the leases, because it does not know when the slots were last used.
        self._holder = new_id("s")

    async def lend(self, kind: str, slots: int, wanted: int) -> Sequence[Slot]:
        """Lease slots; while the ledger cannot be used, lend one slot for a short time, so that polling goes on."""
        asked = self._clock.monotonic()
        try:
            # The leases use the monotonic clock, not the time of day. All processes of a machine share this clock. If
            # somebody set the time of day forward, leases would end too early in the ledger, and other processes would
            # get slots that are still used.
            leases = await self._slots.book(
                self._holder, account=self._account, kind=kind, slots=slots, wanted=wanted, time=self._clock.monotonic
            )
        except LedgerError as error:
            logger.warning("The slots for status reads cannot be leased: %s", failures.describe_cause(error))
            now = self._clock.monotonic()
            # A status read with two limits calls this method twice, once for each slot. If both calls fail, the first
            # slot must still be valid after the second call. So the slot is valid for longer: twice the time that this
            # call took is added.
            return [Slot(OUTSIDE, now, now + PERIOD_SECONDS + 2 * (now - asked))]
        # The ledger made the leases at an unknown time between `asked` and `answered`. To be safe, each start is
        # counted from the later time, and each end from the earlier time.
        answered = self._clock.monotonic()
        return [Slot(lease.number, answered + lease.start, asked + lease.end) for lease in leases]


def share_reads(ledger: Ledger, clock: Clock) -> ReadLimiters:
    """Return read limiters that share the slots of a ledger with other processes."""
    return ReadLimiters(clock, partial(LedgerSlotLender, ledger, clock))
