"""The tenants of a server: a tenant's first call opens the tenant's app (`App`), which is closed after an idle time.

A tenant's app has a ledger, an output folder and a KIE client of its own. Therefore, a handler that has the app of its
caller cannot reach the data of another tenant.
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from mcp_types import SubscriptionsListenRequestParams, SubscriptionsListenResult
from pydantic import SecretStr

from kie_mcp.clock import Clock
from kie_mcp.errors import ConfigurationError, KieMcpError
from kie_mcp.kie.rate_limit import ReadLimiters
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import new_id
from kie_mcp.ledger.tenants import Reservations, Share, TenantLedger
from kie_mcp.server import access_token
from kie_mcp.server.accounts.caller import Caller
from kie_mcp.server.accounts.current import run_as
from kie_mcp.server.app import App, Context
from kie_mcp.server.extensions.subscriptions import Subscriptions
from kie_mcp.server.tenancy import Tenancy
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.caps import check_cap_of_all
from kie_mcp.tasks.read_limiter import share_reads
from kie_mcp.tasks.takeover import HEARTBEAT_SECONDS
from kie_mcp.tasks.wake_files import WakeFiles

logger = logging.getLogger(__name__)

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""Matches the name of a tenant, which is also the name of its folders."""
IDLE_SECONDS = 600
"""Seconds after a tenant's last call until the tenant's app is closed, if none of the tenant's tasks runs."""
LOOK_SECONDS = 60
"""Seconds between two searches for idle apps."""
MAX_OPEN = 1000
"""Maximum number of apps that are open at the same time."""

FindCaller = Callable[[str], Awaitable[Caller | None]]
"""The type of a function that returns a `Caller` with the KIE key of the named tenant; None if there is no key."""


class _OpenTenant:
    """The open app of one tenant, with its caller, its subscriptions, and the number of its running requests."""

    def __init__(self, app: App, caller: Caller) -> None:
        self.app = app
        self.caller = caller
        self.subscriptions = Subscriptions()
        self.calls = 0
        """Number of requests that are being answered."""
        self.used = app.clock.monotonic()
        """Monotonic time of the last request, in seconds."""
        self.closing = anyio.Event()
        self.closed = anyio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether the tenant has neither a running request nor a task that this process watches."""
        runner = self.app.opened_runner
        return not self.calls and not (runner and runner.is_watching)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the app open until `closing` is set."""
        try:
            with run_as(self.caller):
                async with (
                    self.app.run(on_change=self.subscriptions.task_changed),
                    anyio.create_task_group() as group,
                ):
                    group.start_soon(self.subscriptions.run, self.app)
                    task_status.started()
                    await self.closing.wait()
                    group.cancel_scope.cancel()
        except Exception:
            # The error is only logged, because it must not end the apps of other tenants.
            logger.exception("The app of a tenant has ended.")
        finally:
            self.closed.set()


