"""The tenants of a server: a tenant's first call opens the tenant's app (`App`), which is closed after an idle time.

A tenant's app has a ledger, an output folder and a KIE client of its own. Therefore, a handler that has the app of its
caller cannot reach the data of another tenant.
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from mcp_types import SubscriptionsListenRequestParams, SubscriptionsListenResult
from pydantic import SecretStr

from kie_mcp.background import Background
from kie_mcp.clock import Clock
from kie_mcp.errors import ConfigurationError, InvalidCall, KieMcpError
from kie_mcp.kie.account import name_account
from kie_mcp.kie.rate_limit import ReadLimiters
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import new_id
from kie_mcp.ledger.tenants import Reservations, Share, TenantLedger
from kie_mcp.server import access_token
from kie_mcp.server.accounts.caller import Caller
from kie_mcp.server.accounts.common_ledger import CommonLedger
from kie_mcp.server.accounts.current import run_as
from kie_mcp.server.accounts.needs_key import UNREADABLE
from kie_mcp.server.accounts.open_by_tenant import OpenByTenant
from kie_mcp.server.app import TAKEOVER_SECONDS, App, Context
from kie_mcp.server.extensions.subscriptions import Subscriptions
from kie_mcp.server.opening import Opening
from kie_mcp.server.tenancy import Tenancy
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.caps import check_cap_of_all
from kie_mcp.tasks.failures import explain_ledger_errors
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

FindCaller = Callable[[str], Awaitable[Caller | None]]
"""The type of a function that returns a `Caller` with the KIE key of the named tenant; None if there is no key."""


class _OpenTenant:
    """The open app of one tenant, with its caller and its subscriptions."""

    def __init__(self, app: App, caller: Caller, subscriptions: Subscriptions) -> None:
        self.app = app
        self.caller = caller
        self.subscriptions = subscriptions
        self._closing = anyio.Event()
        self._closed = anyio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether this process watches no task of the tenant."""
        runner = self.app.opened_runner
        return not (runner and runner.watched)

    def serves(self, caller: Caller) -> bool:
        """Whether the app is open and has the caller's KIE key, as far as this key can be read."""
        return caller.key in (self.caller.key, UNREADABLE) and not self._closed.is_set()

    async def close(self) -> None:
        """Wait for KIE's answers to the create requests that were sent, end `run()`, and wait until the app is closed.

        Such requests exist only if the app is closed because its tenant has a new KIE key; an idle app has none.
        """
        await self.app.settle_creates()
        self._closing.set()
        await self._closed.wait()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the app open until `close()` is called."""
        try:
            with run_as(self.caller):
                async with (
                    self.app.run(on_change=self.subscriptions.task_changed),
                    anyio.create_task_group() as group,
                ):
                    group.start_soon(self.subscriptions.run, self.app)
                    task_status.started()
                    await self._closing.wait()
                    group.cancel_scope.cancel()
        except Exception:
            # The error is only logged, because it must not end the apps of other tenants.
            logger.exception("The app of a tenant has ended.")
        finally:
            self._closed.set()


class Tenants:
    """Opens and closes the apps of all tenants, and holds the ledger that all tenants share."""

    def __init__(self, app: App, find_caller: FindCaller | None = None, common: CommonLedger | None = None) -> None:
        """Store the arguments.

        Args:
            app: The app of the server, with the settings, tools and transport for all tenants' apps. This app itself is
                never opened.
            find_caller: Finds the KIE key of a tenant whose process has ended, so that this process can take the
                tenant's tasks over at once. None if KIE keys come only with calls; the tasks then wait for the tenant's
                next call.
            common: The ledger that all tenants share; if None, the one that the settings of `app` name.
        """
        self._app = app
        self._find_caller = find_caller
        self._group: TaskGroup
        self._stack = AsyncExitStack()
        self._opening = Opening()
        self._common = common or CommonLedger(app.settings)
        self._has_common = False
        """Whether this object uses the common ledger already."""
        self._reservations: Reservations
        self._read_limiters: ReadLimiters
        self._process = app.process or new_id("s")
        self._has_lease = anyio.Event()
        """Set when this process has its first lease."""
        self._open = OpenByTenant[_OpenTenant](app.clock, _OpenTenant.close, lambda each: each.is_idle)
        self._subscriptions = WeakValueDictionary[str, Subscriptions]()
        """The subscriptions by tenant; they outlive the tenant's app while a stream is open, and go on with the next.

        The app and the open streams have the only references to them.
        """
        self._readers = OpenByTenant[Ledger](app.clock, Ledger.close)
        """Read-only ledgers by tenant, to read a tenant's tasks without starting the tenant's app."""

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Allow apps to be opened until the `async with` block ends, and then close all apps."""
        async with self._stack, anyio.create_task_group() as self._group:
            self._stack.push_async_callback(self._common.close)
            self._stack.push_async_callback(self._release_lease)
            self._stack.push_async_callback(self._readers.close_idle)
            self._group.start_soon(self._close_idle)
            if self._find_caller:
                renewal = "renew the lease of this server", self._renew_lease, HEARTBEAT_SECONDS
                self._group.start_soon(self._repeat, *renewal)
                take_over = partial(self._take_over, self._find_caller)
                search = "look for tenants whose server has ended", take_over, TAKEOVER_SECONDS
                self._group.start_soon(self._repeat, *search)
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
        opening = partial(self._open_app, caller)
        async with self._open.use(caller.tenant, opening, lambda tenant: tenant.serves(caller)) as tenant:
            with run_as(caller):
                yield tenant.app

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        """Run a function in the background; do nothing if the server is ending."""
        Background(self._group).start(function, *arguments)

    def find_open(self, name: str) -> App | None:
        """Return the app of a tenant if the app is open; otherwise return None."""
        found = self._open.find(name)
        return found.app if found else None

    def list_open(self) -> list[App]:
        """Return the open apps of all tenants."""
        return [each.app for each in self._open.list_open()]

    @property
    def clock(self) -> Clock:
        """The source of time."""
        return self._app.clock

    def build_reader(self, name: str) -> App:
        """Return an app with the settings and the storage for reading a tenant's files; this app is never opened."""
        return App(self._app.settings.for_tenant(name, None, None), local_files=False, clock=self.clock)

    async def read_ledger(self, name: str) -> Ledger:
        """Return a tenant's ledger for reading results; this process need not know the tenant's KIE key.

        If the tenant's app has opened the ledger, this ledger is returned; otherwise, the ledger is opened without an
        app. The ledger stays open for at least `IDLE_SECONDS`, with two exceptions. If more than `MAX_OPEN` apps or
        ledgers are open, the one whose last use was longest ago is closed. A call with a new KIE key of the tenant
        closes the app together with its ledger.

        Raises:
            InvalidCall: When the tenant has no ledger, such as after the tenant was removed.
            KieMcpError: When the ledger cannot be opened.
        """

        async def open_existing() -> Ledger:
            if not await self._has_ledger(name):
                raise InvalidCall("There is no such library any more.", "Load the library again.")
            return await self._open_ledger(name, to_read=True)

        if (tenant := self._open.touch(name)) and (runner := tenant.app.opened_runner):
            return runner.ledger
        async with self._readers.use(name, open_existing) as ledger:
            return ledger

    async def listen(self, context: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Answer a subscriptions/listen request: send notifications about the caller's tenant only."""
        tenancy = context.lifespan_context.tenancy
        tenant = self._open.find(tenancy.name) if tenancy else None
        if not tenant:
            raise ConfigurationError("The caller's tasks are not open at this moment.", "Try again.")
        return await tenant.subscriptions.listen(context, params)

    async def open_common_ledger(self) -> Ledger:
        """Return the ledger that all tenants share; the first call also starts to listen for changes in this ledger.

        Raises:
            ConfigurationError: When the ledger cannot be opened.
        """
        async with self._opening.attempt():
            ledger = await self._common.open()
            if not self._has_common:
                self._reservations = Reservations(ledger.database, self._process)
                self._read_limiters = share_reads(ledger, self._app.clock)
                ledger.database.changes.on_callback = self._hear
                self._group.start_soon(ledger.database.listen)
                self._has_common = True
        return ledger

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
        """Poll a task at once, because its callback has arrived; if another process watches it, tell that process."""
        if not self._hear(name) and not await (await self.open_common_ledger()).database.send_callback(name):
            WakeFiles(self._app.settings.state_dir, self._app.clock).send(name)

    def _hear(self, name: str) -> bool:
        tenant, _, id_ = name.rpartition(".")
        app = self.find_open(tenant)
        return bool(app and app.opened_runner and app.opened_runner.handle_callback(id_))

    async def _open_app(self, caller: Caller) -> _OpenTenant:
        subscriptions = self._subscriptions.setdefault(caller.tenant, Subscriptions())
        tenant = _OpenTenant(self._build_app(caller), caller, subscriptions)
        await self._group.start(tenant.run)
        return tenant

    def _build_app(self, caller: Caller) -> App:
        if not NAME.fullmatch(caller.tenant):
            raise ConfigurationError(
                "The name of a tenant is not valid: it may have up to 40 lower-case letters, digits and hyphens.",
                "Check what gives the tenants their names.",
            )
        settings, name = self._app.settings, caller.tenant
        secret = SecretStr(access_token.read_callback_secret(settings)) if settings.public_url else None
        own = settings.for_tenant(name, caller.key, secret)

        async def open_ledger() -> Ledger:
            ledger = await self._open_ledger(name, name_account(own.key))
            await ledger.hold_reservations(self._app.clock.time())
            return ledger

        # The cap of credits per session holds until this process ends. Therefore, the session's id stays the same when
        # the tenant's app is closed and opened again.
        session = f"{self._process}-{name}"
        shared = self.open_common_ledger, self._open_read_limiters
        has_ledger = partial(self._has_ledger, name)
        return self._app.build_tenant(own, Tenancy(name, session, caller.key is None, has_ledger, open_ledger, *shared))

    async def _open_ledger(self, name: str, account: str = "", *, to_read: bool = False) -> TenantLedger:
        common, settings = await self.open_common_ledger(), self._app.settings
        database = await common.database.open_other(*self._find_place(name), to_read=to_read)
        share = Share(name, account, self._reservations, settings.max_credits_per_day_all, check_cap_of_all)
        return TenantLedger(database, share)

    async def _has_ledger(self, name: str) -> bool:
        common = await self.open_common_ledger()
        with explain_ledger_errors():
            return await common.database.has_other(*self._find_place(name))

    def _find_place(self, name: str) -> tuple[Path, str]:
        """Return the folder (for SQLite) and the database schema (for PostgreSQL) of a tenant's ledger."""
        settings = self._app.settings
        # A tenant's name has no underscore, so no two tenants have the same schema.
        return settings.for_tenant(name, None, None).state_dir, f"{settings.ledger_schema}_{name.replace('-', '_')}"

    async def _close_idle(self) -> None:
        while True:
            await self._app.clock.idle(LOOK_SECONDS)
            await self._open.close_idle(IDLE_SECONDS)
            await self._readers.close_idle(IDLE_SECONDS)

    async def _repeat(self, purpose: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Call `work` again and again until cancelled; log its errors, so that they do not end tenants' apps.

        Args:
            purpose: What `work` does, such as "renew leases"; it completes the log message "The server cannot ...".
            work: The function to call.
            seconds: Seconds between two calls.
        """
        while True:
            try:
                await work()
            except (KieMcpError, LedgerError) as error:
                logger.warning("The server cannot %s: %s", purpose, type(error).__name__)
            except Exception:
                logger.exception("The server cannot %s.", purpose)
            await self._app.clock.idle(seconds)

    async def _renew_lease(self) -> None:
        """Renew this process's lease, so that other processes do not take its tenants over."""
        await (await self.open_common_ledger()).leases.renew(self._process, self._app.clock.time())
        self._has_lease.set()

    async def _release_lease(self) -> None:
        """End this process's lease, so that other processes take its tenants over at once."""
        if self._has_lease.is_set():
            with suppress(LedgerError):
                await (await self.open_common_ledger()).leases.release(self._process)

    async def _take_over(self, find_caller: FindCaller) -> None:
        """Open the apps of tenants whose process has ended."""
        # Without a lease, other processes would take over the same tenants at the same time.
        await self._has_lease.wait()
        for name in await self._reservations.list_orphaned(self._app.clock.time()):
            await self._take_over_tenant(name, find_caller)

    async def _take_over_tenant(self, name: str, find_caller: FindCaller) -> None:
        """Open the app of one tenant; an error is only logged, so that the other tenants are taken over too."""
        try:
            if not await self._has_ledger(name):
                # The tenant was removed, so its tasks cannot be followed. Without this check, a new ledger would be
                # created for the tenant.
                await self._reservations.end(await self._reservations.hold(name, self._app.clock.time()))
            elif caller := await find_caller(name):
                async with self.use(caller) as app:
                    await app.runner()
        except (KieMcpError, LedgerError) as error:
            logger.warning("A tenant whose process has ended cannot be taken over: %s", type(error).__name__)
        except Exception:
            logger.exception("A tenant whose process has ended cannot be taken over.")
