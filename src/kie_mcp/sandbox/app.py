"""The sandbox's ASGI application: it answers create, status, upload, download and discovery requests as KIE does."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote
from uuid import uuid4

import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kie_mcp.kie.routes import DOCUMENTED, SERVICE
from kie_mcp.sandbox.callbacks import CallbackSender
from kie_mcp.sandbox.create_answers import answer_repeated_create, answer_with_result
from kie_mcp.sandbox.discovery import Discovery
from kie_mcp.sandbox.fake_task import COVER_NAME, FakeTask, StatusRecord
from kie_mcp.sandbox.faults import Faults, FaultTarget, Handler, build_envelope, build_no_record
from kie_mcp.sandbox.file_store import (
    MEDIA_PATH,
    UPLOAD_FOLDER_PATTERN,
    UPLOADS_PATH,
    FileStore,
    answer_file,
    build_link,
    build_receipt,
    decode_base64,
    refuse_upload,
    render_stand_in,
)
from kie_mcp.sandbox.offers import OFFERS, Offer, find_offers
from kie_mcp.sandbox.refusals import ReadLimit, exceeds_window, find_refusal
from kie_mcp.sandbox.requests import MEDIA_ORIGIN, find_base_url, read_json, split_url
from kie_mcp.sandbox.status_answers import build_status_answer
from kie_mcp.sandbox.task_store import KEPT_SECONDS, TaskStore

TOO_MANY = "Too many requests. Please try again later"
FAILURE_SECONDS = 60
"""Seconds for which a repeated request is answered with the failure of the task that an equal request started."""


class Sandbox:
    """A fake KIE: it accepts and refuses the same requests as KIE, and its results are small but real media files.

    Args:
        key: The only API key that the sandbox accepts.
        credits: The account's balance in credits when the sandbox has no tasks.
        seconds: Seconds that each task takes.
        clock: A function that returns the time in seconds since 1970.
        window: The rate limit of create requests: `(20, 10.0)` allows 20 create requests in any 10 seconds.
        legacy: True to also run models that KIE no longer documents.
        folder: The folder of kie-mcp's ledger; the sandbox saves its tasks and uploads in the subfolder `kie`.
            Sandboxes with the same folder, also in other processes, share tasks, uploads and the balance. Without a
            folder, tasks and uploads are lost when this object is deleted.
        ffmpeg: The path of ffmpeg, which draws clips; if empty, all clips show the same test picture.
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
        folder: Path | None = None,
        ffmpeg: str = "",
    ) -> None:
        self._key = key
        self._credits = credits
        self._seconds = seconds
        self._clock = clock
        self._window = window
        self._read_limit = ReadLimit()
        self.discovery = Discovery(legacy)
        """The sandbox's imitation of KIE's discovery API, which lists models, schemas and prices."""
        self._last_discovery = float("-inf")
        self._faults = Faults()
        self.callbacks = CallbackSender(clock, self._faults)
        """Sends the callbacks of tasks, but only while its method `run()` runs."""
        self.folder = folder and folder / "kie"
        """The folder in which the sandbox saves tasks and uploads; None if the sandbox keeps them only in memory."""
        self._tasks = TaskStore(self.folder and self.folder / "tasks", clock())
        self._files = FileStore(self.folder and self.folder / "uploads", clock, ffmpeg)
        self._handlers = dict(self._build_handlers())
        handlers = {HTTPException: answer_http_error}
        self.app = Starlette(routes=self._routes(), exception_handlers=handlers, lifespan=self.callbacks.serve)
        """The ASGI application. The application ignores host names, so it imitates all of KIE's hosts at once."""

    @property
    def accepted(self) -> list[FakeTask]:
        """All tasks that the sandbox accepted, with the oldest first."""
        return self._tasks.read()

    @property
    def balance(self) -> float:
        """The number of credits that are left on the sandbox's only account."""
        return max(self._measure_balance(), 0)

    def _measure_balance(self) -> float:
        """Return the balance; the number is below 0 if all tasks together cost more than the credits at the start."""
        now = self._clock()
        return round(self._credits - self._tasks.read_spent() - sum(task.charge(now) for task in self.accepted), 2)

    def inject_fault(self, on: FaultTarget, how: int | str, times: int = 1) -> None:
        """Let the next requests of one kind fail in a chosen way.

        Args:
            on: The kind of request, such as `create` or `status`.
            how: The fault. A number, such as 502, is the HTTP status of the answer. `code:429` is an answer with HTTP
                status 200 and the code 429 in its body. `garbage` is a web page, `xml` is an error of a storage
                service, `empty` is an answer without a body, and `null-record` is KIE's answer for an unknown task id.
                `truncated` is the first half of an answer, with the length of this half in its headers; `cut` is the
                same half, with the length of the whole answer in its headers.
                `reset-before` and `reset-after` break the connection before or after the request takes effect;
                `hang-before` and `hang-after` keep the connection open without an answer. `fail` lets the task fail,
                `stall` lets the task run for ever, `no-urls` lets the task succeed without result URLs, and
                `moved-urls` puts the result URLs into a field that KIE has never used for URLs. With the prefix
                `after:`, as in `after:502`, the request takes effect before the faulty answer is sent. A callback
                may be `lost`, sent `twice`, or `forged`, which means signed with a wrong key.
            times: Number of requests that get the fault.
        """
        self._faults.add(on, how, times)

    def drop_uploads(self) -> None:
        """Delete all uploaded files now, to imitate KIE, which deletes each file a day after its upload."""
        self._files.drop_uploads()

    def _routes(self) -> list[Route]:
        return [
            Route("/api/v1/models/{model:path}/{of}", self._with_key("discovery", self._read_model_detail)),
            Route(UPLOADS_PATH + "{path:path}", self._with_faults("media", self._serve_upload)),
            Route(MEDIA_PATH + "{task}/{name}", self._with_faults("media", self._serve_result)),
            Route("/{path:path}", self._dispatch, methods=["GET", "POST"]),
        ]

    def _build_handlers(self) -> Iterator[tuple[tuple[str, str], Handler]]:
        """Yield a handler for each fixed URL path, as in `(("GET", "/api/v1/models"), handler)`.

        The caller puts these pairs into a dictionary, because 150 Starlette routes would make the start slower.
        """
        found = [offer.route for offers in OFFERS.values() for offer in offers]
        create, status = self._with_key("create", self._create_task), self._with_key("status", self._read_status)
        yield from (((route.method, route.create), create) for route in found)
        yield from ((("GET", route.status), status) for route in found if route.status != route.create)
        for calls in (DOCUMENTED, SERVICE):
            yield ("GET", calls.credits), self._with_key("credit", self._read_balance)
            yield ("POST", calls.download_url), self._with_key(None, self._download_url)
            yield ("POST", calls.upload_stream), self._with_key("upload", self._upload_stream)
            yield ("POST", calls.upload_base64), self._with_key("upload", self._upload_base64)
            yield ("POST", calls.upload_from_url), self._with_key("upload", self._upload_url)
        yield ("POST", "/api/v1/gpt4o-image/download-url"), self._with_key(None, self._download_url)
        yield ("GET", "/api/v1/models"), self._with_key("discovery", self._list_models)
        yield ("POST", "/sandbox/faults"), self._with_faults(None, self._add_fault)
        yield ("GET", "/sandbox/accepted"), self._with_faults(None, self._list_accepted)

    async def _dispatch(self, request: Request) -> Response:
        if handler := self._handlers.get((request.method, request.url.path)):
            return await handler(request)
        code = 405 if any(path == request.url.path for _, path in self._handlers) else 404
        raise HTTPException(code, f"No {request.method} {request.url.path}")

    def _with_faults(self, on: FaultTarget | None, handler: Handler) -> Handler:
        """Wrap a handler, so that each request of the kind `on` gets the next injected fault, if there is one."""

        async def endpoint(request: Request) -> Response:
            return await self._faults.answer(on, request, handler) if on else await handler(request)

        return endpoint

    def _with_key(self, on: FaultTarget | None, handler: Handler) -> Handler:
        """Wrap a handler, so that requests need the API key; an injected fault comes before this check."""

        async def with_key(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {self._key}":
                return build_envelope(401, "You do not have access permissions", http=401)
            return await handler(request)

        return self._with_faults(on, with_key)

    async def _create_task(self, request: Request) -> Response:
        body = dict(request.query_params) if request.method == "GET" else await read_json(request)
        path = request.url.path
        if not (offers := find_offers(path, body) or self.discovery.find_extra_model(path, body)):
            return build_envelope(422, f"There is no such model: {body.get('model')}")
        offer = offers[0]
        if offer.id in self.discovery.removed or (offer.model.legacy and not self.discovery.legacy):
            return build_envelope(422, f"The model {offer.id} is no longer available")
        if refusal := find_refusal(offer, body, self._kept_tasks(), self._clock()):
            return build_envelope(*refusal)
        if lost_upload := self._find_lost_upload(request, body):
            return build_envelope(451, f"The file could not be fetched: {lost_upload}")
        now, base = self._clock(), find_base_url(request)
        if offer.route.repeated and (earlier_task := self._find_repeated(offer, body)):
            return build_envelope(*answer_repeated_create(StatusRecord(earlier_task, now, base)))
        if exceeds_window(self.accepted, self._window, now):
            return build_envelope(429, TOO_MANY)
        task = FakeTask(
            id=uuid4().hex,
            path=path,
            model=str(body.get("model", offer.id)),
            body=body,
            offers=offers,
            created_at=now,
            seconds=0 if offer.route.at_once else self._seconds,
            credits=offer.price(body),
            fault=request.state.task_fault,
        )
        if not self._accept(task):
            lack = f"this task costs {task.credits:,.10g} credits, and the balance is {self.balance:,.10g}"
            return build_envelope(402, f"Credits insufficient: {lack}")
        self.callbacks.add(task, base)
        if offer.route.at_once:
            return build_envelope(*answer_with_result(StatusRecord(task, now, base)))
        if offer.route.repeated:
            return build_envelope(*answer_repeated_create(StatusRecord(task, now, base)))
        return build_envelope(200, "success", {"taskId": task.id, "recordId": task.id})

    def _accept(self, task: FakeTask) -> bool:
        """Save a task if the balance covers its price, and return True if the task was saved."""
        if task.credits > self.balance:
            return False
        self._tasks.save(task)
        # The balance is read again, because another process may have spent credits after the first check.
        if self._measure_balance() >= 0:
            return True
        self._tasks.delete(task)
        return False

    def _find_repeated(self, offer: Offer, body: dict[str, Any]) -> FakeTask | None:
        """Return the task of an earlier create request with equal arguments, or None if there is no such task.

        On some routes, a client sends the same create request again until the result is ready. A failed task is found
        for FAILURE_SECONDS after its end; then the same request starts another task.
        """
        arguments, oldest_failure = offer.parse_arguments(body), self._clock() - FAILURE_SECONDS
        earlier = (task for task in self._kept_tasks() if task.offers[0] == offer and task.arguments == arguments)
        return next((task for task in earlier if task.fault != "fail" or task.ends_at > oldest_failure), None)

    def _find_lost_upload(self, request: Request, body: Any) -> str:
        """Return the first URL in a request body that leads to a deleted upload; empty if there is no such URL."""
        if isinstance(body, dict | list):
            inner = body.values() if isinstance(body, dict) else body
            return next(filter(None, (self._find_lost_upload(request, each) for each in inner)), "")
        is_upload_url = isinstance(body, str) and body.startswith(
            (f"{MEDIA_ORIGIN}{UPLOADS_PATH}", f"{find_base_url(request)}{UPLOADS_PATH}")
        )
        return body if is_upload_url and not self._find_file(request, body) else ""

    async def _read_status(self, request: Request) -> Response:
        if not (id_ := request.query_params.get("taskId")):
            return build_envelope(400, "taskId is required")
        task = self._find_task(id_)
        if not task or request.url.path != task.offers[0].route.status:
            return build_no_record()
        if not self._read_limit.allow(task, self._clock()):
            return build_envelope(429, TOO_MANY)
        if fault := request.state.task_fault:
            task.fault = fault
            self._tasks.save(task)
        record = StatusRecord(task, self._clock(), find_base_url(request))
        return build_envelope(200, "success", build_status_answer(record))

    def _find_task(self, id_: str) -> FakeTask | None:
        return next((task for task in self._kept_tasks() if task.id == id_), None)

    def _kept_tasks(self) -> Iterator[FakeTask]:
        """Yield the tasks that KIE would still know; the older ones only count for the balance."""
        oldest = self._clock() - KEPT_SECONDS
        return (task for task in self.accepted if task.created_at > oldest)

    async def _read_balance(self, _: Request) -> Response:
        return build_envelope(200, "success", self.balance)

    async def _download_url(self, request: Request) -> Response:
        url = str((await read_json(request)).get("url", ""))
        place = self._find_file(request, url)
        if not place:
            return build_envelope(422, "The URL was not made by this service")
        return build_envelope(200, "success", build_link(url, self._clock()))

    def _find_file(self, request: Request, url: str) -> Path | None:
        """Return the local file for one of the sandbox's own media URLs, or None if there is no such file."""
        parts = split_url(url)
        for origin in (MEDIA_ORIGIN, find_base_url(request)):
            if parts and url.startswith(origin + MEDIA_PATH):
                first, _, rest = unquote(parts.path).removeprefix(MEDIA_PATH).partition("/")
                return self._files.find_upload(rest) if first == "uploads" else self._find_result(first, rest)
        return None

    def _find_result(self, id_: str, name: str) -> Path | None:
        """Return the path of a task's result file, or None if the task has not succeeded or has no such file."""
        if not (task := self._find_task(id_)):
            return None
        is_done = task.state(self._clock()) == "success"
        exists = is_done and name in (*task.file_names, COVER_NAME)
        return self._files.render_result(task, name) if exists else None

    async def _serve_upload(self, request: Request) -> Response:
        path = request.path_params["path"]
        return answer_file(request, self._files.find_upload(path), path, self._clock())

    async def _serve_result(self, request: Request) -> Response:
        name = request.path_params["name"]
        place = self._find_result(request.path_params["task"], name)
        return answer_file(request, place, name, self._clock())

    async def _upload_base64(self, request: Request) -> Response:
        fields = await read_json(request)
        try:
            content, extension = decode_base64(str(fields.get("base64Data", "")))
        except ValueError as error:
            return refuse_upload(str(error))
        if not content:
            return refuse_upload("base64Data is required")
        return await self._save_upload(request, fields, io.BytesIO(content), extension)

    async def _upload_url(self, request: Request) -> Response:
        fields = await read_json(request)
        url = str(fields.get("fileUrl", ""))
        if not (parts := split_url(url)):
            return refuse_upload("fileUrl is no public address")
        place = self._find_file(request, url)
        content = place.read_bytes() if place else render_stand_in(url)
        return await self._save_upload(request, fields, io.BytesIO(content), Path(parts.path).suffix)

    async def _upload_stream(self, request: Request) -> Response:
        async with request.form() as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                return refuse_upload("file is required")
            return await self._save_upload(request, dict(form), file.file, Path(file.filename or "").suffix)

    async def _save_upload(
        self, request: Request, fields: dict[str, Any], source: BinaryIO, extension: str
    ) -> Response:
        folder = str(fields.get("uploadPath", ""))
        if not UPLOAD_FOLDER_PATTERN.fullmatch(folder):
            return refuse_upload("uploadPath is required, without a slash at either end")
        path = f"{folder}/{fields.get('fileName') or uuid4().hex + extension}"
        try:
            quoted_path = quote(path)
        except UnicodeEncodeError:
            return refuse_upload("fileName has half a character")
        now = self._clock()
        size = await anyio.to_thread.run_sync(self._files.save_upload, source, path, now)
        url = f"{find_base_url(request)}{UPLOADS_PATH}{quoted_path}"
        receipt = build_receipt(path, url, size, now)
        return JSONResponse({"success": True, "code": 200, "msg": "File uploaded successfully", "data": receipt})

    async def _list_models(self, request: Request) -> Response:
        query = request.query_params
        return self._answer_discovery(
            self.discovery.list_models(
                task_types=query.get("taskType", "").split(","),
                provider=query.get("provider", ""),
                words=query.get("q", ""),
            )
        )

    async def _read_model_detail(self, request: Request) -> Response:
        of, model = request.path_params["of"], request.path_params["model"]
        return self._answer_discovery(self.discovery.read_detail(of, model, self._clock()))

    def _answer_discovery(self, data: Any) -> Response:
        """Answer a discovery request with `data`; refuse it if the previous request was less than a second ago."""
        now = self._clock()
        if 0 <= now - self._last_discovery < 1:
            return build_envelope(429, "At most one request a second")
        self._last_discovery = now
        return build_envelope(200, "success", data) if data else build_envelope(404, "There is no such model")

    async def _add_fault(self, request: Request) -> Response:
        fields = await read_json(request)
        try:
            self._faults.add(str(fields.get("on")), fields.get("how", ""), int(fields.get("times", 1)))
        except (TypeError, ValueError) as error:
            return build_envelope(400, str(error), http=400)
        return build_envelope(200, "success")

    async def _list_accepted(self, _: Request) -> Response:
        now = self._clock()
        tasks = (
            {"id": task.id, "path": task.path, "model": task.model, "body": task.body, "credits": task.charge(now)}
            for task in self.accepted
        )
        return build_envelope(200, "success", list(tasks))


async def answer_http_error(_: Request, error: Any) -> Response:
    """Answer a request that raised an `HTTPException`, such as 404 for an unknown path, in KIE's JSON format."""
    return build_envelope(error.status_code, error.detail, http=error.status_code)
