"""Subscriptions: send resources/updated notifications when a task, a list of tasks or the balance has changed.

Clients of protocol version 2026-07-28 open a stream with subscriptions/listen. Clients of older protocol versions send
resources/subscribe and get the notifications on their connection. A server offers resources/subscribe only if it has
a single connection to a client, as on stdio.

This process tells of the tasks that it watches after it has saved them. To notice the changes that other processes
make, it compares the ledger with what it was before, while somebody subscribes: every few seconds, and with PostgreSQL
as soon as a change is reported.
"""

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from kie_mcp.errors import KieMcpError
from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from kie_mcp.ledger.recent import TaskState
    from kie_mcp.ledger.task import Task

logger = logging.getLogger(__name__)

CREDITS = "kie://credits"
LIBRARY = "kie://library"
TASKS = "kie://tasks"
TASK_PREFIX = f"{TASKS}/"
MAX_SUBSCRIPTIONS = 100
"""Maximum number of resource URIs that one stream or one connection may subscribe to."""
WATCH_SECONDS = 3
"""Maximum seconds that a resources/subscribe request waits for KIE."""
LOOK_SECONDS = 3
"""Seconds between two looks at the ledger for changes by other processes."""
GAP_SECONDS = 0.5
"""Minimum seconds between two looks, however many changes PostgreSQL reports."""


