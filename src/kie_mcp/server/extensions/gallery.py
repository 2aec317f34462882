"""The gallery (MCP Apps): an HTML page that shows tasks as cards inside the chat.

In tools/list, each tool whose result the page can show has the URI of the page. To read a task, the page calls the tool
`gallery_task`.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mcp.server.apps import APP_MIME_TYPE, Apps, ResourceCsp, client_supports_apps
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp_types import (
    CallToolResult,
    ListResourcesResult,
    ListToolsResult,
    ReadResourceResult,
    Resource,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from kie_mcp.errors import ConfigurationError, InvalidCall
from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from mcp.server.mcpserver.resources import Resource as Page

URI = "ui://kie/gallery.html"
MEDIA_HOSTS = ("https://tempfile.aiquickdraw.com", "https://file.aiquickdraw.com")
"""Web hosts of KIE from which the page may load the results of tasks, for the page's Content-Security-Policy.

The page's script checks the same list, because not every MCP host applies the policy.
"""

SHOWN_TOOLS = frozenset(
    {
        *("get_task", "list_tasks", "resolve_task", "run_model", "compare_models", "make_batch", "edit_media"),
        *("library", "get_credits", "spend_report"),
    }
)
"""Names of the utilities (tools that belong to no family of models) whose results the gallery can show."""

SESSION_PREFIX = "shows-pages-"
"""Beginning of the HTTP session id of a client that declared MCP Apps in `initialize`; see `CapabilitySession`."""

MAX_PREVIEWS = 4
"""Maximum number of previews (small pictures of results) in one answer of `gallery_task`."""

PARTS = re.compile(r"/\* ([\w.]+) \*/\n")
"""Matches the placeholders for styles, scripts and values in the page's HTML; a placeholder names a file or a value."""

GALLERY_TASK = Tool(
    name="gallery_task",
    description="How a task is, for the gallery; preview names the files to send along, small; 0 is what was edited.",
    input_schema={
        "type": "object",
        "properties": {
            "task_id": {"type": "string"},
            "preview": {"type": "array", "items": {"type": "integer"}, "maxItems": MAX_PREVIEWS},
            "view": {"type": "string"},
            "here": {"type": "boolean"},
        },
        "required": ["task_id"],
    },
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=True),
    _meta={"ui": {"visibility": ["app"]}},
)


def client_shows_gallery(context: Context) -> bool:
    """Return whether the client that sent this request can show the gallery."""
    if context.session.client_capabilities is None and context.request:
        return str(context.request.headers.get(MCP_SESSION_ID_HEADER, "")).startswith(SESSION_PREFIX)
    return client_supports_apps(context)


def declares_gallery(capabilities: Mapping[str, Any]) -> bool:
    """Return whether a client that declared these capabilities in `initialize` shows HTML pages."""
    match capabilities:
        case {"extensions": {Apps.identifier: {"mimeTypes": [*types]}}}:
            return APP_MIME_TYPE in types
    return False


def build_page(media_hosts: Sequence[str] = MEDIA_HOSTS) -> str:
    """Build the HTML page as one file that contains its styles and scripts.

    Args:
        media_hosts: The web hosts from which the page may load the results of tasks.
    """

    def read(found: re.Match[str]) -> str:
        if found[1] == "mediaHosts":
            return f"const mediaHosts = {json.dumps([urlsplit(each).netloc for each in media_hosts])};\n"
        folder = "kie_mcp.page_parts" if found[1].startswith("parts.") else "kie_mcp.server.extensions"
        place = found[1] if found[1].startswith("parts.") else f"card/{found[1]}"
        return files(folder).joinpath(place).read_text(encoding="utf-8")

    return PARTS.sub(read, files("kie_mcp.server.extensions").joinpath("card/page.html").read_text(encoding="utf-8"))


