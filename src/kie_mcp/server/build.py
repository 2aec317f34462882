"""Build the MCP server from its handlers and extensions."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
from mcp.server.apps import Apps
from mcp.server.lowlevel import Server
from mcp_types import Icon, NotificationParams

from kie_mcp import __version__
from kie_mcp.server import resources, warm_up
from kie_mcp.server.app import App
from kie_mcp.server.extensions import tasks
from kie_mcp.server.extensions.subscriptions import Subscriptions
from kie_mcp.server.ledger_errors import explain_ledger_errors
from kie_mcp.server.path_filter import PathFilter
from kie_mcp.server.prefix import ToolPrefix
from kie_mcp.server.prompts import completions, prompts
from kie_mcp.server.tools import dispatcher

if TYPE_CHECKING:
    from kie_mcp.config import Settings
    from kie_mcp.server.accounts.tenants import Tenants

ICON = (
    "data:image/svg+xml;base64,"
    + b64encode(
        b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><rect width='8' height='8' rx='2' fill='#52f'/>"
        b"<path d='M3 2v4l3-2z' fill='#fff'/></svg>"
    ).decode()
)
"""The server's icon, a white triangle on blue. The icon's SVG is short, because the SDK sends it with each answer."""

INSTRUCTIONS = """\
Make video, images, speech and music with KIE.ai's models. Each call that makes something costs the user's credits; \
each answer has a task_id.
Pictures, speech and lyrics usually come in the same answer. Video and music answer at once with status running: ask \
get_task (with wait_seconds) until it has ended. Running is not failed: do not repeat the call.
{files} view_media shows them to you.
find_models and describe_model show models, limits and prices; get_credits the balance. error.next_step says what to \
do.
Every tool that makes something also takes quote: true (tell the cost, send nothing), variation: 2 (the same call \
again is the same task; another number is another take), confirm (from an answer that asks for the user's word) and \
anyway (although the model fails often today). """

FILES_HERE = (
    "File arguments take an https URL, a local path, a data URI, or task:<id>#<n>, the n-th result of an earlier task. "
    "Tell the user the path of each result, or, if it has none, its url, which does not work for ever."
)
"""This is true for all settings: on stdio, the instructions come from a file, before the settings are read."""
FILES_ELSEWHERE = (
    "File arguments take an https URL, a data URI, or task:<id>#<n>, the n-th result of an earlier task. "
    "Results are {saved}: give the user the url, which works for {time}."
)

WITH_TOOLS = """\
Leave model out unless it matters: the default fits the arguments. Where an answer names a tool that is not listed, \
run_model runs its model."""

WITHOUT_TOOLS = """\
run_model makes everything: find a model, read its arguments, run it. Answers may name tools that are not listed: \
run_model runs their models."""


def build_server(
    app: App, *, sessions: bool = True, tenants: "Tenants | None" = None, rehearses: bool = False
) -> Server[App]:
    """Build the MCP server from its handlers and extensions.

    Args:
        app: The parts that the handlers use, such as the settings and the runner of tasks.
        sessions: True if the server has a single lasting connection to a client, as on stdio; on such a connection, the
            server can send resources/updated notifications.
        tenants: The tenants of this server: each request gets the app of its caller's tenant. If None, all requests
            get `app`.
        rehearses: True to rehearse a paid call in the background, so that the first one is fast; nothing is sent to
            KIE. See `warm_up.open_early()`.
    """
    subscriptions = Subscriptions()

    @asynccontextmanager
    async def run(_: Server[App]) -> AsyncIterator[App]:
        if tenants:
            async with tenants.run(), anyio.create_task_group() as group:
                group.start_soon(warm_up.warm_up, app)
                yield app
            return
        async with app.run(on_change=subscriptions.task_changed), anyio.create_task_group() as group:
            group.start_soon(subscriptions.run, app)
            group.start_soon(partial(warm_up.open_early, app, rehearses=rehearses))
            yield app
            group.cancel_scope.cancel()

    server = Server(
        "kie-mcp",
        version=__version__,
        title="KIE.ai",
        description="Video, images, speech and music with KIE.ai's models.",
        website_url="https://kie.ai",
        icons=[Icon(src=ICON, mime_type="image/svg+xml", sizes=["any"])],
        instructions=INSTRUCTIONS.replace("{files}", FILES_HERE if app.local_files else _describe_files(app.settings))
        + (WITHOUT_TOOLS if app.selection.only_utilities else WITH_TOOLS),
        lifespan=run,
        on_list_tools=dispatcher.list_tools,
        on_call_tool=dispatcher.call_tool,
        on_list_resources=resources.list_resources,
        on_list_resource_templates=resources.list_resource_templates,
        on_read_resource=resources.read_resource,
        on_subscribe_resource=subscriptions.subscribe if sessions else None,
        on_unsubscribe_resource=subscriptions.unsubscribe if sessions else None,
        on_subscriptions_listen=(tenants or subscriptions).listen,
        on_list_prompts=prompts.list_prompts,
        on_get_prompt=prompts.get_prompt,
        on_completion=completions.complete,
        # Without this, the SDK would run tools/list before each call over HTTP, to compare the call's headers with it.
        get_tool_input_schema=app.selection.find_input_schema,
    )
    if tenants:
        from kie_mcp.server.accounts.app_of_caller import use_app_of_caller

        server.middleware.append(use_app_of_caller)
    if not app.local_files:
        server.middleware.append(PathFilter(app))
    server.middleware.append(explain_ledger_errors)
    server.add_notification_handler("notifications/roots/list_changed", NotificationParams, app.roots.forget)
    if app.selection.prefix:
        server.middleware.append(ToolPrefix(app.selection.prefix))
    tasks.add_extension(server, tasks.TasksExtension())
    server.extensions[Apps.identifier] = Apps().settings()
    return server


def _describe_files(settings: "Settings") -> str:
    """Return what callers on other machines have to know about files: how to give them, and where results are."""
    saved, time = "saved on the server's disk" if settings.save else "not saved", "14 days"
    if settings.save and settings.storage:
        saved, time = "in a bucket", f"at most {settings.link_hours:g} hours (get_task tells a new one)"
    return FILES_ELSEWHERE.format(saved=saved, time=time)
