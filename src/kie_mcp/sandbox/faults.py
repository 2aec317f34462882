"""Fault injection: let the next requests get errors, broken connections, cut answers or failing tasks."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

import httpx2
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

Handler = Callable[[Request], Awaitable[Response]]

FaultTarget = Literal["create", "status", "media", "upload", "credit", "discovery", "callback"]
FAULT_TARGETS: tuple[str, ...] = get_args(FaultTarget)

TASK_FAULTS = "fail", "stall", "no-urls", "moved-urls"
"""Names of the faults that change a task.

A fault for a `create` request changes the task that this request starts. A fault for a `status` request changes the
task whose status this request reads.
"""
CONNECTION_FAULTS = "reset-before", "reset-after", "hang-before", "hang-after"
"""Names of the connection faults; `-before` and `-after` mean before and after the request takes effect."""
ANSWER_FAULTS = "garbage", "xml", "empty", "null-record"
"""Names of the faulty answers that the sandbox sends instead of the right answer."""
CALLBACK_FAULTS = "lost", "twice", "forged"
"""Names of the callback faults: the callback is not sent at all, sent twice, or signed with a wrong key."""
FAULT_NAMES = (*TASK_FAULTS, *CONNECTION_FAULTS, *ANSWER_FAULTS, *CALLBACK_FAULTS, "truncated", "cut")
"""The names of all faults except those with a number, such as `502` and `code:429`."""
ACCESS_DENIED = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
"""The answer of a storage service that refuses to send a file."""
AFTER_PREFIX = "after:"
"""Prefix of a fault's name: with `after:502`, the request takes effect first, and then its answer has status 502."""


def build_envelope(code: int, message: str, data: Any = None, *, http: int = 200) -> JSONResponse:
    """Build an answer like KIE's: a JSON object with the fields `code`, `msg` and `data`.

    Args:
        code: KIE's code for the answer, which may differ from the HTTP status.
        message: KIE's message, for the field `msg`.
        data: The value of the field `data`.
        http: The HTTP status of the answer.
    """
    return JSONResponse({"code": code, "msg": message, "data": data}, http)


def build_no_record() -> JSONResponse:
    """Build KIE's status answer for a task id that the route does not know, such as an id from another route."""
    return build_envelope(422, "recordInfo is null")


class Faults:
    """Keeps the injected faults that no request has got yet, in one queue for each kind of request."""

    def __init__(self) -> None:
        self._due: defaultdict[str, deque[str]] = defaultdict(deque)

    def add(self, on: str, how: int | str, times: int) -> None:
        """Let the next requests of one kind get a fault.

        Args:
            on: The kind of request, which is one of FAULT_TARGETS.
            how: The fault, as described in `Sandbox.inject_fault`.
            times: Number of requests that get the fault.

        Raises:
            ValueError: The kind of request or the fault does not exist.
        """
        how = str(how)
        if on not in FAULT_TARGETS:
            raise ValueError(f"on is one of {', '.join(FAULT_TARGETS)}")
        instead = how.removeprefix(AFTER_PREFIX)
        known = FAULT_NAMES if instead == how else ANSWER_FAULTS
        if instead not in known and not instead.removeprefix("code:").isdecimal():
            raise ValueError(f"how is an HTTP code, code:<body code>, or one of {', '.join(known)}")
        self._due[on].extend([how] * times)

    def take(self, on: FaultTarget) -> str:
        """Remove and return the next fault for one kind of request; return an empty text if no fault is left."""
        return self._due[on].popleft() if self._due[on] else ""

    async def answer(self, on: FaultTarget, request: Request, handler: Handler) -> Response:
        """Answer a request with the next fault for the kind `on`; if no fault is left, let the handler answer."""
        how = self.take(on)
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
                    int(code), "This error was injected into the sandbox", http=int(code) if code == how else 200
                )
            case _:
                return await handler(request)


class BrokenConnection(Response):
    """A response that breaks the connection before the body is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the headers, and then raise a read error.

        Without these headers, Starlette would send an error page, and the connection would not break.
        """
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        raise httpx2.ReadError("This broken connection was injected into the sandbox")


class HangingConnection(Response):
    """A response that keeps the connection open and never sends anything."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Wait until the client disconnects."""
        while (await receive())["type"] != "http.disconnect":
            pass


class HalfResponse(Response):
    """A response that sends the headers and only the first half of the body of another response."""

    def __init__(self, whole: Response, *, announced: bool) -> None:
        self.whole = whole
        self.announced = announced
        """Whether the header Content-Length states the length of the whole body, so that a client notices the cut."""

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