class Tenants:
    """Opens and closes the apps of all tenants, and holds the ledger that all tenants share."""

    def __init__(self, app: App, find_caller: FindCaller | None = None) -> None:
        """Store the arguments.

        Args:
            app: The app of the server, with the settings, tools and transport for all tenants' apps. This app itself is
                never opened.
            find_caller: Finds the KIE key of a tenant whose process has ended, so that this process can take the
                tenant's tasks over at once. None if only calls contain keys; the tasks then wait for the next call.
        """
        self._app = app
        self._find_caller = find_caller
        self._group: TaskGroup
        self._stack = AsyncExitStack()
        self._lock = anyio.Lock()
        self._common_lock = anyio.Lock()
        self._common: Ledger | None = None
        self._reservations: Reservations
        self._read_limiters: ReadLimiters
        self._process = new_id("s")
        self._open: dict[str, _OpenTenant] = {}
        self._readers: dict[str, tuple[Ledger, float]] = {}
        """The ledgers that are open without an app, by the tenant's name, and when each was used, in seconds."""

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Allow apps to be opened until the `async with` block ends, and then close all apps."""
        self._stack.push_async_callback(self._close_all_readers)
        async with self._stack, anyio.create_task_group() as self._group:
            self._group.start_soon(self._close_idle)
            if self._find_caller:
                self._group.start_soon(self._take_over, self._find_caller)
            if self._app.settings.public_url and not self._app.settings.ledger_url:
                wakes = WakeFiles(self._app.settings.state_dir, self._app.clock)
                self._group.start_soon(wakes.run, self._hear)
            yield
            self._group.cancel_scope.cancel()

    @asynccontextmanager
    async def use(self, caller: Caller) -> AsyncIterator[App]:
        """Yield the app of a caller's tenant for one request; open the app if it is not open.

        Raises:
            ConfigurationError: When too many apps are open.
        """
        async with self._lock:
            tenant = await self._find_or_open(caller)
        tenant.calls += 1
        try:
            with run_as(caller):
                yield tenant.app
        finally:
            tenant.calls -= 1
            tenant.used = self._app.clock.monotonic()

    def find_open(self, name: str) -> App | None:
        """Return the app of a tenant if the app is open; otherwise return None."""
        found = self._open.get(name)
        return found.app if found else None

    @property
    def clock(self) -> Clock:
        """The source of time."""
        return self._app.clock

    def build_reader(self, name: str) -> App:
        """Return an app of a tenant that is never opened: it is there for its settings and its storage."""
        return App(self._app.settings.for_tenant(name, None, None), local_files=False, clock=self.clock)

    async def read_ledger(self, name: str) -> Ledger:
        """Return the ledger of a tenant whose KIE key this process may not know, so that its results can be read.

        Raises:
            KieMcpError: When the ledger cannot be opened.
        """
        async with self._lock:
            # In one process, a schema is open only once; otherwise, only one of its ledgers would hear of changes.
            if not (app := self.find_open(name)):
                ledger = self._readers[name][0] if name in self._readers else await self._open_ledger(name)
                self._readers[name] = ledger, self.clock.monotonic()
                return ledger
        return (await app.runner()).ledger

    async def listen(self, context: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Answer a subscriptions/listen request: send notifications about the caller's tenant only."""
        (subscriptions,) = (each.subscriptions for each in self._open.values() if each.app is context.lifespan_context)
        return await subscriptions.listen(context, params)

    async def open_common_ledger(self) -> Ledger:
        """Return the ledger that all tenants share; the first call opens this ledger.

        Raises:
            ConfigurationError: When the ledger cannot be opened.
        """
        async with self._common_lock:
            if not self._common:
                settings = self._app.settings
                ledger = await Ledger.open(settings.state_dir, url=settings.ledger_url, schema=settings.ledger_schema)
                self._stack.push_async_callback(ledger.close)
                self._reservations = Reservations(ledger.database, self._process)
                self._read_limiters = share_reads(ledger, self._app.clock)
                ledger.database.changes.on_callback = self._hear
                self._group.start_soon(ledger.database.listen)
                self._common = ledger
        return self._common

    async def _open_read_limiters(self) -> ReadLimiters:
        await self.open_common_ledger()
        return self._read_limiters

    async def is_callback_address(self, name: str, token: str) -> bool:
        """Return whether `token` is the token in a callback URL; `name` has the tenant, a dot and the task's id."""
        settings = self._app.settings
        if not settings.public_url:
            return False
        secret = access_token.read_callback_secret(settings)
        return Callbacks(settings.public_url, secret.encode()).is_address(name, token)

    async def handle_callback(self, name: str) -> None:
        """Poll a task whose callback has arrived, in this process or in the process that watches the task."""
        if not self._hear(name) and not await (await self.open_common_ledger()).database.send_callback(name):
            WakeFiles(self._app.settings.state_dir, self._app.clock).send(name)

    def _hear(self, name: str) -> bool:
        tenant, _, id_ = name.rpartition(".")
        app = self.find_open(tenant)
        return bool(app and app.opened_runner and app.opened_runner.handle_callback(id_))

    async def _find_or_open(self, caller: Caller) -> _OpenTenant:
        found = self._open.get(caller.tenant)
        if found and found.caller.key == caller.key and not found.closed.is_set():
            return found
        if found:
            # The caller sent another KIE key, or the tenant's app has ended. The old app is closed; a new app, which
            # is opened below, takes the tenant's tasks over.
            await self._close(found)
        if len(self._open) >= MAX_OPEN:
            await self._close_oldest()
        await self._close_readers([caller.tenant])
        tenant = _OpenTenant(self._build_app(caller), caller)
        await self._group.start(tenant.run)
        self._open[caller.tenant] = tenant
        return tenant

    def _build_app(self, caller: Caller) -> App:
        if not NAME.fullmatch(caller.tenant):
            raise ConfigurationError("A tenant's name is no such name.", "Have a look at who names the tenants.")
        settings, name = self._app.settings, caller.tenant
        secret = SecretStr(access_token.read_callback_secret(settings)) if settings.public_url else None
        own = settings.for_tenant(name, caller.key, secret)

        async def open_ledger() -> Ledger:
            ledger = await self._open_ledger(name)
            await self._reservations.hold(name, self._app.clock.time())
            return ledger

        # The cap of credits per session holds until this process ends. Therefore, the session's id stays the same when
        # the tenant's app is closed and opened again.
        session = f"{self._process}-{name}"
        shared = self.open_common_ledger, self._open_read_limiters
        return self._app.build_tenant(own, Tenancy(name, session, caller.key is None, open_ledger, *shared))

    async def _open_ledger(self, name: str) -> TenantLedger:
        common, settings = await self.open_common_ledger(), self._app.settings
        # A tenant's name has no underscore, so no two tenants have the same schema.
        schema = f"{settings.ledger_schema}_{name.replace('-', '_')}"
        database = await common.database.open_other(settings.for_tenant(name, None, None).state_dir, schema)
        share = Share(name, self._reservations, settings.max_credits_per_day_all, check_cap_of_all)
        return TenantLedger(database, share)

    async def _close_all_readers(self) -> None:
        await self._close_readers([*self._readers])

    async def _close_readers(self, names: Iterable[str]) -> None:
        for name in names:
            if reader := self._readers.pop(name, None):
                await reader[0].close()

    async def _close(self, tenant: _OpenTenant) -> None:
        tenant.closing.set()
        await tenant.closed.wait()
        self._open.pop(tenant.caller.tenant, None)

    async def _close_oldest(self) -> None:
        idle = [each for each in self._open.values() if each.is_idle]
        if not idle:
            raise ConfigurationError("Too many callers are served at this moment.", "Try again in a minute.")
        await self._close(min(idle, key=lambda each: each.used))

    async def _close_idle(self) -> None:
        while True:
            await self._app.clock.idle(LOOK_SECONDS)
            async with self._lock:
                before = self._app.clock.monotonic() - IDLE_SECONDS
                for each in [each for each in self._open.values() if each.is_idle and each.used < before]:
                    await self._close(each)
                await self._close_readers([name for name, (_, used) in self._readers.items() if used < before])

    async def _take_over(self, find_caller: FindCaller) -> None:
        """In an endless loop, renew this process's lease, and open the apps of tenants whose process has ended."""
        while True:
            try:
                common = await self.open_common_ledger()
                now = self._app.clock.time()
                await common.leases.renew(self._process, now)
                for name in await self._reservations.list_orphaned(now):
                    if caller := await find_caller(name):
                        async with self.use(caller) as app:
                            await app.runner()
            except (KieMcpError, LedgerError) as error:
                logger.warning("Tenants whose process has ended are not looked for: %s", type(error).__name__)
            except Exception:
                # The error is only logged, because it must not end the apps of all tenants.
                logger.exception("tenants cannot be taken over")
            await self._app.clock.idle(HEARTBEAT_SECONDS)
