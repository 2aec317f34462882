"""The gallery (MCP Apps): an HTML page that shows a task inside the chat.

Tools whose answer is a task name the page, and the page calls the tool `gallery_task`.
"""

import base64
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
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

    from kie_mcp.ledger.task import Task

URI = "ui://kie/gallery.html"
MEDIA_HOSTS = ["https://tempfile.aiquickdraw.com", "https://file.aiquickdraw.com"]
"""Hosts from which the page may load KIE's result files (Content-Security-Policy)."""

TASK_TOOLS = frozenset({"get_task", "run_model"})
"""Names of the utilities whose answer is a task, which the gallery can show."""

SESSION_PREFIX = "shows-pages-"
"""Prefix of the session id of each HTTP client that declared MCP Apps in `initialize`; see `CapabilitySession`."""

MAX_PREVIEWS = 4
"""Maximum number of previews in one answer."""
MAX_PREVIEW_BYTES = 44_000
"""Maximum bytes of a preview; a data URI is a third longer, which keeps it below 60 kB."""
PREVIEW_SIDE_PX = 640
"""Maximum pixels of a preview's longer side."""

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
    """Return whether the client that sent this request can show the gallery."""
    if context.session.client_capabilities is None and context.request:
        return str(context.request.headers.get(MCP_SESSION_ID_HEADER, "")).startswith(SESSION_PREFIX)
    return client_supports_apps(context)


def declares_gallery(body: bytes) -> bool:
    """Return whether a request's body is an `initialize` in which the client declares MCP Apps with HTML pages."""
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
    """Load the gallery's page, with the settings that tell the host how to show the page."""
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

    The answer also has the tool `gallery_task`, and each tool whose answer is a task names the gallery's page.

    Args:
        listed: The answer for clients that cannot show the gallery.
        utilities: Names of the tools that belong to no family of models.
    """
    tools = [
        tool.model_copy(update={"meta": {**(tool.meta or {}), "ui": {"resourceUri": URI}}})
        if tool.name in TASK_TOOLS or tool.name not in utilities
        else tool
        for tool in listed.tools
    ]
    return listed.model_copy(update={"tools": [*tools, GALLERY_TASK]})


def add_page_to_resources(listed: ListResourcesResult) -> ListResourcesResult:
    """Return the answer to resources/list, with the gallery's page added, for a client that can show the gallery."""
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
    """Answer a call of `gallery_task` with the task, its kind, its prompt and the requested previews.

    Raises:
        KieMcpError: When the arguments are wrong, or there is no such task.
    """
    from kie_mcp.catalog.arguments import read_arguments
    from kie_mcp.server import answers, formatting

    given = read_arguments(arguments, GALLERY_TASK.input_schema)
    id_, numbers = given.get("task_id"), given.get("preview") or []
    if not isinstance(id_, str) or not isinstance(numbers, list) or len(numbers) > MAX_PREVIEWS:
        raise InvalidCall(f"{GALLERY_TASK.name} takes a task_id, and in preview at most {MAX_PREVIEWS} numbers.")
    runner = await app.runner()
    task = await runner.get(id_)
    if task.state == "succeeded" and not task.saved:
        # The files may still be downloading, so wait up to 10 seconds for them.
        (task,) = await runner.wait([task], 10)
    answer = answers.describe_task(task, now=app.clock.time(), usual=(await runner.estimate_duration(task)).seconds)
    answer |= {"kind": task.kind, "prompt": formatting.to_one_line(task.prompt)[:300]}
    if numbers:
        answer["previews"] = await _previews(task, numbers)
    return answers.build_result(answer, answers.format_task(answer))


async def _previews(task: "Task", numbers: list[Any]) -> dict[str, str]:
    """Return previews of the requested files as data URIs, by file number.

    Files that are not saved, cannot be read or have no preview are left out.
    """
    previews = {}
    for number, result in enumerate(task.results, start=1):
        if number in numbers and result.path:
            with suppress(OSError, InvalidCall):
                content, mime_type = await _read_small(anyio.Path(result.path), result.mime_type)
                if content:
                    previews[str(number)] = f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
    return previews


async def _read_small(path: anyio.Path, mime_type: str) -> tuple[bytes, str]:
    """Return the content and the MIME type of a small file itself, or of a preview of a larger file.

    The content is empty when no preview can be made.

    Raises:
        OSError: When the file cannot be read.
        InvalidCall: When the file is broken.
    """
    from kie_mcp.media.preview import render_preview

    if 0 < (await path.stat()).st_size <= MAX_PREVIEW_BYTES:
        return await path.read_bytes(), mime_type
    picture = await render_preview(Path(path), max_bytes=MAX_PREVIEW_BYTES, max_side_px=PREVIEW_SIDE_PX)
    return picture.content, picture.mime_type