class Subscriptions:
    """Keeps the subscriptions to resources in memory, and sends resources/updated notifications."""

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self._handle_stream = ListenHandler(self._bus)
        self._session: ServerSession | None = None
        self._subscribed: set[str] = set()
        self._pending: dict[str, None] = {}
        """URIs of changed resources for which the connection has not got a notification yet.

        The dictionary is used as an ordered set: its values have no meaning.
        """
        self._balance: float | None = None
        """The account's balance in credits at the last notification about the balance.

        None before the first notification, and again after a client has subscribed to the balance.
        """
        self._balance_readers = 0
        """Number of open subscriptions/listen streams that subscribe to the balance."""
        self._balance_may_have_changed = False
        self._wake = anyio.Event()
        self._streams = 0
        """Number of open subscriptions/listen streams."""
        self._has_readers = anyio.Event()
        """Set when somebody subscribes."""
        self._told: dict[str, TaskState] = {}
        """For the ledger's id of each task, the state that was told last; empty while nobody subscribes."""
        self._looking = anyio.Lock()

    async def run(self, app: App) -> None:
        """Send notifications, and look for changes by other processes, until this method is cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._follow_others, app)
            group.start_soon(self._send_pending, app)

    async def _send_pending(self, app: App) -> None:
        """In an endless loop, send pending notifications, and read the balance after tasks have changed."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._pending and self._session:
                uri = next(iter(self._pending))
                del self._pending[uri]
                await self._session.send_resource_updated(uri)
            if self._balance_may_have_changed:
                self._balance_may_have_changed = False
                await self._compare_balance(app)

    @property
    def _is_followed(self) -> bool:
        """Whether anybody subscribes."""
        return bool(self._streams or self._subscribed)

    async def _follow_others(self, app: App) -> None:
        """In an endless loop, look for changes by other processes while somebody subscribes."""
        while True:
            await self._has_readers.wait()
            await _wait_for_change(app)
            if self._is_followed:
                await self._look(app)
                await app.clock.idle(GAP_SECONDS)
            else:
                self._has_readers, self._told = anyio.Event(), {}

    async def _look(self, app: App) -> None:
        """Read the ledger, and tell subscribers of the tasks that have changed since they were last told.

        This is also done before somebody subscribes, so that only later changes are told.
        """
        from kie_mcp.ledger.ledger import LedgerError

        try:
            runner = await app.runner()
            async with self._looking:
                # The watchers of this process tell by themselves, as soon as they have saved a change.
                own = set(runner.watched)
                found = await runner.ledger.recent.states(app.clock.time())
                before = self._told
                self._told = {id_: before.get(id_, state) if id_ in own else state for id_, state in found.items()}
            for id_, state in self._told.items():
                if id_ not in own and before.get(id_) != state:
                    await self._tell(state)
        except (KieMcpError, LedgerError) as error:
            logger.info("The ledger cannot be looked at: %s", error)

    async def task_changed(self, task: "Task", *_: object) -> None:
        """Queue notifications about a task whose new state was written to the ledger; do not wait for any client."""
        from kie_mcp.ledger.recent import TaskState

        state = TaskState(task.id, task.kie_id, task.state, task.saved, task.note)
        if self._is_followed:
            self._told[task.id] = state
        await self._tell(state)

    async def _tell(self, task: "TaskState") -> None:
        for id_ in (task.id, task.kie_id):
            if id_:
                await self._publish(f"{TASK_PREFIX}{id_}")
        await self._publish(TASKS)
        if task.state == "succeeded":
            await self._publish(LIBRARY)
        if self._balance_readers or CREDITS in self._subscribed:
            self._balance_may_have_changed = True
            self._wake.set()

    async def listen(self, context: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Answer a subscriptions/listen request; the method returns when the client closes the stream."""
        from kie_mcp.ledger.ledger import LedgerError

        uris = [uri for uri in params.notifications.resource_subscriptions or () if _can_change(uri)][
            :MAX_SUBSCRIPTIONS
        ]
        # Only the resource URIs are filtered. A client may also subscribe to changes of the lists of tools, prompts and
        # resources; the SDK accepts this, but these lists never change.
        honored = params.notifications.model_copy(update={"resource_subscriptions": uris})
        app = context.lifespan_context
        for uri in uris:
            # An unknown task is no error here: the subscription is accepted, but no notification is ever sent for it.
            # There may be many tasks, so KIE is not waited for.
            with suppress(KieMcpError, LedgerError):
                await _watch_task(app, uri, seconds=0)
        await self._look(app)
        reads_balance = CREDITS in uris
        self._streams += 1
        self._has_readers.set()
        self._balance_readers += reads_balance
        self._balance = None if reads_balance else self._balance
        try:
            return await self._handle_stream(context, params.model_copy(update={"notifications": honored}))
        finally:
            self._streams -= 1
            self._balance_readers -= reads_balance

    async def subscribe(self, context: Context, params: SubscribeRequestParams) -> EmptyResult:
        """Answer a resources/subscribe request, and store the connection that will get the notifications."""
        uri = str(params.uri)
        if not _can_change(uri):
            raise _refusal(
                uri, f"Only {CREDITS}, {LIBRARY}, {TASKS} and {TASK_PREFIX}{{id}} send notifications of changes."
            )
        if len(self._subscribed) >= MAX_SUBSCRIPTIONS and uri not in self._subscribed:
            raise _refusal(uri, f"This connection has {MAX_SUBSCRIPTIONS} subscriptions already: unsubscribe from one.")
        try:
            await _watch_task(context.lifespan_context, uri, seconds=WATCH_SECONDS)
        except KieMcpError as error:
            raise _refusal(uri, f"{error} {error.next_step}".strip()) from None
        await self._look(context.lifespan_context)
        self._session = context.session
        self._subscribed.add(uri)
        self._has_readers.set()
        self._balance = None if uri == CREDITS else self._balance
        return EmptyResult()

    async def unsubscribe(self, _: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        """Answer a resources/unsubscribe request, and drop a pending notification for its URI."""
        self._subscribed.discard(str(params.uri))
        self._pending.pop(str(params.uri), None)
        return EmptyResult()

    async def _publish(self, uri: str) -> None:
        if uri in self._subscribed:
            self._pending[uri] = None
            self._wake.set()
        await self._bus.publish(ResourceUpdated(uri))

    async def _compare_balance(self, app: App) -> None:
        """Read the account's balance; if it has changed since the last notification, send a notification."""
        try:
            balance = await (await app.runner()).balance.read()
        except KieMcpError as error:
            logger.info("balance: %s", error)
        except Exception:
            # The error is only logged: the loop that calls this method runs in a task group with the server, so an
            # exception would end the server.
            logger.exception("balance")
        else:
            if balance != self._balance:
                self._balance = balance
                await self._publish(CREDITS)


def _can_change(uri: str) -> bool:
    return uri in {CREDITS, LIBRARY, TASKS} or (uri.startswith(TASK_PREFIX) and uri != TASK_PREFIX)


async def _watch_task(app: App, uri: str, seconds: float) -> None:
    """Make sure that a process watches the task with this resource URI; do nothing if the URI has no task id in it.

    Without this call, a task whose process has ended would change without a notification.

    Args:
        app: The running server.
        uri: The URI of the resource.
        seconds: Maximum seconds to wait for KIE's answer to the task's create request, or for a search at KIE.

    Raises:
        KieMcpError: When there is no such task, or the ledger cannot be opened.
    """
    if uri.startswith(TASK_PREFIX):
        await (await app.runner()).get(uri.removeprefix(TASK_PREFIX), seconds=seconds, search_seconds=seconds)


async def _wait_for_change(app: App) -> None:
    """Wait until PostgreSQL reports that another process has changed a task, but at most for `LOOK_SECONDS`."""
    from kie_mcp.ledger.changes import ANY_TASK

    waits = [partial(app.clock.idle, LOOK_SECONDS)]
    if (runner := app.opened_runner) and runner.ledger.database.changes.are_reported:
        waits.append(partial(runner.ledger.database.changes.wait, ANY_TASK))
    await app.clock.wait_for_first(*waits)


def _refusal(uri: str, reason: str) -> MCPError:
    return MCPError(INVALID_PARAMS, reason, {"uri": uri})
