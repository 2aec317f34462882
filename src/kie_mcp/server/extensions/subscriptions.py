"""Subscriptions: send resources/updated notifications when a task, a list of tasks or the balance has changed.

Clients of protocol version 2026-07-28 open a stream with subscriptions/listen. Clients of older protocol versions send
resources/subscribe and get the notifications on their connection. A server offers resources/subscribe only if it has
a single connection to a client, as on stdio.
"""

import logging
from contextlib import suppress
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
    from kie_mcp.ledger.task import Task

logger = logging.getLogger(__name__)

CREDITS = "kie://credits"
LIBRARY = "kie://library"
TASKS = "kie://tasks"
TASK_PREFIX = f"{TASKS}/"
MAX_SUBSCRIPTIONS = 100
"""Maximum number of resource URIs that one stream or one connection may subscribe to."""


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

    async def run(self, app: App) -> None:
        """Send pending notifications, and read the balance after tasks have changed, until this method is cancelled."""
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

    async def task_changed(self, task: "Task", *_: object) -> None:
        """Queue notifications about a task whose new state was written to the ledger; do not wait for any client."""
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
        uris = [uri for uri in params.notifications.resource_subscriptions or () if _can_change(uri)][
            :MAX_SUBSCRIPTIONS
        ]
        # Only the resource URIs are filtered. A client may also subscribe to changes of the lists of tools, prompts and
        # resources; the SDK accepts this, but these lists never change.
        honored = params.notifications.model_copy(update={"resource_subscriptions": uris})
        for uri in uris:
            # An unknown task is no error here: the subscription is accepted, but no notification is ever sent for it.
            with suppress(KieMcpError):
                await _watch_task(context.lifespan_context, uri)
        reads_balance = CREDITS in uris
        self._balance_readers += reads_balance
        self._balance = None if reads_balance else self._balance
        try:
            return await self._handle_stream(context, params.model_copy(update={"notifications": honored}))
        finally:
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
            await _watch_task(context.lifespan_context, uri)
        except KieMcpError as error:
            raise _refusal(uri, f"{error} {error.next_step}".strip()) from None
        self._session = context.session
        self._subscribed.add(uri)
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


async def _watch_task(app: App, uri: str) -> None:
    """Make sure that a process watches the task with this resource URI; do nothing if the URI has no task id in it.

    Without this call, a task whose process has ended would change without a notification.

    Raises:
        KieMcpError: When there is no such task, or the ledger cannot be opened.
    """
    if uri.startswith(TASK_PREFIX):
        await (await app.runner()).get(uri.removeprefix(TASK_PREFIX))


def _refusal(uri: str, reason: str) -> MCPError:
    return MCPError(INVALID_PARAMS, reason, {"uri": uri})
