"""Send callbacks as KIE does: when a task ends, send a POST request to the callback URL that the caller gave."""

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectSendStream

from kie_mcp.kie.callbacks import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from kie_mcp.sandbox.answer_fields import Answer, request_json
from kie_mcp.sandbox.fake_task import FAILURE, FakeTask, StatusRecord
from kie_mcp.sandbox.faults import Faults
from kie_mcp.sandbox.status_answers import jobs

ATTEMPTS = 3
"""Maximum number of attempts to send one callback; an attempt succeeds if the answer has status 200."""
ATTEMPT_SECONDS = 15
"""Timeout of one attempt to send a callback, in seconds."""
RETRY_SECONDS = 5
"""Seconds to wait after a failed attempt before the next attempt."""
SONG_STAGES = {"text": 0.4, "first": 0.8, "complete": 1.0}
"""For each stage of a music task, the share of the task's duration after which a callback is sent."""


class CallbackSender:
    """Sends callbacks to the URLs that create requests contain."""

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        """Store the arguments; no callback is sent until `run()` runs.

        Args:
            clock: A function that returns the time in seconds since 1970.
            faults: The injected faults; a fault for `callback` changes how the next callback is sent.
        """
        self.key = ""
        """The key with which callbacks are signed; if empty, callbacks are not signed."""
        self._clock = clock
        self._faults = faults
        self._accepted: MemoryObjectSendStream[tuple[FakeTask, str]] | None = None

    def add(self, task: FakeTask, base_url: str) -> None:
        """Schedule the callbacks of an accepted task; do nothing if its create request has no usable callback URL.

        Args:
            task: The task.
            base_url: Scheme and host of the URLs of result files.
        """
        if self._accepted and _find_address(task):
            self._accepted.send_nowait((task, base_url))

    @asynccontextmanager
    async def serve(self, _: object = None) -> AsyncIterator[None]:
        """Send callbacks, waiting in real time, until the `async with` block ends; Starlette uses this as lifespan."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.run, anyio.sleep)
            yield
            group.cancel_scope.cancel()

    async def run(
        self, sleep: Callable[[float], Awaitable[object]], transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        """Send callbacks, in an endless loop.

        Args:
            sleep: A function that waits for some seconds.
            transport: Sends the HTTP requests; None uses the default transport of httpx2.
        """
        self._accepted, accepted = anyio.create_memory_object_stream[tuple[FakeTask, str]](math.inf)
        async with (
            self._accepted,
            accepted,
            httpx2.AsyncClient(transport=transport, timeout=ATTEMPT_SECONDS) as http,
            anyio.create_task_group() as group,
        ):
            async for task, base_url in accepted:
                group.start_soon(self._follow, http, sleep, task, base_url)

    async def _follow(
        self, http: httpx2.AsyncClient, sleep: Callable[[float], Awaitable[object]], task: FakeTask, base_url: str
    ) -> None:
        for share, stage in _plan_calls(task):
            while (left := task.created_at + share * task.seconds - self._clock()) > 0:
                await sleep(left)
            record = StatusRecord(task, self._clock(), base_url)
            if share < 1 or record.ended_at:
                await self._call(http, sleep, record, stage)

    async def _call(
        self,
        http: httpx2.AsyncClient,
        sleep: Callable[[float], Awaitable[object]],
        record: StatusRecord,
        stage: str,
    ) -> None:
        """Send one callback, and repeat failed attempts; an injected fault may change the attempts or the signature."""
        fault = self._faults.take("callback")
        content = json.dumps(build_callback(record, stage)).encode()
        left = {"lost": 0, "twice": ATTEMPTS + 1}.get(fault, ATTEMPTS)
        is_wanted = {"twice": 2}.get(fault, 1)
        while left and is_wanted:
            headers = {"Content-Type": "application/json", **self._sign(record.task.id, fault)}
            try:
                answer = await http.post(_find_address(record.task), content=content, headers=headers)
                is_wanted -= answer.status_code == 200
            except (httpx2.HTTPError, httpx2.InvalidURL):
                pass
            left -= 1
            if left and is_wanted:
                await sleep(RETRY_SECONDS)

    def _sign(self, id_: str, fault: str) -> dict[str, str]:
        """Return the headers with the signature of a callback; no headers if there is no key."""
        if not self.key:
            return {}
        timestamp = str(int(self._clock()))
        key = self.key if fault != "forged" else f"not {self.key}"
        return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: sign(key, id_, timestamp)}


def build_callback(record: StatusRecord, stage: str) -> Answer:
    """Build the body of a callback; each of KIE's APIs has its own fields.

    Args:
        record: The task.
        stage: For a music task, the stage (a key of `SONG_STAGES`) that the callback reports; empty for other tasks.
    """
    shape = record.task.offers[0].route.shape
    code, message = FAILURE if record.failed else (200, "success")
    envelope = {"code": code, "msg": message}
    if shape == "aleph":
        result = {"result_video_url": record.first_url, "result_image_url": record.cover_url}
        return {**envelope, "taskId": record.task.id, "data": None if record.failed else result}
    if shape == "suno-music":
        data = {"callbackType": "error" if record.failed else stage, "task_id": record.task.id, "data": record.tracks}
        return {**envelope, "data": data}
    build = CALLBACK_BUILDERS.get(shape)
    return {**envelope, "data": build(record) if build else {"taskId": record.task.id}}


CALLBACK_BUILDERS: dict[str, Callable[[StatusRecord], Answer]] = {
    "jobs": jobs,
    "veo": lambda record: {
        "taskId": record.task.id,
        "promptJson": request_json(record.task),
        "info": _urls_info(record),
        "fallbackFlag": False,
    },
    "veo-4k": lambda record: {"task_id": record.task.id, "result_urls": list(record.urls.values())},
    "runway": lambda record: {
        "task_id": record.task.id,
        "video_id": record.task.id,
        "video_url": record.first_url,
        "image_url": record.cover_url,
    },
    "luma": lambda record: {"taskId": record.task.id, **_urls_info(record)},
    "midjourney": lambda record: {"taskId": record.task.id, "resultUrls": list(record.urls.values())},
    "gpt4o-image": lambda record: {
        "taskId": record.task.id,
        "info": None if record.failed else {"result_urls": list(record.urls.values())},
    },
    "flux-kontext": lambda record: {
        "taskId": record.task.id,
        "info": {"originImageUrl": record.first_url, "resultImageUrl": record.first_url},
    },
    "suno-lyrics": lambda record: {"callbackType": "complete", "task_id": record.task.id},
    "suno-vocal-removal": lambda record: {"task_id": record.task.id, "vocal_removal_info": {}},
}
"""For each `Route.shape`, the function that builds `data` of a callback; `build_callback()` knows the other shapes."""


def _urls_info(record: StatusRecord) -> dict[str, Any]:
    urls = list(record.urls.values())
    return {"resultUrls": urls, "originUrls": urls}


def _plan_calls(task: FakeTask) -> Iterator[tuple[float, str]]:
    """Yield for each callback of a task when to send it (as a share of the task's duration), and its stage."""
    if task.offers[0].route.shape == "suno-music" and task.fault != "fail":
        yield from ((share, stage) for stage, share in SONG_STAGES.items())
    else:
        yield 1, ""


def _find_address(task: FakeTask) -> str:
    """Return the callback URL of a create request; empty if there is no usable URL.

    A URL is usable if its scheme is `http` or `https`, and its host does not end with `.invalid` (RFC 2606).
    """
    address = str(task.body.get(task.offers[0].route.callback) or "")
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    is_usable = parts.scheme in ("http", "https") and not (parts.hostname or ".invalid").endswith(".invalid")
    return address if is_usable else ""
