"""KIE's routes, served from this process."""

import contextlib
import io
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from kie_mcp.kie.routes import DOCUMENTED, SERVICE
from kie_mcp.sandbox.answers import answer
from kie_mcp.sandbox.direct import asked_again, at_once
from kie_mcp.sandbox.discovery import Discovery
from kie_mcp.sandbox.faults import Faults, Handler, On, envelope, no_record
from kie_mcp.sandbox.files import MEDIA, UPLOAD_PATH, UPLOADS, Files, decoded, receipt, stand_in
from kie_mcp.sandbox.offers import OFFERS, Offer, choose
from kie_mcp.sandbox.task import COVER, Record, Task

MEDIA_ORIGIN = "https://tempfile.kie-sandbox.invalid"
"""Where results are, unless the sandbox is served on this machine's own address."""


class Sandbox:
    """A KIE of one's own: it takes the same requests, refuses the same ones, and makes small real media.

    Args:
        key: The only API key that it accepts.
        credits: The balance at the start.
        seconds: How long a task takes.
        clock: Tells the time, in seconds since 1970.
        window: How many creates it accepts in how many seconds.
        legacy: Whether it still runs models that KIE documents no more.
    """

    def __init__(
        self,
        *,
        key: str = "sandbox",
        credits: float = 1000.0,  # noqa: A002 - KIE's own word
        seconds: float = 2.0,
        clock: Callable[[], float] = time.time,
        window: tuple[int, float] = (20, 10.0),
        legacy: bool = False,
    ) -> None:
        self.accepted: list[Task] = []
        """Every task, the oldest first."""
        self._key = key
        self._credits = credits
        self._seconds = seconds
        self._clock = clock
        self._window = window
        self.discovery = Discovery(legacy)
        """What it says it offers."""
        self._recent: deque[float] = deque()
        self._discovered = float("-inf")
        self._faults = Faults()
        self._files = Files()
        self._handlers = dict(self._fixed())
        self.app = Starlette(routes=self._routes(), exception_handlers={HTTPException: not_there})
        """The ASGI application; it answers by path, whatever the host's name."""

    @property
    def balance(self) -> float:
        """The credits left."""
        now = self._clock()
        return round(self._credits - sum(task.charged(now) for task in self.accepted), 2)

    def fault(self, on: On, how: int | str, times: int = 1) -> None:
        """Let the next requests of a kind go wrong.

        Args:
            on: Which requests.
            how: An HTTP code; `code:429` for that code in a body under 200; `garbage`, `truncated` or `empty` for the
                answer; `reset-before` or `reset-after` for a connection that breaks before or after the request took
                effect; `hang-before` or `hang-after` for one that never answers; `null-record` for a task not known
                yet; `fail`, `stall` or `no-urls` for the task's end; `cut` for half of what the headers announce.
                `after:502` and the like answer so after the request took effect.
            times: How many requests.
        """
        self._faults.add(on, how, times)

    def drop_uploads(self) -> None:
        """Lose every file that was uploaded, as KIE does after a day."""
        self._files.drop()

    def _routes(self) -> list[Route]:
        return [
            Route("/api/v1/models/{model:path}/{of}", self._guarded("discovery", self._model)),
            Route(UPLOADS + "{path:path}", self._open("media", self._uploaded)),
            Route(MEDIA + "{task}/{name}", self._open("media", self._made)),
            Route("/{path:path}", self._handle, methods=["GET", "POST"]),
        ]

    def _fixed(self) -> Iterator[tuple[tuple[str, str], Handler]]:
        """The handlers at the paths that say nothing more: a hundred and fifty, and a route for each takes time."""
        found = [offer.route for offers in OFFERS.values() for offer in offers]
        create, status = self._guarded("create", self._create), self._guarded("status", self._status)
        yield from (((route.method, route.create), create) for route in found)
        yield from ((("GET", route.status), status) for route in found if route.status != route.create)
        for calls in (DOCUMENTED, SERVICE):
            yield ("GET", calls.credits), self._guarded("credit", self._credit)
            yield ("POST", calls.download_url), self._guarded(None, self._download_url)
            yield ("POST", calls.upload_stream), self._guarded("upload", self._upload_stream)
            yield ("POST", calls.upload_base64), self._guarded("upload", self._upload_base64)
            yield ("POST", calls.upload_from_url), self._guarded("upload", self._upload_url)
        yield ("GET", "/api/v1/models"), self._guarded("discovery", self._models)
        yield ("POST", "/sandbox/faults"), self._open(None, self._add_fault)
        yield ("GET", "/sandbox/accepted"), self._open(None, self._list_accepted)

    async def _handle(self, request: Request) -> Response:
        if handler := self._handlers.get((request.method, request.url.path)):
            return await handler(request)
        raise HTTPException(405 if any(path == request.url.path for _, path in self._handlers) else 404)

    def _open(self, on: On | None, handler: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            return await self._faults.answer(on, request, handler) if on else await handler(request)

        return endpoint

    def _guarded(self, on: On | None, handler: Handler) -> Handler:
        async def with_key(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {self._key}":
                return envelope(401, "You do not have access permissions", http=401)
            return await handler(request)

        return self._open(on, with_key)

    async def _create(self, request: Request) -> Response:
        body = dict(request.query_params) if request.method == "GET" else await _json(request)
        path = request.url.path
        if not (offers := choose(path, body) or self.discovery.stranger(path, body)):
            return envelope(422, f"There is no such model: {body.get('model')}")
        offer = offers[0]
        if offer.id in self.discovery.dropped or (offer.model.legacy and not self.discovery.legacy):
            return envelope(422, f"The model {offer.id} is no longer available")
        if missing := offer.missing(body):
            return envelope(422, f"{missing[0]} is required")
        if gone := self._gone_upload(request, body):
            return envelope(451, f"The file could not be fetched: {gone}")
        now, base = self._clock(), _base(request)
        if offer.route.repeated and (known := self._asked_before(offer, body)):
            return envelope(*asked_again(Record(known, now, base)))
        cost = offer.credits(body)
        if cost > self.balance:
            return envelope(402, "Credits insufficient. Please top up to continue")
        if self._too_many(now):
            return envelope(429, "Too many requests. Please try again later")
        task = Task(
            id=uuid4().hex,
            path=path,
            model=str(body.get("model", offer.id)),
            body=body,
            offers=offers,
            created=now,
            seconds=0 if offer.route.at_once else self._seconds,
            credits=cost,
            fate=request.state.fate,
        )
        self._recent.append(now)
        self.accepted.append(task)
        if offer.route.at_once:
            return envelope(*at_once(Record(task, now, base)))
        if offer.route.repeated:
            return envelope(*asked_again(Record(task, now, base)))
        return envelope(200, "success", {"taskId": task.id, "recordId": task.id})

    def _asked_before(self, offer: Offer, body: dict[str, Any]) -> Task | None:
        said = offer.said(body)
        return next((task for task in self.accepted if task.offers[0] == offer and task.said == said), None)

    def _gone_upload(self, request: Request, body: Any) -> str:
        """The first link in a body that leads to an upload that is there no more."""
        if isinstance(body, dict | list):
            inner = body.values() if isinstance(body, dict) else body
            return next(filter(None, (self._gone_upload(request, each) for each in inner)), "")
        ours = isinstance(body, str) and body.startswith((f"{MEDIA_ORIGIN}{UPLOADS}", f"{_base(request)}{UPLOADS}"))
        return body if ours and not self._place(request, body) else ""

    def _too_many(self, now: float) -> bool:
        most, span = self._window
        while self._recent and self._recent[0] <= now - span:
            self._recent.popleft()
        return len(self._recent) >= most

    async def _status(self, request: Request) -> Response:
        if not (id_ := request.query_params.get("taskId")):
            return envelope(400, "taskId is required")
        task = self._task(id_)
        if not task or request.url.path != task.offers[0].route.status:
            return no_record()
        task.fate = request.state.fate or task.fate
        return envelope(200, "success", answer(Record(task, self._clock(), _base(request))))

    def _task(self, id_: str) -> Task | None:
        return next((task for task in self.accepted if task.id == id_), None)

    async def _credit(self, _: Request) -> Response:
        return envelope(200, "success", self.balance)

    async def _download_url(self, request: Request) -> Response:
        url = str((await _json(request)).get("url", ""))
        place = self._place(request, url)
        return envelope(200, "success", url) if place else envelope(422, "The URL was not made by this service")

    def _place(self, request: Request, url: str) -> Path | None:
        """The file behind a URL of the sandbox's own."""
        for origin in (MEDIA_ORIGIN, _base(request)):
            if url.startswith(origin + MEDIA):
                first, _, rest = unquote(urlsplit(url).path).removeprefix(MEDIA).partition("/")
                return self._files.uploaded(rest) if first == "uploads" else self._result(first, rest)
        return None

    def _result(self, id_: str, name: str) -> Path | None:
        task = self._task(id_)
        done = task is not None and task.state(self._clock()) == "success"
        return self._files.made(task, name) if task and done and name in (*task.files, COVER) else None

    async def _uploaded(self, request: Request) -> Response:
        path = request.path_params["path"]
        return _file(self._files.uploaded(path), path)

    async def _made(self, request: Request) -> Response:
        name = request.path_params["name"]
        return _file(self._result(request.path_params["task"], name), name)

    async def _upload_base64(self, request: Request) -> Response:
        fields = await _json(request)
        try:
            content, ending = decoded(str(fields.get("base64Data", "")))
        except ValueError as error:
            return _not_uploaded(str(error))
        if not content:
            return _not_uploaded("base64Data is required")
        return await self._keep(request, fields, io.BytesIO(content), ending)

    async def _upload_url(self, request: Request) -> Response:
        fields = await _json(request)
        url = str(fields.get("fileUrl", ""))
        if not url.startswith(("http://", "https://")):
            return _not_uploaded("fileUrl is no public address")
        place = self._place(request, url)
        content = place.read_bytes() if place else stand_in(url)
        return await self._keep(request, fields, io.BytesIO(content), Path(urlsplit(url).path).suffix)

    async def _upload_stream(self, request: Request) -> Response:
        async with request.form() as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                return _not_uploaded("file is required")
            return await self._keep(request, dict(form), file.file, Path(file.filename or "").suffix)

    async def _keep(self, request: Request, fields: dict[str, Any], source: BinaryIO, ending: str) -> Response:
        folder = str(fields.get("uploadPath", ""))
        if not UPLOAD_PATH.fullmatch(folder):
            return _not_uploaded("uploadPath is required, without a slash at either end")
        path = f"{folder}/{fields.get('fileName') or uuid4().hex + ending}"
        size = await anyio.to_thread.run_sync(self._files.keep, source, path)
        url = f"{_base(request)}{UPLOADS}{quote(path)}"
        answered = {"code": 200, "msg": "File uploaded successfully", "data": receipt(path, url, size, self._clock())}
        return JSONResponse({"success": True, **answered})

    async def _models(self, request: Request) -> Response:
        query = request.query_params
        return self._spaced(
            self.discovery.models(
                task_types=query.get("taskType", "").split(","),
                provider=query.get("provider", ""),
                words=query.get("q", ""),
            )
        )

    async def _model(self, request: Request) -> Response:
        of, model = request.path_params["of"], request.path_params["model"]
        return self._spaced(self.discovery.detail(of, model, self._clock()))

    def _spaced(self, data: Any) -> Response:
        now = self._clock()
        if now - self._discovered < 1:
            return envelope(429, "At most one request a second")
        self._discovered = now
        return envelope(200, "success", data) if data else envelope(404, "There is no such model")

    async def _add_fault(self, request: Request) -> Response:
        wanted = await _json(request)
        try:
            self._faults.add(str(wanted.get("on")), wanted.get("how", ""), int(wanted.get("times", 1)))
        except ValueError as error:
            return envelope(400, str(error), http=400)
        return envelope(200, "success")

    async def _list_accepted(self, _: Request) -> Response:
        now = self._clock()
        tasks = (
            {"id": task.id, "path": task.path, "model": task.model, "body": task.body, "credits": task.charged(now)}
            for task in self.accepted
        )
        return envelope(200, "success", list(tasks))


async def not_there(request: Request, error: Exception) -> Response:
    """KIE's answer where it has no such route."""
    code = error.status_code if isinstance(error, HTTPException) else 500
    return envelope(code, f"No {request.method} {request.url.path}", http=code)


async def _json(request: Request) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        body = json.loads(await request.body())
        if isinstance(body, dict):
            return body
    raise HTTPException(400)


def _file(place: Path | None, name: str) -> Response:
    if place is None:
        raise HTTPException(404)
    return FileResponse(place, filename=name.rpartition("/")[2], content_disposition_type="inline")


def _not_uploaded(reason: str) -> Response:
    return JSONResponse({"success": False, "code": 400, "msg": reason, "data": None})


def _base(request: Request) -> str:
    local = request.url.hostname in ("localhost", "127.0.0.1")
    return str(request.base_url).rstrip("/") if local else MEDIA_ORIGIN
