"""A KIE that gives answers made up by the test."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import stamina
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.kie.client import READ_ATTEMPTS, KieClient
from support.clock import JumpingClock

KEY = "0123456789abcdef-this-is-secret"


class Told:
    """A KIE that gives the answers it is told, the last one for ever, and remembers what it was asked."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.asked: list[Request] = []
        self._answers = deque(answers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.body()
        self.asked.append(request)
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        await answer(scope, receive, send)


def says(code: object, message: str = "", data: object = None, http: int = 200, **headers: str) -> Response:
    """KIE's envelope; `retry_after="7"` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"code": code, "msg": message, "data": data}, http, named)


def at(told: ASGIApp, clock: JumpingClock | None = None) -> KieClient:
    return KieClient(KEY, transport=httpx2.ASGITransport(app=told), clock=clock)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Reads are tried again at once, as often as ever."""
    stamina.set_testing(True, attempts=READ_ATTEMPTS, cap=True)
    try:
        yield
    finally:
        stamina.set_testing(False)
