"""Handlers of MCP resources: they list `kie://` URIs, and return the file or JSON object with such a URI."""

from base64 import b64encode
from typing import TYPE_CHECKING, Any
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

from kie_mcp.deadline import use_deadline
from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App, Context
from kie_mcp.server.extensions import gallery
from kie_mcp.server.time_limits import find_deadline
from kie_mcp.text import shorten, write_json

if TYPE_CHECKING:
    from kie_mcp.ledger.task import Result
    from kie_mcp.tasks.storage import Storage

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
MAX_FILE_BYTES = 4_000_000
"""Maximum size in bytes of a file that resources/read returns."""


async def list_resources(context: Context, _: PaginatedRequestParams | None) -> ListResourcesResult:
    """Answer resources/list; the HTML page of the gallery is listed only for clients that can show HTML pages."""
    listed = ListResourcesResult(
        resources=[
            Resource(uri=uri, name=name, description=description, mime_type=JSON)
            for uri, name, description in RESOURCES
        ]
    )
    if not gallery.client_shows_gallery(context):
        return listed
    return await gallery.add_page_to_resources(context.lifespan_context, listed)


async def list_resource_templates(_: Context, __: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
    """Answer resources/templates/list with all templates, such as `kie://tasks/{id}`."""
    return ListResourceTemplatesResult(
        resource_templates=[
            ResourceTemplate(uri_template=uri, name=name, description=description, mime_type=mime_type)
            for uri, name, description, mime_type in TEMPLATES
        ]
    )


async def read_resource(context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    """Answer resources/read with the file or the JSON object that has the requested URI."""
    uri, app = str(params.uri), context.lifespan_context
    if uri == gallery.URI:
        return await gallery.read_page(app)
    try:
        with use_deadline(find_deadline(context, app.clock.monotonic())):
            content = await _read_content(app, uri)
    except KieMcpError as error:
        raise MCPError(INVALID_PARAMS, f"{error} {error.next_step}".strip(), {"uri": uri}) from None
    if content is None:
        raise MCPError(INVALID_PARAMS, f"There is nothing at {shorten(uri, 100)}.", {"uri": uri})
    if isinstance(content, BlobResourceContents):
        return ReadResourceResult(contents=[content])
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=JSON, text=write_json(content))])


async def _read_content(app: App, uri: str) -> Any:
    """Return the file or the JSON object that has this URI; None if the URI has no content."""
    scheme, _, rest = uri.partition("://")
    # The URI is decoded, because a client that puts a model id into a URI template encodes the slash in the id as %2F.
    what, _, id_ = unquote(rest).partition("/")
    match what if scheme == "kie" else "":
        case "models":
            return await _read_models(app, id_)
        case "credits" if not id_:
            return await _read_credits(app)
        case "library" if not id_:
            return await _read_library(app)
        case "tasks" if "/" in id_:
            return await _read_file(app, uri, id_)
        case "tasks":
            return await _read_tasks(app, id_)
        case "uploads":
            return await _read_uploads(app, id_)
        case _:
            return None


async def _read_credits(app: App) -> Any:
    from kie_mcp.server.tools.credits import describe_balance

    return await describe_balance(app)


async def _read_models(app: App, id_: str) -> Any:
    from kie_mcp.catalog import search
    from kie_mcp.server import live_models

    if not id_:
        offered = await live_models.fetch_offered_models(app)
        built_in = [
            live_models.add_live_status(search.summarize_entry(each), live_models.read_live_status(each.model, offered))
            for each in search.find_models().entries
        ]
        return {"models": [*built_in, *live_models.list_live_only_models(offered)]}
    return await live_models.describe_model(app, id_)


async def _read_tasks(app: App, id_: str) -> Any:
    from kie_mcp.server import answers

    runner = await app.runner()
    tasks = [await runner.get(id_)] if id_ else await runner.ledger.page(limit=50)
    now = app.clock.time()
    find_link = await runner.storage.sign_links(result for task in tasks for result in task.results)
    # In a list of tasks, long text results are cut, because they would make the list too long.
    described = [
        answers.describe_task(
            task,
            now=now,
            usual=(await runner.estimate_duration(task)).seconds,
            find_link=find_link,
            is_remote=not app.local_files,
            whole=bool(id_),
        )
        | {"prompt": task.prompt}
        for task in tasks
    ]
    return described[0] if id_ else {"tasks": described}


async def _read_library(app: App) -> Any:
    from kie_mcp.server.tools import library

    runner = await app.runner()
    newest = await runner.ledger.page(states=("succeeded",), batches=False, limit=50)
    return {"made": await library.build_rows(runner.ledger, runner.storage, newest)}


async def _read_file(app: App, uri: str, place: str) -> BlobResourceContents | None:
    """Return a saved result file of a task.

    Args:
        app: The running server.
        uri: The URI of the resource; the answer contains it, too.
        place: The task's id and the file's number, as in `t_4f/media/1`.

    Returns:
        The file, or None if `place` does not look like `<task id>/media/<number>`.

    Raises:
        InvalidCall: When there is no such file, or the file cannot be read or is too large.
    """
    from kie_mcp.catalog.fields import parse_result_number
    from kie_mcp.server import answers
    from kie_mcp.server.saved_files import find_saved_result

    id_, _, last = place.partition("/media/")
    number = parse_result_number(last)
    if number is None:
        return None
    runner = await app.runner()
    task = await runner.get(id_)
    result = find_saved_result(app, task, number)
    there = (app.local_files and result.local_path) or (await runner.storage.sign_links([result]))(result)
    step = f"Open it at {there}." if there else answers.tell_upload(id_, number)
    content = await _read_small_file(runner.storage, result, step)
    return BlobResourceContents(uri=uri, mime_type=result.mime_type or None, blob=b64encode(content).decode())


async def _read_small_file(storage: "Storage", result: "Result", step: str) -> bytes:
    import anyio.to_thread

    from kie_mcp.media.stills import OPEN_LINK

    try:
        with await storage.open_in_thread(result) as file:
            content = await anyio.to_thread.run_sync(file.read, MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidCall(f"The saved file cannot be read: {error.strerror}.", OPEN_LINK) from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidCall(f"The file has more than {MAX_FILE_BYTES / 1e6:g} MB.", step)
    return content


async def _read_uploads(app: App, id_: str) -> Any:
    from dataclasses import asdict

    runner = await app.runner()
    uploads = [asdict(each) for each in await runner.ledger.uploads.live(app.clock.time(), id_=id_ or None)]
    if id_:
        return uploads[0] if uploads else None
    return {"uploads": uploads}
