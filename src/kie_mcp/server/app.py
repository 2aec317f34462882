"""One server: its settings, its parts, opened when the first call needs them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup
from mcp.server.apps import Apps
from mcp.server.lowlevel import Server

from kie_mcp import __version__
from kie_mcp.clock import Clock
from kie_mcp.errors import KieMcpError
from kie_mcp.server import completions, prompts, resources, tasks_extension, tools
from kie_mcp.server.subscriptions import Subscriptions

if TYPE_CHECKING:
    import httpx2

    from kie_mcp.config import Settings
    from kie_mcp.kie.discovery import Discovery
    from kie_mcp.tasks.runner import Runner

INSTRUCTIONS = """\
Make video, images, speech and music with KIE.ai's models. Each call that makes something costs the user's credits; \
each answer has a task_id.
Pictures, speech and lyrics usually come in the same answer. Video and music answer at once with status running: ask \
get_task (wait_seconds up to 50) until it has ended. Running is not failed: do not repeat the call.
File arguments take an https URL, a local path, a data URI, or task:<id>#<n>, the n-th result of an earlier task. \
Results are saved on the user's disk; say the path. view_media shows them to you.
find_models and describe_model show models, limits and prices; get_credits the balance. error.next_step says what to \
do.
Every tool that makes something also takes quote: true (tell the cost, send nothing), variation: 2 (the same call \
again is the same task; another number is another take), confirm (from an answer that asks for the user's word) and \
anyway (although the model fails often today). """

WITH_TOOLS = """\
Leave model out unless it matters: the default fits the arguments. Where an answer names a tool that is not listed, \
run_model runs its model."""

WITHOUT_TOOLS = """\
run_model makes everything: find a model, read its arguments, run it. Answers may name tools that are not listed: \
run_model runs their models."""

RESUME_AFTER = 1.0
"""Seconds after start: the ledger's library takes 0.2 s to import, and the client is waiting for the handshake."""


class App:
    """What the tools and resources of one server work with."""

    def __init__(
        self,
        settings: "Settings | None" = None,
        *,
        selection: tools.Selection | None = None,
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
        self.selection = selection or tools.Selection(settings.tools if settings else "")
        self.subscriptions = Subscriptions()
        self._settings = settings
        self._local_files = local_files
        self._transport = transport
        self._opening = anyio.Lock()
        self._runner: Runner | None = None
        self._stack = AsyncExitStack()
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
    async def run(self, _: object = None) -> AsyncIterator["App"]:
        """Keep tasks running, and let go of everything at the end."""
        async with self._stack, anyio.create_task_group() as self._group:
            self._group.start_soon(self._resume)
            self._group.start_soon(self.subscriptions.run, self)
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
            on_change=self.subscriptions.task_changed,
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


def build(app: App, *, sessions: bool = True) -> Server[Any]:
    """The MCP server over an app.

    Args:
        app: What it serves.
        sessions: Whether a client keeps a connection of its own, on which it can be told of changes unasked.
    """
    server = Server(
        "kie-mcp",
        version=__version__,
        title="KIE.ai",
        description="Video, images, speech and music with KIE.ai's models.",
        instructions=INSTRUCTIONS + (WITHOUT_TOOLS if app.selection.only_utilities else WITH_TOOLS),
        lifespan=app.run,
        on_list_tools=tools.list_tools,
        on_call_tool=tools.call_tool,
        on_list_resources=resources.list_resources,
        on_list_resource_templates=resources.list_templates,
        on_read_resource=resources.read,
        on_subscribe_resource=app.subscriptions.subscribe if sessions else None,
        on_unsubscribe_resource=app.subscriptions.unsubscribe if sessions else None,
        on_subscriptions_listen=app.subscriptions.listen,
        on_list_prompts=prompts.list_prompts,
        on_get_prompt=prompts.get,
        on_completion=completions.complete,
    )
    tasks_extension.mount(server, tasks_extension.TasksExtension())
    server.extensions[Apps.identifier] = Apps().settings()
    return server
