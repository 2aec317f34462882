"""The web application of the library page: the page, its data (only with a token or login), and signed links to files.

The handlers in this module answer GET requests and change nothing. `changes.py` has the handlers that change something.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.marks import FAVOURITE, TAG, TRASHED
from kie_mcp.ledger.task import Result, Task
from kie_mcp.library_page import descriptions
from kie_mcp.library_page.archive import write_archive
from kie_mcp.library_page.changes import Changes, OwnPageOnly, describe_marks
from kie_mcp.library_page.descriptions import PREFIX
from kie_mcp.library_page.lineage import trace_lineage
from kie_mcp.library_page.opened_file import OpenedFile
from kie_mcp.library_page.signed_links import SignedLinks
from kie_mcp.library_page.thumbnails import Thumbnails
from kie_mcp.media.preview import MAX_FILES
from kie_mcp.server.contact_sheets import render_results
from kie_mcp.server.middleware.bearer_token import BearerToken
from kie_mcp.server.preview_limits import PreviewLimits
from kie_mcp.server.tools.library import LIBRARY, find_made
from kie_mcp.server.tools.paging import format_cursor
from kie_mcp.tasks.batch import MODEL, Batch
from kie_mcp.tasks.failures import unexpected_error
from kie_mcp.tasks.storage import Storage

PAGE_SIZE = 60
"""Maximum number of tasks in one answer for the page's grid of tasks."""
MAX_BATCHES = 50
"""Maximum number of batches in the list of batches; the items of older batches are still in the grid."""
COVERS = 4
"""The list of batches shows the results of at most this number of items of each batch."""
MAX_SELECTED = 200
"""Maximum number of tasks that a user can select at once; the URL of a download contains the ids of all of them."""
SHEET = PreviewLimits(max_bytes=1_500_000, max_side_px=2400)

SHELL_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
}
DATA_HEADERS = {"cache-control": "no-store"}
FILE_HEADERS = {
    # With this policy, a file cannot run scripts and cannot reach the page, even if it is a harmful HTML file.
    "content-security-policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
    "cache-control": "private, max-age=3600",
}
COMMON_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

logger = logging.getLogger(__name__)

OpenLedger = Callable[[], Awaitable[Ledger]]
FindFolder = Callable[[], Path]
FindStorage = Callable[[], Storage]
Conceal = Callable[[Any], Any]


