"""Repeated calls: find the task of an earlier equal call, so that nothing is paid twice."""

from collections.abc import Mapping

from kie_mcp.catalog.fields import Ref
from kie_mcp.clock import Clock
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.references import References
from kie_mcp.tasks.stray_references import refuse_stray_references
from kie_mcp.tasks.uploads import Uploader


class Repeats:
    """Finds the earlier call that an order repeats; it sends nothing and saves nothing."""

    def __init__(self, ledger: Ledger, references: References, uploader: Uploader, window: float, clock: Clock) -> None:
        """Store the arguments.

        Args:
            ledger: The ledger, which has the tasks of all processes.
            references: Identifies the files that orders name.
            uploader: Knows the folders whose files an order may name, and the URLs of KIE.
            window: Seconds in which an equal call counts as a repeated call; 0 means never.
            clock: The source of time.
        """
        self._ledger = ledger
        self._references = references
        self._uploader = uploader
        self._window = window
        self._clock = clock

    async def look_up(self, order: Order) -> tuple[Mapping[Ref, str], str, Task | None]:
        """Find out whether an order repeats an earlier call.

        Returns:
            Three values. First, for each file or task that the arguments name, a string that identifies its content.
            Second, the idempotency key. Third, the task of the earlier call, or None.

        Raises:
            InvalidCall: When a file that an argument names cannot be read, or the model does not accept the file.
        """
        fields = {**order.extra, **order.call.sent(lambda _: "")}
        refuse_stray_references(fields, self._uploader.folders, self._uploader.own_urls)
        contents = await self._references.identify(order.call.references())
        idempotency_key = order.idempotency_key(contents)
        starts = [start for start in (self.since, order.repeats_since) if start is not None]
        repeated = await self._ledger.find_repeated(idempotency_key, min(starts), self.since) if starts else None
        return contents, idempotency_key, repeated

    @property
    def since(self) -> float | None:
        """The beginning of the repeat window, in seconds since 1970; None if calls are never treated as repeated."""
        return self._clock.time() - self._window if self._window else None
