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
        # Each lender has an id of its own: a later lender of this process must not renew the leases of this lender,
        # because only this lender knows when it used the slots.
        self._holder = new_id("s")

    async def lend(self, kind: str, slots: int, wanted: int) -> Sequence[Slot]:
        """Lease slots; while the ledger cannot be used, lend one slot for a short time, so that polling goes on."""
        asked = self._clock.monotonic()
        try:
            # The leases use the monotonic clock, which is the same for all processes of a machine, and not the time of
            # day. If somebody set the time of day forward, leases would end too early in the ledger, and other
            # processes would get slots that are still used.
            leases = await self._slots.book(
                self._holder, account=self._account, kind=kind, slots=slots, wanted=wanted, time=self._clock.monotonic
            )
        except LedgerError as error:
            logger.warning("The slots for status reads cannot be leased: %s", failures.describe_cause(error))
            now = self._clock.monotonic()
            # A read that is subject to two limits needs two slots, so it calls this method twice. The first slot must
            # still be valid when the second call has failed too. So twice the time of a failed call is added.
            return [Slot(OUTSIDE, now, now + PERIOD_SECONDS + 2 * (now - asked))]
        # The lease was made at an unknown time between `asked` and `answered`. So the start is counted from
        # `answered`, and the end from `asked`.
        answered = self._clock.monotonic()
        return [Slot(lease.number, answered + lease.start, asked + lease.end) for lease in leases]


def share_reads(ledger: Ledger, clock: Clock) -> ReadLimiters:
    """Return read limiters that share the slots of a ledger with other processes."""
    return ReadLimiters(clock, partial(LedgerSlotLender, ledger, clock))