class LibraryPage:
    """The handlers of all requests of the page."""

    def __init__(
        self,
        open_ledger: OpenLedger,
        find_folder: FindFolder,
        find_storage: FindStorage,
        conceal: Conceal | None = None,
        *,
        links: SignedLinks | None = None,
        uploads: Sequence[BaseRoute] = (),
        account: str = "",
    ) -> None:
        """Store the arguments.

        Args:
            open_ledger: Returns the ledger; the first call opens it.
            find_folder: Returns the folder of the thumbnails.
            find_storage: Returns the storage of the results.
            conceal: Removes paths of this machine from a JSON value. None if only the user of this machine gets the
                page; this user may see everything and move files to the trash.
            links: Signs the links to files; None to create a new `SignedLinks` for this page.
            uploads: The route that takes the files which a user drops on the page.
            account: URL path of the account page of the user; empty if there is no such page.
        """
        self._changes = Changes(open_ledger, lambda: self._storage, has_trash=conceal is None)
        self._uploads = uploads
        self._account = account
        self._open_ledger = open_ledger
        self._find_folder = find_folder
        self._find_storage = find_storage
        self._conceal = conceal or (lambda value: value)
        self._links = links or SignedLinks()
        self._thumbnails: Thumbnails | None = None

    @cached_property
    def _storage(self) -> Storage:
        return self._find_storage()

    def build(self, token: str, lifespan: Lifespan[Starlette] | None = None) -> ASGIApp:
        """Build the application.

        Args:
            token: The bearer token that requests for data must contain; empty if these requests need no token.
            lifespan: Starlette's lifespan, which opens resources at the start and closes them at the end.
        """
        api: ASGIApp = Router(
            [
                Route("/items", self._list_items),
                Route("/batches", self._list_batches),
                Route("/months", self._list_months),
                Route("/tasks/{id}", self._show_task),
                Route("/selection", self._describe_selection),
                Route("/page", self._describe_page),
                *self._changes.build_routes(),
                *self._uploads,
            ]
        )
        api = OwnPageOnly(api)
        return Starlette(
            routes=[
                Route(PREFIX, _send_asset),
                Route(f"{PREFIX}/{{name}}", _send_asset),
                Mount(f"{PREFIX}/api", BearerToken(api, token) if token else api),
                Route(f"{PREFIX}/thumbnails/{{id}}/{{number:int}}", self._signed(self._send_thumbnail)),
                Route(f"{PREFIX}/files/{{id}}/{{number:int}}", self._signed(self._send_file)),
                Route(f"{PREFIX}/selected/sheet.jpg", self._signed(self._send_sheet)),
                Route(f"{PREFIX}/selected/kie-mcp.zip", self._signed(self._send_archive)),
            ],
            middleware=[Middleware(_CommonHeaders)],
            exception_handlers={
                KieMcpError: self._refuse,
                LedgerError: self._refuse,
                ClientDisconnect: _tell_broken_off,
            },
            lifespan=lifespan,
        )

    def _signed(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def check(request: Request) -> Response:
            if not self._links.is_signed(request.url.path, request.url.query):
                return PlainTextResponse("This link is not valid, or not any more: load the library again.", 403)
            return await handler(request)

        return check

    def _answer(self, answer: Any, status: int = 200) -> Response:
        return JSONResponse(self._conceal(answer), status, headers=DATA_HEADERS)

    async def _refuse(self, _: Request, error: Exception) -> Response:
        told = error if isinstance(error, KieMcpError) else unexpected_error(error, billed=False)
        status = 400 if isinstance(told, InvalidCall) else 503
        return self._answer({"error": str(told), "next_step": told.next_step}, status)

    async def _list_items(self, request: Request) -> Response:
        ledger, asked = await self._open_ledger(), dict(request.query_params)
        batch, tag, shown_only = asked.pop("batch", ""), asked.pop("tag", ""), asked.pop("only", "")
        if batch:
            found = await _find_items(ledger, await _get_task(ledger, batch))
        else:
            marked = [mark for mark in (shown_only, tag and f"{TAG}{tag}") if mark in (FAVOURITE, TRASHED) or tag]
            hidden = () if TRASHED in marked else (TRASHED,)
            found = await find_made(
                ledger, LIBRARY.check(asked), PAGE_SIZE + 1, marked=list(filter(None, marked)), unmarked=hidden
            )
        shown = found if batch else found[:PAGE_SIZE]
        answer: dict[str, Any] = {"items": await self._describe_items(ledger, shown)}
        if len(shown) < len(found):
            answer["next"] = format_cursor(shown[-1])
        return self._answer(answer)

    async def _describe_items(self, ledger: Ledger, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        marks = await ledger.marks.find([task.id for task in tasks])
        return [descriptions.describe_item(task, self._links) | describe_marks(marks[task.id]) for task in tasks]

    async def _describe_page(self, _: Request) -> Response:
        """Answer with all tags, the path of the account page, and whether the page has a trash and takes files."""
        tags = await (await self._open_ledger()).marks.list_tags()
        able = {"has_trash": self._changes.has_trash, "takes_files": bool(self._uploads)}
        return self._answer({"tags": tags, **able, "account": self._account})

    async def _list_batches(self, _: Request) -> Response:
        ledger = await self._open_ledger()
        rows = [each for each in await ledger.page(model=MODEL, limit=MAX_BATCHES) if _is_whole_batch(each)]
        described = []
        for task in rows:
            covers = await _find_items(ledger, task, COVERS)
            described.append(descriptions.describe_batch(task, self._links, covers))
        return self._answer({"batches": described})

    async def _list_months(self, _: Request) -> Response:
        spending = await (await self._open_ledger()).statistics.spending("day", 0)
        return self._answer({"months": descriptions.describe_months(spending)})

    async def _show_task(self, request: Request) -> Response:
        ledger = await self._open_ledger()
        task = await _get_task(ledger, request.path_params["id"])
        graph = await trace_lineage(ledger, task)
        items = await self._describe_items(ledger, list(graph.tasks.values()))
        lineage = {"steps": graph.steps, "edges": graph.edges, "items": items}
        return self._answer(descriptions.describe_whole(task, self._links) | {"lineage": lineage})

    async def _describe_selection(self, request: Request) -> Response:
        named = request.query_params.get("tasks", "")
        tasks = await self._find_selected(named)
        with_files = [(task, n) for task in tasks for n in range(1, len(task.results) + 1)]
        of_texts = [(task, None) for task in tasks if not task.results]
        answer: dict[str, Any] = {"text": descriptions.write_for_chat([*with_files, *of_texts])}
        if with_files:
            answer["zip"] = self._links.sign(f"{PREFIX}/selected/kie-mcp.zip", tasks=named)
            answer["sheet"] = self._links.sign(f"{PREFIX}/selected/sheet.jpg", tasks=named)
        answer["note"] = f"The sheet shows the first {MAX_FILES} files." if len(with_files) > MAX_FILES else ""
        return self._answer(answer)

    async def _send_thumbnail(self, request: Request) -> Response:
        self._thumbnails = self._thumbnails or Thumbnails(self._find_folder(), self._storage)
        content = await self._thumbnails.find((await self._find_result(request))[1])
        if not content:
            return PlainTextResponse("There is nothing to show.", 404)
        return Response(content, media_type="image/jpeg", headers=FILE_HEADERS)

    async def _send_file(self, request: Request) -> Response:
        _, result = await self._find_result(request)
        file = await self._storage.open_in_thread(result)
        is_shown = descriptions.find_kind(result) != "other" and "download" not in request.query_params
        name = quote(Path(result.path).name, safe="")
        disposition = f"{'inline' if is_shown else 'attachment'}; filename*=utf-8''{name}"
        media_type = result.mime_type if is_shown else "application/octet-stream"
        headers = {**FILE_HEADERS, "content-disposition": disposition}
        return OpenedFile(file, media_type, headers, request.headers.get("range", ""))

    async def _send_sheet(self, request: Request) -> Response:
        tasks = await self._find_selected(request.query_params["tasks"])
        labelled = ((each, task.id) for task in tasks for each in task.results)
        sheet = await render_results(self._storage, labelled, SHEET)
        if not sheet.content:
            return PlainTextResponse("None of these has a file that can be shown.", 404)
        return Response(sheet.content, media_type=sheet.mime_type, headers=FILE_HEADERS)

    async def _send_archive(self, request: Request) -> Response:
        tasks = await self._find_selected(request.query_params["tasks"])
        headers = {**DATA_HEADERS, "content-disposition": "attachment; filename=kie-mcp.zip"}
        # A HEAD request gets no content, so no file is read for it.
        archive = iter(()) if request.method == "HEAD" else write_archive(self._storage, tasks, self._conceal)
        return StreamingResponse(archive, media_type="application/zip", headers=headers)

    async def _find_selected(self, named: str) -> list[Task]:
        """Return the tasks whose ids are in a text, separated by commas."""
        ids = list(dict.fromkeys(filter(None, named.split(","))))
        if not 1 <= len(ids) <= MAX_SELECTED:
            raise InvalidCall(f"{len(ids)} things are selected.", f"Select 1 to {MAX_SELECTED}.")
        ledger = await self._open_ledger()
        return [await _get_task(ledger, id_) for id_ in ids]

    async def _find_result(self, request: Request) -> tuple[Task, Result]:
        task = await _get_task(await self._open_ledger(), request.path_params["id"])
        number = request.path_params["number"]
        if not 1 <= number <= len(task.results):
            raise InvalidCall(f"{task.id} has no file {number}.", "Load the library again.")
        return task, task.results[number - 1]


async def _get_task(ledger: Ledger, id_: str) -> Task:
    task = await ledger.find(id_)
    if not task:
        raise InvalidCall("There is no such task in the ledger.", "Load the library again.")
    return task


async def _find_items(ledger: Ledger, batch: Task, most: int | None = None) -> Sequence[Task]:
    """Return the tasks of those items of a batch that were started, in the order of the items."""
    if not _is_whole_batch(batch):
        raise InvalidCall(f"{batch.id} is no batch, or the ledger has it in part only.", "Load the library again.")
    ids = [item.task_id for item in Batch.read(batch).items if item.task_id]
    found = [await ledger.find(id_) for id_ in ids[:most]]
    return [each for each in found if each]


def _is_whole_batch(task: Task) -> bool:
    return task.is_batch and not task.is_broken


ASSETS = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
    "page.js": ("page.js", "text/javascript"),
    "grid.js": ("grid.js", "text/javascript"),
    "parts.css": ("parts.css", "text/css"),
    "parts.js": ("parts.js", "text/javascript"),
}
"""Files to send, with their MIME types, by the name that follows `PREFIX` in a request's path."""


async def _send_asset(request: Request) -> Response:
    """Send the page, its style or its script; these contain no data of the user, so they need no token."""
    name = request.path_params.get("name", "")
    if name not in ASSETS:
        return PlainTextResponse("There is nothing here.", 404)
    file, media_type = ASSETS[name]
    folder = "kie_mcp.page_parts" if file.startswith("parts.") else "kie_mcp.library_page"
    content = files(folder).joinpath(file).read_text(encoding="utf-8")
    return Response(content, media_type=media_type, headers=SHELL_HEADERS)


async def _tell_broken_off(_: Request, __: Exception) -> Response:
    return PlainTextResponse("The request did not arrive whole.", 400)


class LibraryBeside:
    """Passes requests for the library page to the page's application, and others to the server's application."""

    def __init__(self, app: ASGIApp, page: ASGIApp) -> None:
        self._app, self._page = app, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the page's application if its path begins with `PREFIX`, else to the server's."""
        is_page = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PREFIX}/")
        await (self._page if is_page else self._app)(scope, receive, send)


class _CommonHeaders:
    """ASGI middleware that adds `COMMON_HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                common = [(name.encode(), text.encode()) for name, text in COMMON_HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *common]}
            await send(message)

        await self._app(scope, receive, add)
