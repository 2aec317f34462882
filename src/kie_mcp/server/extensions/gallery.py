"""A gallery in the chat (MCP Apps): its page, the tools that show it, and the tool that only the page calls."""

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
"""Where KIE keeps results."""

SHOWING = frozenset({"get_task", "run_model"})
"""Of the tools that are no model's, those whose answer is a task."""

SESSION = "shows-pages-"
"""How the session id of a client begins that can show the gallery, where nothing else tells."""

MOST = 4
"""Previews in one answer."""
BUDGET = 44_000
"""Bytes of a preview; as a data URI it is a third longer, and stays below 60 kB."""
SIDE_PX = 640

TOOL = Tool(
    name="gallery_task",
    description="How a task is, for the gallery; preview names the files to send along, small.",
    input_schema={
        "type": "object",
        "properties": {
            "task_id": {"type": "string"},
            "preview": {"type": "array", "items": {"type": "integer"}, "maxItems": MOST},
        },
        "required": ["task_id"],
    },
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=True),
    _meta={"ui": {"visibility": ["app"]}},
)


def can_show(context: Context) -> bool:
    """Whether the client that asks can show the gallery."""
    if context.session.client_capabilities is None and context.request:
        return str(context.request.headers.get(MCP_SESSION_ID_HEADER, "")).startswith(SESSION)
    return client_supports_apps(context)


def introduces(body: bytes) -> bool:
    """Whether this is a client of the older era that introduces itself as one that can show the gallery."""
    with suppress(ValueError, RecursionError):
        match json.loads(body):
            case {
                "method": "initialize",
                "params": {"capabilities": {"extensions": {Apps.identifier: {"mimeTypes": [*types]}}}},
            }:
                return APP_MIME_TYPE in types
    return False


@cache
def page() -> "Page":
    """The page, with what it asks of a host."""
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


def with_gallery(listed: ListToolsResult, utilities: Collection[str]) -> ListToolsResult:
    """The tools for a host that can show the gallery.

    Args:
        listed: The tools for everybody else.
        utilities: The tools that are no model's.
    """
    tools = [
        tool.model_copy(update={"meta": {**(tool.meta or {}), "ui": {"resourceUri": URI}}})
        if tool.name in SHOWING or tool.name not in utilities
        else tool
        for tool in listed.tools
    ]
    return listed.model_copy(update={"tools": [*tools, TOOL]})


def with_page(listed: ListResourcesResult) -> ListResourcesResult:
    """The resources for a host that can show the gallery."""
    entry = Resource(
        uri=URI, name=page().name, description=page().description, mime_type=page().mime_type, _meta=page().meta
    )
    return listed.model_copy(update={"resources": [*listed.resources, entry]})


async def read() -> ReadResourceResult:
    """The page as resources/read gives it."""
    content = await page().read()
    if not isinstance(content, str):
        raise TypeError(type(content))
    return ReadResourceResult(
        contents=[TextResourceContents(uri=URI, mime_type=page().mime_type, text=content, _meta=page().meta)]
    )


async def show(app: App, arguments: Mapping[str, Any]) -> CallToolResult:
    """Answer the page: the task, what was asked for, and previews.

    Raises:
        KieMcpError: When there is no such task.
    """
    from kie_mcp.catalog.arguments import coerce_arguments
    from kie_mcp.server import answers

    given = coerce_arguments(arguments, TOOL.input_schema)
    id_, numbers = given.get("task_id"), given.get("preview") or []
    if not isinstance(id_, str) or not isinstance(numbers, list) or len(numbers) > MOST:
        raise InvalidCall(f"{TOOL.name} takes a task_id, and in preview at most {MOST} numbers.")
    runner = await app.runner()
    task = await runner.get(id_)
    if task.state == "succeeded" and not task.saved:
        # The files are on their way to the disk.
        (task,) = await runner.wait([task], 10)
    answer = answers.task_answer(task, now=app.clock.time(), usual=(await runner.usual(task)).seconds)
    answer |= {"kind": task.kind, "prompt": answers.one_line(task.prompt)[:300]}
    if numbers:
        answer["previews"] = await _previews(task, numbers)
    return answers.result(answer, answers.task_text(answer))


async def _previews(task: "Task", numbers: list[Any]) -> dict[str, str]:
    """A data URI for each of the task's files that has a number here and can be shown small."""
    previews = {}
    for number, made in enumerate(task.results, start=1):
        if number in numbers and made.path:
            with suppress(OSError, InvalidCall):
                content, mime_type = await _small(anyio.Path(made.path), made.mime_type)
                if content:
                    previews[str(number)] = f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
    return previews


async def _small(path: anyio.Path, mime_type: str) -> tuple[bytes, str]:
    """The file itself where it is small, else a picture of it; nothing where there is none.

    Raises:
        OSError: When it cannot be read.
        InvalidCall: When it is broken.
    """
    from kie_mcp.media.preview import picture

    if 0 < (await path.stat()).st_size <= BUDGET:
        return await path.read_bytes(), mime_type
    drawn = await picture(Path(path), budget=BUDGET, side=SIDE_PX)
    return drawn.content, drawn.mime_type
