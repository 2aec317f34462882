"""What can be read at kie:// addresses."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import unquote

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App, Context
from kie_mcp.server.extensions import gallery

JSON = "application/json"
RESOURCES = (
    ("kie://credits", "Balance", "Credits on the account."),
    ("kie://library", "Library", "The latest 50 things made: files, prompts, credits, what they were made from."),
    ("kie://models", "Models", "Every model: id, tool, mode, credits."),
    ("kie://tasks", "Tasks", "The latest 50 tasks."),
    ("kie://uploads", "Uploads", "Files at KIE, and when they go."),
)
TEMPLATES = (
    ("kie://models/{id}", "Model", "Arguments, limits and price of a model.", JSON),
    ("kie://tasks/{id}", "Task", "How a task is and what it made.", JSON),
    ("kie://tasks/{id}/media/{n}", "File", "The n-th file that a task made, up to 4 MB.", None),
    ("kie://uploads/{id}", "Upload", "A file at KIE.", JSON),
)
LARGEST = 4_000_000
"""Bytes of a file that is handed over here."""


async def list_resources(context: Context, _: PaginatedRequestParams | None) -> ListResourcesResult:
    """Answer resources/list."""
    listed = ListResourcesResult(
        resources=[
            Resource(uri=uri, name=name, description=description, mime_type=JSON)
            for uri, name, description in RESOURCES
        ]
    )
    return gallery.with_page(listed) if gallery.can_show(context) else listed


async def list_templates(_: Context, __: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
    """Answer resources/templates/list."""
    return ListResourceTemplatesResult(
        resource_templates=[
            ResourceTemplate(uri_template=uri, name=name, description=description, mime_type=mime_type)
            for uri, name, description, mime_type in TEMPLATES
        ]
    )


async def read(context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    """Answer resources/read."""
    uri = str(params.uri)
    if uri == gallery.URI:
        return await gallery.read()
    try:
        content = await _content(context.lifespan_context, uri)
    except KieMcpError as error:
        raise MCPError(INVALID_PARAMS, f"{error} {error.next_step}".strip(), {"uri": uri}) from None
    if content is None:
        raise MCPError(INVALID_PARAMS, f"There is nothing at {uri}.", {"uri": uri})
    if isinstance(content, BlobResourceContents):
        return ReadResourceResult(contents=[content])
    text = json.dumps(content, ensure_ascii=False)
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=JSON, text=text)])


async def _content(app: App, uri: str) -> Any:
    scheme, _, rest = uri.partition("://")
    # A client that fills a template in writes the slash of an id as %2F.
    what, _, id_ = unquote(rest).partition("/")
    match what if scheme == "kie" else "":
        case "models":
            return await _models(app, id_)
        case "credits" if not id_:
            return {"credits": await (await app.runner()).client.credits()}
        case "library" if not id_:
            return await _library(app)
        case "tasks" if "/" in id_:
            return await _file(app, uri, id_)
        case "tasks":
            return await _tasks(app, id_)
        case "uploads":
            return await _uploads(app, id_)
        case _:
            return None


async def _models(app: App, id_: str) -> Any:
    from kie_mcp.catalog import search
    from kie_mcp.server import live_models

    if not id_:
        offered = await live_models.ask(app)
        ours = [
            live_models.marked(search.row(each), live_models.standing(each.model, offered)) for each in search.find()
        ]
        return {"models": [*ours, *live_models.strangers(offered)]}
    return await live_models.describe(app, id_)


async def _tasks(app: App, id_: str) -> Any:
    from kie_mcp.server import answers

    runner = await app.runner()
    tasks = [await runner.get(id_)] if id_ else await runner.ledger.page(limit=50)
    now = app.clock.time()
    # A list of them is long enough with texts that are cut.
    shown = [
        answers.task_answer(task, now=now, usual=(await runner.usual(task)).seconds, whole=bool(id_))
        | {"prompt": task.prompt}
        for task in tasks
    ]
    return shown[0] if id_ else {"tasks": shown}


async def _library(app: App) -> Any:
    from kie_mcp.server.tools import library

    ledger = (await app.runner()).ledger
    return {"made": await library.rows(ledger, await ledger.page(states=("succeeded",), limit=50))}


async def _file(app: App, uri: str, place: str) -> BlobResourceContents | None:
    import anyio

    from kie_mcp.media.stills import OPEN_LINK
    from kie_mcp.server.tools import view_media

    id_, media, number = place.partition("/media/")
    if not media or not number.isdecimal():
        return None
    task = await (await app.runner()).get(id_)
    path = view_media.saved(app, task, int(number))
    if not await anyio.Path(path).is_file():
        raise InvalidCall(f"{path} is no file, or not any more.", OPEN_LINK)
    try:
        async with await anyio.open_file(path, "rb") as file:
            content = await file.read(LARGEST + 1)
    except OSError as error:
        raise InvalidCall(f"{path} cannot be read: {error.strerror}.", OPEN_LINK) from None
    if len(content) > LARGEST:
        raise InvalidCall(f"The file has more than {LARGEST / 1e6:g} MB.", f"Open it at {path}.")
    mime_type = task.results[int(number) - 1].mime_type or None
    return BlobResourceContents(uri=uri, mime_type=mime_type, blob=b64encode(content).decode())


async def _uploads(app: App, id_: str) -> Any:
    from dataclasses import asdict

    runner = await app.runner()
    uploads = [asdict(each) for each in await runner.ledger.live_uploads(app.clock.time(), id_=id_ or None)]
    if id_:
        return uploads[0] if uploads else None
    return {"uploads": uploads}