@cache
def load_page(bucket: str = "") -> "Page":
    """Load the HTML page as an MCP resource, together with its display settings, such as the allowed web hosts.

    Args:
        bucket: The web host of the bucket that has the results; empty if the results are in a folder.
    """
    media_hosts = [*MEDIA_HOSTS, *filter(None, [bucket])]
    apps = Apps()
    apps.add_html_resource(
        URI,
        build_page(media_hosts),
        name="Gallery",
        description="Shows a task while it runs, and what it made.",
        csp=ResourceCsp(resource_domains=media_hosts),
        prefers_border=True,
    )
    (binding,) = apps.resources()
    return binding.resource


def add_gallery_to_tools(listed: ListToolsResult, utilities: Collection[str]) -> ListToolsResult:
    """Return the answer to tools/list for a client that can show the gallery.

    The answer contains the tools in `listed` and the tool `gallery_task`. The metadata of each tool whose result the
    gallery can show contains the URI of the gallery's page, so that the client shows the result on this page.

    Args:
        listed: The answer for clients that cannot show the gallery.
        utilities: Names of the tools that belong to no family of models, such as `get_task`.
    """
    tools = [
        tool.model_copy(update={"meta": {**(tool.meta or {}), "ui": {"resourceUri": URI}}})
        if tool.name in SHOWN_TOOLS or tool.name not in utilities
        else tool
        for tool in listed.tools
    ]
    return listed.model_copy(update={"tools": [*tools, GALLERY_TASK]})


async def add_page_to_resources(app: App, listed: ListResourcesResult) -> ListResourcesResult:
    """Return the answer to resources/list for a client that can show the gallery, with the gallery's page added.

    The argument `listed` is the answer for clients that cannot show the gallery.
    """
    page = load_page(_find_bucket(app))
    entry = Resource(uri=URI, name=page.name, description=page.description, mime_type=page.mime_type, _meta=page.meta)
    return listed.model_copy(update={"resources": [*listed.resources, entry]})


async def read_page(app: App) -> ReadResourceResult:
    """Return the answer to resources/read for the gallery's page."""
    page = load_page(_find_bucket(app))
    content = await page.read()
    if not isinstance(content, str):
        raise TypeError(type(content))
    return ReadResourceResult(
        contents=[TextResourceContents(uri=URI, mime_type=page.mime_type, text=content, _meta=page.meta)]
    )


def _find_bucket(app: App) -> str:
    """Return the web host of the bucket with the results; empty if there is no bucket, or its settings are wrong."""
    with suppress(ConfigurationError):
        if app.settings.storage:
            return app.storage.find_host()
    return ""


async def call_gallery_task(app: App, arguments: Mapping[str, Any]) -> CallToolResult:
    """Return the result of a call of `gallery_task`: a task, extra facts for its card, and the requested previews.

    Raises:
        KieMcpError: When the arguments are wrong, or no task has the given id.
    """
    from kie_mcp.catalog.arguments import read_arguments
    from kie_mcp.server import answers
    from kie_mcp.server.extensions import card_facts

    given = read_arguments(arguments, GALLERY_TASK.input_schema)
    id_, numbers, view = given.get("task_id"), given.get("preview") or [], given.get("view", "")
    if not isinstance(id_, str) or not isinstance(numbers, list) or len(numbers) > MAX_PREVIEWS:
        raise InvalidCall(f"{GALLERY_TASK.name} takes a task_id, and in preview at most {MAX_PREVIEWS} numbers.")
    runner = await app.runner()
    task = await runner.get(id_)
    if task.state == "succeeded" and not task.saved:
        # The files may still be downloading, so the call waits up to 10 seconds for them.
        (task,) = await runner.wait([task], 10)
    now = app.clock.time()
    usual = (await runner.estimate_duration(task)).seconds
    find_link = await runner.storage.sign_links(task.results)
    answer = answers.describe_task(task, now=now, usual=usual, find_link=find_link, is_remote=not app.local_files)
    answer |= await card_facts.describe_card(runner, task)
    if numbers:
        answer["previews"] = await card_facts.render_previews(runner, task, numbers)
    elif isinstance(view, str) and not card_facts.find_views(app).claim(
        task.id, view, now, here=given.get("here", False)
    ):
        answer["shown_elsewhere"] = True
    return answers.build_result(answer, answers.format_task(answer, is_remote=not app.local_files))
