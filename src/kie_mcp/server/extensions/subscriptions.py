"""Telling clients that a task or the balance has changed.

Clients of 2026 open a stream with subscriptions/listen. Those before it ask with resources/subscribe and are told on
their connection, which such a server serves alone.
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
TASK = f"{TASKS}/"
MOST = 100
"""Addresses that one stream, or one connection, is told of."""


class Subscriptions:
    """Who wants to be told of what, for as long as a server runs."""

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self._streams = ListenHandler(self._bus)
        self._session: ServerSession | None = None
        self._subscribed: set[str] = set()
        self._due: dict[str, None] = {}
        """What the connection is yet to be told of, once each."""
        self._balance: float | None = None
        """As last told of; None when somebody has come since."""
        self._balance_readers = 0
        """Streams that are told of the balance."""
        self._spent = False
        self._wake = anyio.Event()

    async def run(self, app: App) -> None:
        """Tell the connection what is due, and read the balance when a task may have changed it; never return."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._due and self._session:
                uri = next(iter(self._due))
                del self._due[uri]
                await self._session.send_resource_updated(uri)
            if self._spent:
                self._spent = False
                await self._compare_balance(app)

    async def task_changed(self, task: "Task") -> None:
        """Note that a task's state was written down; waits for no client."""
        for id_ in (task.id, task.kie_id):
            if id_:
                await self._publish(f"{TASK}{id_}")
        await self._publish(TASKS)
        if task.state == "succeeded":
            await self._publish(LIBRARY)
        if self._balance_readers or CREDITS in self._subscribed:
            self._spent = True
            self._wake.set()

    async def listen(self, context: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Answer subscriptions/listen: the stream lasts until the client leaves."""
        uris = [uri for uri in params.notifications.resource_subscriptions or () if _changes(uri)][:MOST]
        # Changes of lists may be asked for, as the SDK says that they can be: there are none.
        honored = params.notifications.model_copy(update={"resource_subscriptions": uris})
        for uri in uris:
            # What does not exist never changes; that is no error here.
            with suppress(KieMcpError):
                await _take_up(context.lifespan_context, uri)
        reader = CREDITS in uris
        self._balance_readers += reader
        self._balance = None if reader else self._balance
        try:
            return await self._streams(context, params.model_copy(update={"notifications": honored}))
        finally:
            self._balance_readers -= reader

    async def subscribe(self, context: Context, params: SubscribeRequestParams) -> EmptyResult:
        """Answer resources/subscribe."""
        uri = str(params.uri)
        if not _changes(uri):
            raise _refused(uri, f"Only {CREDITS}, {LIBRARY}, {TASKS} and {TASK}{{id}} tell when they change.")
        if len(self._subscribed) >= MOST and uri not in self._subscribed:
            raise _refused(uri, f"This connection has {MOST} subscriptions already: unsubscribe from one.")
        try:
            await _take_up(context.lifespan_context, uri)
        except KieMcpError as error:
            raise _refused(uri, f"{error} {error.next_step}".strip()) from None
        self._session = context.session
        self._subscribed.add(uri)
        self._balance = None if uri == CREDITS else self._balance
        return EmptyResult()

    async def unsubscribe(self, _: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        """Answer resources/unsubscribe."""
        self._subscribed.discard(str(params.uri))
        self._due.pop(str(params.uri), None)
        return EmptyResult()

    async def _publish(self, uri: str) -> None:
        if uri in self._subscribed:
            self._due[uri] = None
            self._wake.set()
        await self._bus.publish(ResourceUpdated(uri))

    async def _compare_balance(self, app: App) -> None:
        try:
            balance = await (await app.runner()).client.credits()
        except KieMcpError as error:
            logger.info("balance: %s", error)
        except Exception:
            # Tasks run in the same group: nothing may end it.
            logger.exception("balance")
        else:
            if balance != self._balance:
                self._balance = balance
                await self._publish(CREDITS)


def _changes(uri: str) -> bool:
    return uri in {CREDITS, LIBRARY, TASKS} or (uri.startswith(TASK) and uri != TASK)


async def _take_up(app: App, uri: str) -> None:
    """See to it that a task is watched here, though another process may have started it.

    Raises:
        KieMcpError: When there is no such task, or the ledger cannot be opened.
    """
    if uri.startswith(TASK):
        await (await app.runner()).get(uri.removeprefix(TASK))


def _refused(uri: str, reason: str) -> MCPError:
    return MCPError(INVALID_PARAMS, reason, {"uri": uri})
