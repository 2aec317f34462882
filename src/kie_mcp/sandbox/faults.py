"""Fault injection: the next requests of a kind get errors, broken connections, cut answers or failing tasks."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

import httpx2
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

Handler = Callable[[Request], Awaitable[Response]]

FaultTarget = Literal["create", "status", "media", "upload", "credit", "discovery"]
FAULT_TARGETS: tuple[str, ...] = get_args(FaultTarget)

TASK_FAULTS = "fail", "stall", "no-urls", "moved-urls"
"""Faults that happen to a task: the task that the request creates, or the task whose status the request reads."""
CONNECTION_FAULTS = "reset-before", "reset-after", "hang-before", "hang-after"
"""Faults of the connection that happen before or after the request takes effect."""
ANSWER_FAULTS = "garbage", "xml", "empty", "null-record"
"""Faulty answers that are sent instead of the right answer."""
FAULT_NAMES = (*TASK_FAULTS, *CONNECTION_FAULTS, *ANSWER_FAULTS, "truncated", "cut")
"""All faults that have a name; HTTP statuses and codes in the body are faults without a name."""
ACCESS_DENIED = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
"""What a storage service answers for a file that nobody may read."""
AFTER_PREFIX = "after:"
"""Prefix of a fault's name, as in `after:502`: the faulty answer is sent after the request has taken effect."""


def build_envelope(code: int, message: str, data: Any = None, *, http: int = 200) -> JSONResponse:
    """Build an answer in KIE's envelope of code, message and data.

    Args:
        code: The code in the body.
        message: The text in the body.
        data: The data in the body.
        http: The HTTP status.
    """
    return JSONResponse({"code": code, "msg": message, "data": data}, http)


def build_no_record() -> JSONResponse:
    """Build KIE's status answer for a task that KIE does not know (yet), or that was created on another route."""
    return build_envelope(422, "recordInfo is null")


class Faults:
    """The injected faults that have not happened yet, in one queue for each kind of request."""

    def __init__(self) -> None:
        self._due: defaultdict[str, deque[str]] = defaultdict(deque)

    def add(self, on: str, how: int | str, times: int) -> None:
        """Inject a fault into the next requests of a kind.

        Args:
            on: The kind of request, which is one of FAULT_TARGETS.
            how: The fault; `Sandbox.inject_fault` lists all faults.
            times: Number of requests that the fault happens to.

        Raises:
            ValueError: There is no such kind of request, or no such fault.
        """
        how = str(how)
        if on not in FAULT_TARGETS:
            raise ValueError(f"on is one of {', '.join(FAULT_TARGETS)}")
        instead = how.removeprefix(AFTER_PREFIX)
        known = FAULT_NAMES if instead == how else ANSWER_FAULTS
        if instead not in known and not instead.removeprefix("code:").isdecimal():
            raise ValueError(f"how is an HTTP code, code:<body code>, or one of {', '.join(known)}")
        self._due[on].extend([how] * times)

    async def answer(self, on: FaultTarget, request: Request, handler: Handler) -> Response:
        """Answer a request with the next fault for its kind of request, or by its handler if no fault is left."""
        due = self._due[on]
        how = due.popleft() if due else ""
        request.state.task_fault = how if how in TASK_FAULTS else ""
        if how.startswith(AFTER_PREFIX) or how.endswith("-after"):
            await handler(request)
            how = how.removeprefix(AFTER_PREFIX)
        code = how.removeprefix("code:")
        match how:
            case "reset-before" | "reset-after":
                return BrokenConnection()
            case "hang-before" | "hang-after":
                return HangingConnection()
            case "garbage":
                return PlainTextResponse("<html><title>Just a moment...</title></html>")
            case "xml":
                return PlainTextResponse(ACCESS_DENIED, media_type="application/xml")
            case "empty":
                return Response()
            case "null-record":
                return build_no_record()
            case "truncated":
                return HalfResponse(await handler(request), announced=False)
            case "cut":
                return HalfResponse(await handler(request), announced=True)
            case _ if code.isdecimal():
                return build_envelope(
                    int(code), "The sandbox was told to answer so", http=int(code) if code == how else 200
                )
            case _:
                return await handler(request)


class BrokenConnection(Response):
    """A response that breaks the connection before the body is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the headers and then raise a read error; without the headers, a server would send an error page."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        raise httpx2.ReadError("The sandbox was told to break the connection")


class HangingConnection(Response):
    """A response that keeps the connection open and never sends anything."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Wait until the client disconnects."""
        while (await receive())["type"] != "http.disconnect":
            pass


class HalfResponse(Response):
    """The first half of another response."""

    def __init__(self, whole: Response, *, announced: bool) -> None:
        self.whole = whole
        self.announced = announced
        """Whether the headers state the length of the whole body, so that a client notices that half is missing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers and the first half of the body."""
        left = 0

        async def cut(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                left = int(headers["content-length"]) // 2
                if not self.announced:
                    headers["content-length"] = str(left)
            else:
                message["body"] = message["body"][:left]
                left -= len(message["body"])
            await send(message)

        await self.whole(scope, receive, cut)
