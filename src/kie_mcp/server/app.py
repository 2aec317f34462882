"""One server: its settings, its parts, opened when the first call needs them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup
from mcp.server.context import ServerRequestContext

from kie_mcp.clock import Clock
from kie_mcp.errors import KieMcpError
from kie_mcp.server.selection import Selection

if TYPE_CHECKING:
    import httpx2

    from kie_mcp.config import Settings
    from kie_mcp.kie.discovery import Discovery
    from kie_mcp.tasks.runner import Runner
    from kie_mcp.tasks.watcher import Change


RESUME_AFTER = 1.0
"""Seconds after start: the ledger's library takes 0.2 s to import, and the client is waiting for the handshake."""


class App:
    """What the tools and resources of one server work with."""

    def __init__(
        self,
        settings: "Settings | None" = None,
        *,
        selection: Selection | None = None,
        local_files: bool = True,
        transport: "httpx2.AsyncBaseTransport | None" = None,
        clock: Clock | None = None,
    ) -> None:
        """Remember how to open the parts.

        Args:
            settings: How to run; read from the environment when left out.
            selection: The tools to show; what the given settings say when left out.
            local_files: Whether the caller sits at this machine, so that paths mean its files.
            transport: How to reach KIE; the network when left out.
            clock: Time.
        """
        self.clock = clock or Clock()
        self.selection = selection or Selection(settings.tools if settings else "")
        self._settings = settings
        self._local_files = local_files
        self._transport = transport
        self._opening = anyio.Lock()
        self._runner: Runner | None = None
        self._stack = AsyncExitStack()
        self._on_change: Change | None = None
        self._group: TaskGroup
        self._live: Discovery

    @property
    def settings(self) -> "Settings":
        """The settings.

        Raises:
            ConfigurationError: When the environment is wrong.
        """
        if self._settings is None:
            from kie_mcp import config

            self._settings = config.load()
        return self._settings

    @asynccontextmanager
    async def run(self, on_change: "Change | None" = None) -> AsyncIterator["App"]:
        """Keep tasks running, and let go of everything at the end.

        Args:
            on_change: Told of each task whose new state is on disk; must neither fail nor wait for anybody.
        """
        self._on_change = on_change
        async with self._stack, anyio.create_task_group() as self._group:
            self._group.start_soon(self._resume)
            try:
                yield self
            finally:
                self._group.cancel_scope.cancel()

    async def runner(self) -> "Runner":
        """What runs tasks, opened at the first call.

        Raises:
            ConfigurationError: When the key is missing, or the ledger cannot be opened.
        """
        async with self._opening:
            if self._runner is None:
                self._runner = await self._open()
        return self._runner

    async def live(self) -> "Discovery":
        """What KIE offers today.

        Raises:
            ConfigurationError: As `runner()`.
        """
        await self.runner()
        return self._live

    async def _open(self) -> "Runner":
        from kie_mcp.kie.client import KieClient
        from kie_mcp.kie.discovery import Discovery
        from kie_mcp.ledger.ledger import Ledger
        from kie_mcp.tasks.downloads import Downloader
        from kie_mcp.tasks.money import Caps, Rules
        from kie_mcp.tasks.runner import Runner
        from kie_mcp.tasks.uploads import Uploader

        settings = self.settings
        client = KieClient(
            settings.key,
            base_url=settings.base_url,
            upload_url=settings.upload_url,
            service=settings.route == "service",
            transport=self._transport or (_sandbox(settings) if settings.sandbox else None),
            clock=self.clock,
        )
        await self._stack.enter_async_context(client)
        ledger = await Ledger.open(settings.state_dir)
        self._stack.push_async_callback(ledger.close)
        self._live = Discovery(client, settings.state_dir / "live", clock=self.clock)
        readable = settings.readable if self._local_files else ()
        runner = Runner(
            client,
            ledger,
            Uploader(client, ledger, readable=readable, clock=self.clock),
            Downloader(client, settings.output_dir, guarded=not settings.sandbox) if settings.save else None,
            self._group,
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
        self._stack.push_async_callback(runner.leave)
        await runner.resume()
        return runner

    async def _resume(self) -> None:
        await self.clock.sleep(RESUME_AFTER)
        try:
            await self.runner()
        except KieMcpError:
            # Every call says so; there may be none.
            return


def _sandbox(settings: "Settings") -> "httpx2.AsyncBaseTransport":
    import httpx2

    from kie_mcp.sandbox.app import Sandbox

    return httpx2.ASGITransport(app=Sandbox(seconds=settings.sandbox_seconds).app)


Context = ServerRequestContext[App, Any]
"""What a handler is given with a request; `lifespan_context` is the app."""
