"""Search: find tasks at KIE that are not in the ledger; a slow search continues in the background."""

from dataclasses import dataclass, field
from functools import partial
from math import inf

import anyio

from kie_mcp.background import Background
from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.tasks import adoption
from kie_mcp.tasks.adoption import KindFinder

SEARCH_WAIT_SECONDS = 3
"""Default seconds to wait for the end of a search; several MCP clients give up after 5 seconds."""
KEPT_SECONDS = 60
"""Seconds for which the result of a search is kept for the next call with its id; later, KIE is asked again."""


@dataclass
class _Search:
    ended: anyio.Event = field(default_factory=anyio.Event)
    task: Task | None = None
    error: Exception | None = None
    ended_at: float = inf
    """The monotonic time of its end, in seconds; infinite before."""


class Searches:
    """The searches of this process that run or have just ended, at most one for each id."""

    def __init__(
        self, client: KieClient, ledger: Ledger, clock: Clock, background: Background, find_kind: KindFinder | None
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._background = background
        self._find_kind = find_kind
        self._searches: dict[str, _Search] = {}

    async def find(self, id_: str, seconds: float) -> Task:
        """Search for a task at KIE, and add it to the ledger.

        Args:
            id_: KIE's id of the task.
            seconds: Maximum seconds to wait; after that, the search continues, and the next call gets its result.

        Raises:
            InvalidCall: When KIE does not know the task.
            ApiError: When the search has not found out (yet) whether KIE knows the task.
        """
        oldest = self._clock.monotonic() - KEPT_SECONDS
        self._searches = {each: search for each, search in self._searches.items() if search.ended_at >= oldest}
        search = self._searches.get(id_)
        if not search:
            self._searches[id_] = search = _Search()
            if not self._background.start(self._run, id_, search):
                search.ended.set()
        await self._clock.wait_for_first(search.ended.wait, partial(self._clock.sleep, seconds))
        if not search.ended.is_set():
            raise ApiError(
                "KIE has not said yet whether it knows this task; the search goes on.",
                "Call get_task again with this id in a few seconds.",
                retryable=True,
            )
        self._searches.pop(id_, None)
        if search.task:
            return search.task
        raise search.error or ApiError("The search was broken off.", "Try again.", retryable=True)

    async def _run(self, id_: str, search: _Search) -> None:
        try:
            found = await adoption.adopt(self._client, id_, now=self._clock.time(), find_kind=self._find_kind)
            search.task = await self._ledger.add(found) or found
        except Exception as error:  # noqa: BLE001 - the caller gets it; raised here, it would cancel all watchers
            search.error = error
        finally:
            search.ended_at = self._clock.monotonic()
            search.ended.set()
