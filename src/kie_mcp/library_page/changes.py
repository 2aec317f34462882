"""Handle the requests that change something: they set marks of a task, such as tags, or move its files to the trash.

Each of these requests needs the page's bearer token or a login, and a header that a page of another origin cannot send.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.marks import FAVOURITE, TAG, TRASHED
from kie_mcp.ledger.task import Task
from kie_mcp.tasks import sidecar
from kie_mcp.tasks.storage import Storage
from kie_mcp.text import one_line

PAGE_HEADER = "x-kie-mcp-page"
"""Header without which a request may not change anything; browsers do not let pages of other origins send it."""
MAX_BYTES = 20_000
"""Largest size in bytes of a request body in this module."""
MAX_TAGS, LONGEST_TAG = 20, 40
"""Largest number of tags of one task, and largest number of characters of one tag."""


class Changes:
    """The handlers of all requests that change something."""

    def __init__(
        self, open_ledger: Callable[[], Awaitable[Ledger]], find_storage: Callable[[], Storage], *, has_trash: bool
    ) -> None:
        """Store the arguments.

        Args:
            open_ledger: Returns the ledger.
            find_storage: Returns the storage of the results.
            has_trash: Whether files may be moved to the trash; True only for the user of this machine.
        """
        self._open_ledger = open_ledger
        self._find_storage = find_storage
        self.has_trash = has_trash
        self._moving = anyio.Lock()

    def build_routes(self) -> list[BaseRoute]:
        """Return the routes, such as `/tasks/{id}/marks`; the page mounts them below the path of its API."""
        routes = [Route("/tasks/{id}/marks", self._mark, methods=["POST"])]
        if self.has_trash:
            routes.append(Route("/tasks/{id}/trash", self._trash, methods=["POST"]))
        return [*routes]

    async def _mark(self, request: Request) -> Response:
        """Set the marks that a request names: favourite and tags; remove the mark `trashed` if the request says so."""
        task, ledger = await self._find(request)
        given = await _read_object(request)
        if "favourite" in given:
            await ledger.marks.set(task.id, [FAVOURITE] if given["favourite"] is True else [], of=FAVOURITE)
        if "tags" in given:
            await ledger.marks.set(task.id, [f"{TAG}{tag}" for tag in _read_tags(given["tags"])], of=TAG)
        if given.get("trashed") is False:
            await ledger.marks.set(task.id, [], of=TRASHED)
        return await self._answer(task)

    async def _trash(self, request: Request) -> Response:
        """Move the files of a task to the trash; the task's row in the ledger stays."""
        task, ledger = await self._find(request)
        if not task.done or task.is_batch:
            raise InvalidCall(f"{task.id} cannot be deleted.", "Delete what has ended, and the items of a batch.")
        # The lock lets only one request at a time move files; otherwise, two requests could move the same files.
        async with self._moving:
            await anyio.to_thread.run_sync(_move_to_trash, self._find_storage(), task)
        await ledger.marks.set(task.id, [TRASHED], of=TRASHED)
        return await self._answer(task)

    async def _find(self, request: Request) -> tuple[Task, Ledger]:
        ledger = await self._open_ledger()
        task = await ledger.find(request.path_params["id"])
        if not task:
            raise InvalidCall("There is no such task in the ledger.", "Load the library again.")
        return task, ledger

    async def _answer(self, task: Task) -> Response:
        found = await (await self._open_ledger()).marks.find([task.id])
        return JSONResponse(describe_marks(found[task.id]), headers={"cache-control": "no-store"})


def describe_marks(marks: list[str]) -> dict[str, Any]:
    """Return a task's marks (favourite, trashed, tags) as a JSON object for the page."""
    tags = [mark.removeprefix(TAG) for mark in marks if mark.startswith(TAG)]
    return {"favourite": FAVOURITE in marks, "trashed": TRASHED in marks, "tags": tags}


class OwnPageOnly:
    """Refuses each request that may change something and does not come from the page itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with status 403 if another page may have sent the request; pass on every other request."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            headers = Request(scope).headers
            origin = headers.get("origin", "")
            is_own = not origin or urlsplit(origin).netloc == headers.get("host")
            if PAGE_HEADER not in headers or not is_own:
                await PlainTextResponse("Only the page itself may change something.", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _read_object(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise InvalidCall("That is too much.", "Give fewer tags.")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InvalidCall("This is no JSON object.", "Load the library again.")
    return given


def _read_tags(given: Any) -> list[str]:
    """Check the tags of a request, and return the tags to store: each on one line, without commas and duplicates.

    Raises:
        InvalidCall: When the tags are not texts, or there are too many, or one is too long.
    """
    tags = [tag for tag in given if isinstance(tag, str) and len(tag) <= LONGEST_TAG] if isinstance(given, list) else []
    if tags != given or len(tags) > MAX_TAGS:
        raise InvalidCall(
            "These are no tags.", f"Give at most {MAX_TAGS}, each of at most {LONGEST_TAG} characters, with commas."
        )
    cleaned = (one_line(tag.replace(",", " ")) for tag in tags)
    return list(dict.fromkeys(filter(None, cleaned)))


def _move_to_trash(storage: Storage, task: Task) -> None:
    """Move the saved files of a task to the trash, each with its sidecar; skip files that do not exist any more.

    Raises:
        InvalidCall: When a saved file was replaced by another file, a file is in a bucket, or there is no trash.
    """
    from send2trash import send2trash

    if any(result.is_in_bucket for result in task.results):
        raise InvalidCall(f"The files of {task.id} are in a bucket, which has no trash.", "Delete them there.")
    for result in task.results:
        path = Path(result.path)
        if not result.path or not path.exists():
            continue
        storage.open(result).close()
        beside = path.with_name(f"{path.name}.json")
        try:
            send2trash([path, beside] if sidecar.belongs_to(beside, task) else [path])
        except OSError as error:
            raise InvalidCall(
                f"{path} stays where it is, because it cannot be moved to the trash: {error.strerror or error}.",
                "Delete it yourself if this machine has no trash.",
            ) from None
