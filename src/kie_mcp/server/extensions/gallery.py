"""The gallery (MCP Apps): an HTML page in the chat, the tools that show it, and the tool that the page calls."""

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
"""Hosts of KIE's result files, which the page may load (Content-Security-Policy)."""

TASK_TOOLS = frozenset({"get_task", "run_model"})
"""The utilities whose answer is a task, so that the gallery shows it."""

SESSION_PREFIX = "shows-pages-"
"""Prefix of the session id of an HTTP client that declared MCP Apps in `initialize`; see `CapabilitySession`."""

MAX_PREVIEWS = 4
"""Previews in one answer."""
MAX_PREVIEW_BYTES = 44_000
"""Bytes of a preview; as a data URI it is a third longer, which stays below 60 kB."""
PREVIEW_SIDE_PX = 640
"""Pixels of a preview's longer side, at most."""

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
    """Whether the client of this request can show the gallery."""
    if context.session.client_capabilities is None and context.request:
        return str(context.request.headers.get(MCP_SESSION_ID_HEADER, "")).startswith(SESSION_PREFIX)
    return client_supports_apps(context)


def declares_gallery(body: bytes) -> bool:
    """Whether a request's body is an `initialize` that declares MCP Apps with HTML pages."""
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
    """Load the page, with its requirements on the host."""
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
    """Return tools/list for a client that can show the gallery: with its tool, and its page on the others.

    Args:
        listed: The answer for other clients.
        utilities: Names of the tools that are no model's.
    """
    tools = [
        tool.model_copy(update={"meta": {**(tool.meta or {}), "ui": {"resourceUri": URI}}})
        if tool.name in TASK_TOOLS or tool.name not in utilities
        else tool
        for tool in listed.tools
    ]
    return listed.model_copy(update={"tools": [*tools, GALLERY_TASK]})


def add_page_to_resources(listed: ListResourcesResult) -> ListResourcesResult:
    """Return resources/list for a client that can show the gallery: with its page."""
    entry = Resource(
        uri=URI,
        name=load_page().name,
        description=load_page().description,
        mime_type=load_page().mime_type,
        _meta=load_page().meta,
    )
    return listed.model_copy(update={"resources": [*listed.resources, entry]})


async def read_page() -> ReadResourceResult:
    """Return the page as resources/read answers it."""
    content = await load_page().read()
    if not isinstance(content, str):
        raise TypeError(type(content))
    return ReadResourceResult(
        contents=[TextResourceContents(uri=URI, mime_type=load_page().mime_type, text=content, _meta=load_page().meta)]
    )


async def call_gallery_task(app: App, arguments: Mapping[str, Any]) -> CallToolResult:
    """Answer a call of `gallery_task`: the task, its kind and prompt, and previews.

    Raises:
        KieMcpError: When there is no such task.
    """
    from kie_mcp.catalog.arguments import coerce_arguments
    from kie_mcp.server import answers, formatting

    given = coerce_arguments(arguments, GALLERY_TASK.input_schema)
    id_, numbers = given.get("task_id"), given.get("preview") or []
    if not isinstance(id_, str) or not isinstance(numbers, list) or len(numbers) > MAX_PREVIEWS:
        raise InvalidCall(f"{GALLERY_TASK.name} takes a task_id, and in preview at most {MAX_PREVIEWS} numbers.")
    runner = await app.runner()
    task = await runner.get(id_)
    if task.state == "succeeded" and not task.saved:
        # The downloads are still running.
        (task,) = await runner.wait([task], 10)
    answer = answers.describe_task(task, now=app.clock.time(), usual=(await runner.estimate_duration(task)).seconds)
    answer |= {"kind": task.kind, "prompt": formatting.to_one_line(task.prompt)[:300]}
    if numbers:
        answer["previews"] = await _previews(task, numbers)
    return answers.build_result(answer, answers.format_task(answer))


async def _previews(task: "Task", numbers: list[Any]) -> dict[str, str]:
    """Return data URIs by number, for those of these numbered files of which there is a small preview."""
    previews = {}
    for number, result in enumerate(task.results, start=1):
        if number in numbers and result.path:
            with suppress(OSError, InvalidCall):
                content, mime_type = await _read_small(anyio.Path(result.path), result.mime_type)
                if content:
                    previews[str(number)] = f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
    return previews


async def _read_small(path: anyio.Path, mime_type: str) -> tuple[bytes, str]:
    """Return the file itself when it is small, else a preview; empty when there is no preview of it.

    Raises:
        OSError: When it cannot be read.
        InvalidCall: When it is broken.
    """
    from kie_mcp.media.preview import render_preview

    if 0 < (await path.stat()).st_size <= MAX_PREVIEW_BYTES:
        return await path.read_bytes(), mime_type
    picture = await render_preview(Path(path), max_bytes=MAX_PREVIEW_BYTES, max_side_px=PREVIEW_SIDE_PX)
    return picture.content, picture.mime_type
