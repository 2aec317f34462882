"""The gallery (MCP Apps): an HTML page that shows a task inside the chat.

In tools/list, each tool whose result is a task has the URI of this page. The page calls the tool `gallery_task`.
"""

import base64
import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
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

from kie_mcp.errors import InvalidCall
from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from mcp.server.mcpserver.resources import Resource as Page

    from kie_mcp.ledger.task import Result, Task
    from kie_mcp.tasks.storage import Storage

URI = "ui://kie/gallery.html"
MEDIA_HOSTS = ["https://tempfile.aiquickdraw.com", "https://file.aiquickdraw.com"]
"""Web hosts from which the page may load the results of tasks, for the page's Content-Security-Policy.

The page's script has the same list, because not every host applies the policy.
"""

TASK_TOOLS = frozenset({"get_task", "run_model"})
"""Names of the tools outside of all families whose result is a task; the gallery can show this task."""

SESSION_PREFIX = "shows-pages-"
"""Beginning of the HTTP session id of a client that declared MCP Apps in `initialize`; see `CapabilitySession`."""

MAX_PREVIEWS = 4
"""Maximum number of previews (small pictures of results) in one answer of `gallery_task`."""
MAX_PREVIEW_BYTES = 44_000
"""Maximum size of a preview in bytes; the data URI of such a preview is a third longer, but still below 60 kB."""
PREVIEW_SIDE_PX = 640
"""Maximum length of a preview's longer side, in pixels."""

GALLERY_TASK = Tool(
    name="gallery_task",
    description="How a task is, for the gallery; preview names the files to send along, small.",
    input_schema={
        "type": "object",
        "properties": {
            "task_id": {"type": "string"},
            "preview": {"type": "array", "items": {"type": "integer"}, "maxItems": MAX_PREVIEWS},
        },
        "required": ["task_id"],
    },
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=True),
    _meta={"ui": {"visibility": ["app"]}},
)


def client_shows_gallery(context: Context) -> bool:
    """Tell whether the client that sent this request can show the gallery."""
    if context.session.client_capabilities is None and context.request:
        return str(context.request.headers.get(MCP_SESSION_ID_HEADER, "")).startswith(SESSION_PREFIX)
    return client_supports_apps(context)


def declares_gallery(body: bytes) -> bool:
    """Tell whether the body of a request is an `initialize` in which the client says that it shows HTML pages."""
    with suppress(ValueError, RecursionError):
        match json.loads(body):
            case {
                "method": "initialize",
                "params": {"capabilities": {"extensions": {Apps.identifier: {"mimeTypes": [*types]}}}},
            }:
                return APP_MIME_TYPE in types
    return False


@cache
def load_page() -> "Page":
    """Load the HTML page as an MCP resource, together with its settings for hosts, such as the allowed web hosts."""
    apps = Apps()
    apps.add_html_resource(
        URI,
        files("kie_mcp.server.extensions").joinpath("gallery.html").read_text(encoding="utf-8"),
        name="Gallery",
        description="Shows a task while it runs, and what it made.",
        csp=ResourceCsp(resource_domains=MEDIA_HOSTS),
        prefers_border=True,
    )
    (binding,) = apps.resources()
    return binding.resource


def add_gallery_to_tools(listed: ListToolsResult, utilities: Collection[str]) -> ListToolsResult:
    """Return the answer to tools/list for a client that can show the gallery.

    In this answer, there is also the tool `gallery_task`, and each tool whose result is a task has the URI of the page.

    Args:
        listed: The answer for clients that cannot show the gallery.
        utilities: Names of the tools that belong to no family of models, such as `get_task`.
    """
    tools = [
        tool.model_copy(update={"meta": {**(tool.meta or {}), "ui": {"resourceUri": URI}}})
        if tool.name in TASK_TOOLS or tool.name not in utilities
        else tool
        for tool in listed.tools
    ]
    return listed.model_copy(update={"tools": [*tools, GALLERY_TASK]})


def add_page_to_resources(listed: ListResourcesResult) -> ListResourcesResult:
    """Return the answer to resources/list for a client that can show the gallery, with the gallery's page added.

    The argument `listed` is the answer for other clients.
    """
    entry = Resource(
        uri=URI,
        name=load_page().name,
        description=load_page().description,
        mime_type=load_page().mime_type,
        _meta=load_page().meta,
    )
    return listed.model_copy(update={"resources": [*listed.resources, entry]})


async def read_page() -> ReadResourceResult:
    """Return the answer to resources/read for the gallery's page."""
    content = await load_page().read()
    if not isinstance(content, str):
        raise TypeError(type(content))
    return ReadResourceResult(
        contents=[TextResourceContents(uri=URI, mime_type=load_page().mime_type, text=content, _meta=load_page().meta)]
    )


async def call_gallery_task(app: App, arguments: Mapping[str, Any]) -> CallToolResult:
    """Return the result of a call of `gallery_task`: a task, its kind, its prompt and the requested previews.

    Raises:
        KieMcpError: When the arguments are wrong, or no task has the given id.
    """
    from kie_mcp.catalog.arguments import read_arguments
    from kie_mcp.server import answers
    from kie_mcp.text import one_line

    given = read_arguments(arguments, GALLERY_TASK.input_schema)
    id_, numbers = given.get("task_id"), given.get("preview") or []
    if not isinstance(id_, str) or not isinstance(numbers, list) or len(numbers) > MAX_PREVIEWS:
        raise InvalidCall(f"{GALLERY_TASK.name} takes a task_id, and in preview at most {MAX_PREVIEWS} numbers.")
    runner = await app.runner()
    task = await runner.get(id_)
    if task.state == "succeeded" and not task.saved:
        # The files may still be downloading, so the call waits up to 10 seconds for them.
        (task,) = await runner.wait([task], 10)
    usual = (await runner.estimate_duration(task)).seconds
    answer = answers.describe_task(task, now=app.clock.time(), usual=usual, find_link=runner.storage.find_link)
    answer |= {"kind": task.kind, "prompt": one_line(task.prompt)[:300]}
    if numbers:
        answer["previews"] = await _previews(runner.storage, task, numbers)
    return answers.build_result(answer, answers.format_task(answer))


async def _previews(storage: "Storage", task: "Task", numbers: list[Any]) -> dict[str, str]:
    """Return, for the number of each requested result, a preview of its file as a data URI.

    A file that is not saved, cannot be read or has no preview is left out.
    """
    previews = {}
    for number, result in enumerate(task.results, start=1):
        if number in numbers and result.path:
            with suppress(OSError, InvalidCall):
                content, mime_type = await _read_small(storage, result)
                if content:
                    previews[str(number)] = f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
    return previews


async def _read_small(storage: "Storage", result: "Result") -> tuple[bytes, str]:
    """Return the content and the MIME type of a saved file if it is small, or of a preview if the file is larger.

    The content is empty if no preview can be made.

    Raises:
        OSError: When the file cannot be read.
        InvalidCall: When the file is broken, or not the saved one any more.
    """
    from kie_mcp.media.preview import render_preview

    with await anyio.to_thread.run_sync(storage.open, result) as file:
        if 0 < os.fstat(file.fileno()).st_size <= MAX_PREVIEW_BYTES:
            return file.read(), result.mime_type
        path = Path(result.path)
        picture = await render_preview(file, path, max_bytes=MAX_PREVIEW_BYTES, max_side_px=PREVIEW_SIDE_PX)
    return picture.content, picture.mime_type
