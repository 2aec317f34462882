"""A fake KIE that sends the answers that a test has prepared."""

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


class ScriptedKie:
    """A fake KIE that sends prepared answers in order, repeats the last one, and stores all requests."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.requests: list[Request] = []
        self._answers = deque(answers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.body()
        self.requests.append(request)
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        await answer(scope, receive, send)


def envelope(code: object, message: str = "", data: object = None, http: int = 200, **headers: str) -> Response:
    """Return a response with KIE's envelope of code, msg and data; `retry_after="7"` sets a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"code": code, "msg": message, "data": data}, http, named)


def client_for(kie: ASGIApp, clock: JumpingClock | None = None) -> KieClient:
    """Return a client that sends its requests to an application in this process."""
    return KieClient(KEY, transport=httpx2.ASGITransport(app=kie), clock=clock)


@contextmanager
def retry_at_once() -> Iterator[None]:
    """Retry reads as often as usual, but without backoff."""
    stamina.set_testing(True, attempts=READ_ATTEMPTS, cap=True)
    try:
        yield
    finally:
        stamina.set_testing(False)
