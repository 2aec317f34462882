"""The parts of one running server: settings, runner and KIE's list of models, opened at the first call."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from anyio.abc import TaskGroup
from mcp.server.context import ServerRequestContext
from mcp_types import CallToolRequestParams

from kie_mcp.clock import Clock
from kie_mcp.errors import KieMcpError
from kie_mcp.server.selection import Selection

if TYPE_CHECKING:
    import httpx2

    from kie_mcp.config import Settings
    from kie_mcp.kie.discovery import Discovery
    from kie_mcp.tasks.runner import Runner
    from kie_mcp.tasks.watcher import Change


RESUME_DELAY_SECONDS = 1.0
"""Seconds between the start and resuming tasks: SQLAlchemy takes 0.2 s to import, and the handshake comes first."""


class App:
    """The parts of one running server, which its tools and resources use."""

    def __init__(
        self,
        settings: "Settings | None" = None,
        *,
        selection: Selection | None = None,
        local_files: bool = True,
        transport: "httpx2.AsyncBaseTransport | None" = None,
        clock: Clock | None = None,
    ) -> None:
        """Store what is needed to open the parts; nothing is opened or imported yet.

        Args:
            settings: The settings; read from the environment when left out.
            selection: The tools to show; those of the given settings when left out.
            local_files: Whether callers run on this machine, so that local paths mean their files.
            transport: The HTTP transport to KIE; the network when left out.
            clock: The source of time.
        """
        self.clock = clock or Clock()
        self.selection = selection or Selection(settings.tools if settings else "")
        self._settings = settings
        self._local_files = local_files
        self._transport = transport
        self._open_lock = anyio.Lock()
        self._runner: Runner | None = None
        self._stack = AsyncExitStack()
        self._on_change: Change | None = None
        self._task_group: TaskGroup
        self._discovery: Discovery

    @property
    def settings(self) -> "Settings":
        """The settings, read from the environment at first use unless they were given.

        Raises:
            ConfigurationError: When the environment is wrong.
        """
        if self._settings is None:
            from kie_mcp import config

            self._settings = config.load()
        return self._settings

    @asynccontextmanager
    async def run(self, on_change: "Change | None" = None) -> AsyncIterator["App"]:
        """Run background work, such as watching tasks, until the context ends; then close all parts.

        Args:
            on_change: Called with each task whose new state has been written to the ledger; must neither raise nor
                wait for a client.
        """
        self._on_change = on_change
        async with self._stack, anyio.create_task_group() as self._task_group:
            self._task_group.start_soon(self._resume)
            try:
                yield self
            finally:
                self._task_group.cancel_scope.cancel()

    async def runner(self) -> "Runner":
        """Return the runner of tasks; the first call opens it with the ledger and the client.

        Raises:
            ConfigurationError: When the key is missing, or the ledger cannot be opened.
        """
        async with self._open_lock:
            if self._runner is None:
                self._runner = await self._open()
        return self._runner

    async def discovery(self) -> "Discovery":
        """Return the access to KIE's list of models and their schemas.

        Raises:
            ConfigurationError: As `runner()`.
        """
        await self.runner()
        return self._discovery

    async def _open(self) -> "Runner":
        from kie_mcp.kie.client import KieClient
        from kie_mcp.kie.discovery import Discovery
        from kie_mcp.ledger.ledger import Ledger
        from kie_mcp.tasks.create_limiter import LedgerCreateLimiter
        from kie_mcp.tasks.downloads import Downloader
        from kie_mcp.tasks.money import Caps, Rules
        from kie_mcp.tasks.runner import Runner
        from kie_mcp.tasks.uploads import Uploader

        settings = self.settings
        # Without a key nothing is opened.
        key = settings.key
        ledger = await Ledger.open(settings.state_dir)
        self._stack.push_async_callback(ledger.close)
        client = KieClient(
            key,
            base_url=settings.base_url,
            upload_url=settings.upload_url,
            service=settings.route == "service",
            transport=self._transport or (_sandbox_transport(settings) if settings.sandbox else None),
            clock=self.clock,
            create_limiter=LedgerCreateLimiter(ledger, self.clock),
        )
        await self._stack.enter_async_context(client)
        self._discovery = Discovery(client, settings.state_dir / "live", clock=self.clock)
        readable = settings.readable_dirs if self._local_files else ()
        runner = Runner(
            client,
            ledger,
            Uploader(client, ledger, readable=readable, clock=self.clock),
            Downloader(client, settings.output_dir, guarded=not settings.sandbox) if settings.save else None,
            self._task_group,
            rules=Rules(
                Caps(settings.max_credits_per_task, settings.max_credits_per_day, settings.max_credits_per_session),
                settings.confirm_above,
                settings.repeat_window,
            ),
            callback_url=settings.callback_url,
            usual_seconds=settings.sandbox_seconds if settings.sandbox else None,
            on_change=self._on_change,
            clock=self.clock,
        )
        self._stack.push_async_callback(runner.release_lease)
        await runner.resume()
        return runner

    async def _resume(self) -> None:
        await self.clock.sleep(RESUME_DELAY_SECONDS)
        try:
            await self.runner()
        except KieMcpError:
            # Each call answers with this error; here nobody would read it.
            return


def _sandbox_transport(settings: "Settings") -> "httpx2.AsyncBaseTransport":
    import httpx2

    from kie_mcp.sandbox.app import Sandbox

    return httpx2.ASGITransport(app=Sandbox(seconds=settings.sandbox_seconds).app)


Context = ServerRequestContext[App, Any]
"""The context of one MCP request; its `lifespan_context` is the app."""


class ToolCall(NamedTuple):
    """One tools/call request."""

    context: Context
    params: CallToolRequestParams
