"""The parts of one running server: its settings, its runner of tasks and its access to KIE's list of models.

The first tool call that needs one of these parts opens it, so that the server starts fast.
"""

import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import anyio
from mcp.server.context import ServerRequestContext
from mcp_types import CallToolRequestParams

from kie_mcp.background import Background
from kie_mcp.clock import Clock
from kie_mcp.errors import ConfigurationError, KieMcpError
from kie_mcp.server.opening import Opening
from kie_mcp.server.roots import Roots
from kie_mcp.server.selection import Selection
from kie_mcp.server.tenancy import Tenancy

if TYPE_CHECKING:
    import httpx2

    from kie_mcp.config import Settings
    from kie_mcp.kie.client import KieClient
    from kie_mcp.kie.discovery import Discovery
    from kie_mcp.kie.observation import Observe
    from kie_mcp.kie.rate_limit import CreateLimiter, ReadLimiters
    from kie_mcp.ledger.ledger import Ledger
    from kie_mcp.ledger.task import Task
    from kie_mcp.tasks.callbacks import Callbacks
    from kie_mcp.tasks.runner import Runner
    from kie_mcp.tasks.services import Change
    from kie_mcp.tasks.storage import Storage
    from kie_mcp.tasks.wake_files import WakeFiles

logger = logging.getLogger(__name__)

_MEND_FOLDERS = "Give KIE_MCP_DATA_DIR and KIE_MCP_OUTPUT_DIR as whole paths, or start the server in another folder."
SETTLE_SECONDS = 1
"""Maximum seconds that a stopping server waits for KIE's answers to create requests that were already sent."""
TAKEOVER_SECONDS = 1
"""Seconds between two searches for tasks of dead processes, if this server may be one of several replicas."""


