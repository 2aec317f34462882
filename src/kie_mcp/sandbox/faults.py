"""How the sandbox misbehaves when a test or a demonstration asks it to."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

import httpx2
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

Handler = Callable[[Request], Awaitable[Response]]

On = Literal["create", "status", "media", "upload", "credit", "discovery"]
ONS: tuple[str, ...] = get_args(On)

FATES = "fail", "stall", "no-urls"
BROKEN = "reset-before", "reset-after", "hang-before", "hang-after"
INSTEAD = "garbage", "empty", "null-record"
WORDS = (*FATES, *BROKEN, *INSTEAD, "truncated", "cut")
AFTER = "after:"
"""Before what is answered instead: the request takes effect all the same."""


def envelope(code: int, message: str, data: Any = None, *, http: int = 200) -> JSONResponse:
    """An answer as KIE frames it."""
    return JSONResponse({"code": code, "msg": message, "data": data}, http)


def no_record() -> JSONResponse:
    """The answer about a task that KIE does not know, or not yet, or not here."""
    return envelope(422, "recordInfo is null")


class Faults:
    """The faults that are due, by what they befall."""

    def __init__(self) -> None:
        self._due: defaultdict[str, deque[str]] = defaultdict(deque)

    def add(self, on: str, how: int | str, times: int) -> None:
        """Let the next requests of a kind go wrong.

        Raises:
            ValueError: There is no such kind, or no such fault.
        """
        how = str(how)
        if on not in ONS:
            raise ValueError(f"on is one of {', '.join(ONS)}")
        instead = how.removeprefix(AFTER)
        known = WORDS if instead == how else INSTEAD
        if instead not in known and not instead.removeprefix("code:").isdecimal():
            raise ValueError(f"how is an HTTP code, code:<body code>, or one of {', '.join(known)}")
        self._due[on].extend([how] * times)

    async def answer(self, on: On, request: Request, handler: Handler) -> Response:
        """The handler's answer, or what the next fault makes of it."""
        due = self._due[on]
        how = due.popleft() if due else ""
        request.state.fate = how if how in FATES else ""
        if how.startswith(AFTER) or how.endswith("-after"):
            await handler(request)
            how = how.removeprefix(AFTER)
        code = how.removeprefix("code:")
        match how:
            case "reset-before" | "reset-after":
                return Broken()
            case "hang-before" | "hang-after":
                return Silent()
            case "garbage":
                return PlainTextResponse("<html><title>Just a moment...</title></html>")
            case "empty":
                return Response()
            case "null-record":
                return no_record()
            case "truncated":
                return Half(await handler(request), announced=False)
            case "cut":
                return Half(await handler(request), announced=True)
            case _ if code.isdecimal():
                return envelope(int(code), "The sandbox was told to answer so", http=int(code) if code == how else 200)
            case _:
                return await handler(request)


class Broken(Response):
    """A connection that breaks before the answer is there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Begin, so that no server sends an error page instead, and break."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        raise httpx2.ReadError("The sandbox was told to break the connection")


class Silent(Response):
    """A connection that stays open and never answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Wait until the other side gives up."""
        while (await receive())["type"] != "http.disconnect":
            pass


class Half(Response):
    """Another answer's first half."""

    def __init__(self, whole: Response, *, announced: bool) -> None:
        self.whole = whole
        self.announced = announced
        """Whether the headers still tell the length of the whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers and half of the content."""
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