class App:
    """Holds the parts of one running server: settings, runner and access to KIE's list of models."""

    def __init__(
        self,
        settings: "Settings | None" = None,
        *,
        selection: Selection | None = None,
        local_files: bool = True,
        transport: "httpx2.AsyncBaseTransport | None" = None,
        clock: Clock | None = None,
    ) -> None:
        """Store the arguments; the first call that needs a part opens the part and imports its modules.

        Args:
            settings: The settings. If None, the settings are read from environment variables.
            selection: The tools to list. If None, those that `settings` names; without settings, the set `standard`.
            local_files: True if callers run on this machine, so that the server may read local paths in arguments.
            transport: The HTTP transport to KIE. If None, requests go to the network, or to a sandbox if
                `settings.sandbox` is true.
            clock: The source of time. If None, the system's clock is used.
        """
        self.clock = clock or Clock()
        self.selection = selection or (Selection(settings.tools, settings.prefix) if settings else Selection())
        self.roots = Roots()
        self._settings = settings
        self.local_files = local_files
        """Whether callers run on this machine; only then may arguments and answers contain paths of this machine."""
        self._transport = transport
        self.tenancy: Tenancy | None = None
        """The tenant's name and ledgers if this is the app of a tenant; otherwise None."""
        self.process = ""
        """A worker's id in the ledger, which begins with the server's; empty if there are no workers."""
        self._opening = Opening()
        self._runner: Runner | None = None
        self._stack = AsyncExitStack()
        self.observers: list[Change] = []
        """Functions that are called each time a task's new state has been written to the ledger."""
        self.observe_request: Observe | None = None
        """A function that is called after each request to KIE; None if no function is set."""
        self.running_calls = 0
        """Number of tool calls that are being answered."""
        self._background: Background
        self._discovery: Discovery

    @property
    def settings(self) -> "Settings":
        """The settings given to this object; if none were given, the first use reads them from environment variables.

        Raises:
            ConfigurationError: When an environment variable has a wrong value.
        """
        if self._settings is None:
            from kie_mcp import config

            self._settings = config.load()
        return self._settings

    def check_settings(self) -> None:
        """Raise an error when a setting is wrong; the server keeps running, and every answer shows the error.

        Raises:
            ConfigurationError: When a setting is wrong or misspelt, or the selection of tools is invalid.
        """
        if self.selection.error:
            raise replace(self.selection.error)
        _ = self.settings

    @asynccontextmanager
    async def run(self, on_change: "Change | None" = None) -> AsyncIterator["App"]:
        """Run background work, such as watching tasks, until the `async with` block ends, and then close all parts.

        Args:
            on_change: A function that is called each time a task's new state has been written to the ledger. It must
                neither raise an error nor wait for a client.
        """
        if on_change:
            self.observers.append(on_change)
        async with self._stack, anyio.create_task_group() as group:
            self._background = Background(group)
            try:
                yield self
            finally:
                with anyio.move_on_after(SETTLE_SECONDS, shield=True):
                    await self.settle_creates()
                group.cancel_scope.cancel()

    async def settle_creates(self) -> None:
        """Refuse new background work, and wait for KIE's answers to create requests, so that no outcome is unknown."""
        self._background.end()
        if self._runner:
            await self._runner.settle_creates()

    async def runner(self) -> "Runner":
        """Return the runner of tasks; the first call opens the ledger and the connection to KIE.

        Raises:
            ConfigurationError: When the API key is missing, or a folder or the ledger cannot be opened.
        """
        async with self._opening.attempt():
            if self._runner is None:
                self._runner = await self._open()
        return self._runner

    def build_tenant(self, settings: "Settings", tenancy: Tenancy) -> "App":
        """Return the app of one tenant, with its own settings, and with this app's tools, transport and observers."""
        app = App(settings, selection=self.selection, local_files=False, transport=self._transport, clock=self.clock)
        app.tenancy, app.observers, app.observe_request = tenancy, [*self.observers], self.observe_request
        return app

    @property
    def opened_runner(self) -> "Runner | None":
        """The runner of tasks; None if no call has opened it yet."""
        return self._runner

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        """Run a function in the background; its errors are logged. Do nothing if the app is ending."""

        async def run() -> None:
            try:
                await function(*arguments)
            except Exception:
                logger.exception("in the background")

        self._background.start(run)

    async def learn_roots(self, context: "Context") -> None:
        """If this server may read local files, ask the client for its roots (the folders that it declares)."""
        if self.local_files:
            await self.roots.learn(context)

    async def discovery(self) -> "Discovery":
        """Return the object that reads KIE's list of models and the models' schemas.

        Raises:
            ConfigurationError: When the API key is missing, or the ledger cannot be opened.
        """
        await self.runner()
        return self._discovery

    @cached_property
    def storage(self) -> "Storage":
        """The storage of results: a bucket if the settings name one, or else the output folder.

        Raises:
            ConfigurationError: When the bucket cannot be used.
        """
        from kie_mcp.tasks.storage_choice import choose_storage

        settings = self.settings
        return choose_storage(settings.storage, settings.output_dir, settings.state_dir, settings.link_hours)

    async def _open(self) -> "Runner":
        """Open all parts; if a part cannot be opened, close the opened parts, so that the next call can try again."""
        if self._background.is_ending:
            raise ConfigurationError("This server is ending.", "Call again.", retryable=True)
        async with AsyncExitStack() as opened:
            try:
                runner = await self._open_parts(opened)
            except OSError as error:
                fault = error.strerror or type(error).__name__
                raise ConfigurationError(f"The server's folders cannot be used: {fault}.", _MEND_FOLDERS) from None
            self._stack.push_async_exit(opened.pop_all())
            return runner

    async def _open_parts(self, opened: AsyncExitStack) -> "Runner":
        from kie_mcp.catalog.credits import set_worth
        from kie_mcp.kie.connection import preload_certificates
        from kie_mcp.kie.discovery import Discovery
        from kie_mcp.kie.snapshot import load_snapshot
        from kie_mcp.tasks.allowed_folders import AllowedFolders
        from kie_mcp.tasks.caps import Caps, Rules
        from kie_mcp.tasks.create_limiter import LedgerCreateLimiter
        from kie_mcp.tasks.downloads import Downloader
        from kie_mcp.tasks.read_limiter import share_reads
        from kie_mcp.tasks.runner import Runner
        from kie_mcp.tasks.takeover import HEARTBEAT_SECONDS
        from kie_mcp.tasks.upload_command import build_upload_command
        from kie_mcp.tasks.uploads import Uploader

        settings = self.settings
        set_worth(settings.usd_per_credit)
        # `settings.key` raises an error if there is no API key, so the key is read before anything is opened.
        key = settings.key
        storage = self.storage
        transport = self._choose_transport(settings)
        if not transport:
            self.start_soon(preload_certificates)
        ledger = await self._open_ledger(settings, key, transport)
        opened.push_async_callback(ledger.close)
        common = await self.tenancy.open_common_ledger() if self.tenancy else None
        creates = LedgerCreateLimiter(ledger, self.clock, common)
        reads = await self.tenancy.open_read_limiters() if self.tenancy else share_reads(ledger, self.clock)
        client = self._build_client(settings, key, transport, creates, reads)
        await opened.enter_async_context(client)
        snapshot = partial(load_snapshot, settings.state_dir)
        self._discovery = Discovery(
            client, settings.live_dir, clock=self.clock, snapshot=snapshot, start_soon=self.start_soon
        )
        callbacks = self._find_callbacks(settings)
        build_command = partial(build_upload_command, url=settings.public_url, with_key=settings.caller_keys)
        folders = AllowedFolders(build_command=build_command)
        if self.local_files:
            folders = AllowedFolders(settings.read_dirs, settings.found_dirs, lambda: self.roots.folders)
        day_cap = settings.find_day_cap(is_tenant=bool(self.tenancy))
        caps = Caps(settings.max_credits_per_task, day_cap, settings.max_credits_per_session)
        rules = Rules(caps, settings.confirm_above, settings.confirm_hourly, settings.repeat_window)
        keeps, guarded = settings.keep_metadata, not settings.sandbox
        runner = Runner(
            client,
            ledger,
            Uploader(client, ledger, folders=folders, clock=self.clock, keep_metadata=keeps, guarded=guarded),
            Downloader(client, storage, guarded=guarded) if settings.save else None,
            self._background,
            storage=storage,
            rules=rules,
            callbacks=callbacks,
            usual_seconds=settings.sandbox_seconds if settings.sandbox else None,
            on_change=self._tell_observers,
            find_kind=self._discovery.find_kind,
            clock=self.clock,
            process=self.tenancy.session if self.tenancy else self.process,
        )
        opened.push_async_callback(runner.release_lease)
        # Unfinished tasks are taken over in the background, because this takes seconds for a thousand tasks.
        self.start_soon(runner.resume, HEARTBEAT_SECONDS if self.local_files else TAKEOVER_SECONDS)
        if callbacks.are_received and not self.tenancy:
            ledger.database.changes.on_callback = runner.handle_callback
            if not settings.ledger_url:
                self.start_soon(self._wake_files(settings).run, runner.handle_callback)
        return runner

    async def _open_ledger(
        self, settings: "Settings", key: str, transport: "httpx2.AsyncBaseTransport | None"
    ) -> "Ledger":
        """Open the ledger; create one for a new tenant only if KIE accepts its key, so that invented keys fill no disk.

        Raises:
            KieMcpError: When KIE refuses the key of a new tenant, or the ledger cannot be opened.
        """
        from kie_mcp.ledger.folder import create_folder
        from kie_mcp.ledger.ledger import Ledger

        if not self.tenancy:
            return await Ledger.open(settings.state_dir, url=settings.ledger_url, schema=settings.ledger_schema)
        if not await self.tenancy.has_ledger():
            async with self._build_client(settings, key, transport) as client:
                await client.read_balance()
        create_folder(settings.state_dir)
        return await self.tenancy.open_ledger()

    def _build_client(
        self,
        settings: "Settings",
        key: str,
        transport: "httpx2.AsyncBaseTransport | None",
        create_limiter: "CreateLimiter | None" = None,
        read_limiters: "ReadLimiters | None" = None,
    ) -> "KieClient":
        from kie_mcp.kie.advice import KEY_OF_CALLER, find_advice
        from kie_mcp.kie.client import KieClient

        shares_account = bool(self.tenancy and self.tenancy.shares_account)
        has_own_key = self.tenancy and not shares_account and not settings.sandbox
        return KieClient(
            key,
            base_url=settings.base_url,
            upload_url=settings.upload_url,
            service=settings.route == "service",
            transport=transport,
            clock=self.clock,
            create_limiter=create_limiter,
            read_limiters=read_limiters,
            observe=self.observe_request,
            advice=replace(find_advice(key), change_key=KEY_OF_CALLER) if has_own_key else None,
            is_shared=shares_account,
        )

    def build_client_of(self, key: str) -> "KieClient":
        """Return a client that uses this KIE key and gets no callbacks; in the sandbox, the key makes no difference."""
        settings = self.settings.model_copy(update={"public_url": "", "callback_url": ""})
        return self._build_client(settings, settings.key if settings.sandbox else key, self._choose_transport(settings))

    def _choose_transport(self, settings: "Settings") -> "httpx2.AsyncBaseTransport | None":
        """Return the transport given to this object, else one to a new sandbox (if `settings.sandbox`), else None."""
        if self._transport or not settings.sandbox:
            return self._transport
        from kie_mcp.server.sandbox_transport import open_sandbox

        return open_sandbox(settings, self.clock, self.start_soon)

    async def _tell_observers(self, task: "Task", before: "Task") -> None:
        for observer in self.observers:
            await observer(task, before)

    def _find_callbacks(self, settings: "Settings") -> "Callbacks":
        """Return the object that builds and checks callback URLs; only a server over HTTP receives callbacks.

        Raises:
            ConfigurationError: When the file with the callback secret cannot be used.
        """
        from kie_mcp.server import access_token
        from kie_mcp.tasks.callbacks import Callbacks

        if self.local_files or not settings.public_url:
            return Callbacks(settings.callback_url)
        secret = access_token.read_callback_secret(settings)
        return Callbacks(settings.public_url, secret.encode(), tenant=self.tenancy.name if self.tenancy else "")

    async def is_callback_address(self, name: str, token: str) -> bool:
        """Return whether `token` is the token in the callback URL of the task `name`."""
        return (await self.runner()).callbacks.is_address(name, token)

    async def handle_callback(self, id_: str) -> None:
        """Handle a callback: make the process that watches the task (this or another one) poll the task at once."""
        runner = await self.runner()
        if runner.handle_callback(id_) or not (task := await runner.ledger.find(id_)) or task.final:
            return
        if not await runner.ledger.database.send_callback(id_):
            self._wake_files(self.settings).send(id_)

    def _wake_files(self, settings: "Settings") -> "WakeFiles":
        from kie_mcp.tasks.wake_files import WakeFiles

        return WakeFiles(settings.state_dir, self.clock)

    async def open_early(self) -> bool:
        """Open all parts before a call needs them, so that unfinished tasks continue; return whether this succeeded."""
        try:
            await self.runner()
        except KieMcpError:
            # Every later tool call that needs the runner reports the error.
            return False
        except Exception:
            # The error is only logged, because an error in this background task would end the process.
            logger.exception("The server cannot be opened.")
            return False
        return True


Context: TypeAlias = ServerRequestContext[App, Any]
"""The context of one MCP request; its attribute `lifespan_context` is the `App`."""


class ToolCall(NamedTuple):
    """One tools/call request."""

    context: Context
    params: CallToolRequestParams
    arrived: float
    """Monotonic time, in seconds, at which the request arrived."""
