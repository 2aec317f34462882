import gzip
import json
import logging
import socket
import time
import traceback
import tracemalloc
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp
from support.clock import JumpingClock
from support.fake_kie import KEY, ScriptedKie, client_for, envelope, retry_at_once

from kie_mcp.errors import (
    ApiError,
    AuthError,
    InsufficientCredits,
    InvalidCall,
    KieMcpError,
    NotOffered,
    RateLimited,
    UnknownOutcome,
)
from kie_mcp.kie import files
from kie_mcp.kie.client import CREATE_ATTEMPTS, READ_ATTEMPTS, KieClient
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

BODY = {"model": "google/nano-banana", "input": {"prompt": "a lighthouse"}}
ACCEPTED = {"code": 200, "msg": "success", "data": {"taskId": "k1"}}


@asynccontextmanager
async def serving(answer: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server on a real socket that answers so and hangs up, or that hears everything and says nothing."""
    heard: list[bytes] = []

    async def talk(stream: SocketStream) -> None:
        async with stream:
            request = b""
            while not request.endswith(b"}"):
                request += await stream.receive()
            heard.append(request)
            if answer is None:
                await anyio.sleep_forever()
            else:
                await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, talk)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}", heard
        group.cancel_scope.cancel()


# Category, whether the same call may work later, and what the next step speaks of.
CODES: list[tuple[int, type[ApiError], str, bool, str]] = [
    (400, ApiError, "kie", False, "arguments"),
    (401, AuthError, "auth", False, "KIE_API_KEY"),
    (402, InsufficientCredits, "insufficient_credits", False, "KIE_MCP_SANDBOX_CREDITS"),
    (403, AuthError, "auth", False, "KIE_API_KEY"),
    (404, NotOffered, "not_offered", False, "find_models"),
    (405, NotOffered, "not_offered", False, "KIE_MCP_ROUTE"),
    (409, ApiError, "kie", False, "list_tasks"),
    (413, ApiError, "kie", False, "arguments"),
    (422, ApiError, "kie", False, "arguments"),
    (429, RateLimited, "rate_limited", True, "Wait"),
    (433, InsufficientCredits, "insufficient_credits", False, "cap"),
    (451, ApiError, "kie", False, "upload_file"),
    (455, ApiError, "kie", True, "maintenance"),
    (501, ApiError, "kie", False, "another model"),
    (505, ApiError, "kie", False, "find_models"),
    (531, ApiError, "kie", False, "charged nothing"),
    (4030, ApiError, "kie", False, "region"),
]


WAYS = [(f"code:{row[0]}", *row) for row in CODES] + [(str(row[0]), *row) for row in CODES if row[0] < 600]


@pytest.mark.parametrize(("how", "code", "kind", "category", "retryable", "next_step"), WAYS)
async def test_a_refused_create_says_what_is_wrong_what_it_cost_and_what_to_do(
    how: str,
    code: int,
    kind: type[ApiError],
    category: str,
    retryable: bool,
    next_step: str,
    sandbox: Sandbox,
    kie: KieClient,
) -> None:
    sandbox.inject_fault("create", how, CREATE_ATTEMPTS)
    with pytest.raises(ApiError) as raised:
        await kie.create_task(JOBS.create, BODY)
    told = raised.value.as_dict()
    assert type(raised.value) is kind
    assert (told["category"], told["retryable"], told["billed"]) == (category, retryable, False)
    assert next_step in str(told["next_step"])
    assert str(code) in str(raised.value)
    assert raised.value.code == code
    assert sandbox.accepted == []


@pytest.mark.parametrize(
    ("how", "accepted"),
    [
        ("reset-before", 0),
        ("reset-after", 1),
        ("truncated", 1),
        ("cut", 1),
        ("garbage", 0),
        ("empty", 0),
        ("408", 0),
        ("500", 0),
        ("502", 0),
        ("503", 0),
        ("504", 0),
        ("520", 0),
        ("204", 0),
        ("code:408", 0),
        ("code:500", 0),
        ("code:200", 0),
        ("code:0", 0),
    ],
)
async def test_a_create_whose_outcome_nobody_knows_is_not_sent_again(
    how: str, accepted: int, sandbox: Sandbox, kie: KieClient
) -> None:
    sandbox.inject_fault("create", how)
    with pytest.raises(UnknownOutcome) as raised:
        await kie.create_task(JOBS.create, BODY)
    # A second request would have been accepted.
    assert len(sandbox.accepted) == accepted
    assert raised.value.billed is None
    assert not raised.value.retryable
    assert "Do not repeat" in raised.value.next_step


@pytest.mark.parametrize("value", ["a \ud83d", float("nan")], ids=["half a character", "no number"])
async def test_a_create_that_cannot_be_encoded_is_not_sent(value: object, clock: JumpingClock) -> None:
    kie = ScriptedKie()
    async with client_for(kie, clock=clock) as client:
        with pytest.raises(InvalidCall, match="cannot be sent to KIE"):
            await client.create_task(JOBS.create, {**BODY, "input": {"prompt": value}})
    assert kie.requests == []


HALF_AN_ANSWER = b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"code":200,"data":{"taskId"'


@pytest.mark.parametrize("answer", [None, b"", HALF_AN_ANSWER, b"no HTTP at all\r\n\r\n"])
async def test_a_create_that_is_heard_and_not_answered_is_sent_once(answer: bytes | None) -> None:
    async with serving(answer) as (url, heard), KieClient(KEY, base_url=url) as kie:
        kie.http.timeout = httpx2.Timeout(60, read=0.5)
        with pytest.raises(UnknownOutcome):
            await kie.create_task(JOBS.create, BODY)
        assert len(heard) == 1


async def test_an_answer_that_cannot_be_unpacked_leaves_a_create_unknown_and_a_read_to_be_repeated() -> None:
    told = ScriptedKie(Response(b"not gzip", headers={"content-encoding": "gzip"}))
    async with client_for(told) as kie:
        with pytest.raises(UnknownOutcome):
            await kie.create_task(JOBS.create, BODY)
        with retry_at_once(), pytest.raises(ApiError) as raised:
            await kie.read_balance()
    assert raised.value.retryable
    assert len(told.requests) == 1 + READ_ATTEMPTS


def build_bomb() -> Response:
    """Return an answer whose few bytes become 200 MB."""
    return Response(gzip.compress(bytes(200_000_000), 1), headers={"content-encoding": "gzip"})


OVERSIZED = {
    "200 MB in a small gzip": (build_bomb, "larger than 16 MB"),
    "just too much": (lambda: Response(bytes(16_000_001)), "larger than 16 MB"),
    "five million values": (lambda: Response(b"[" + b"{}," * 5_000_000 + b"{}]"), "more than 1,000,000 values"),
}


@pytest.mark.parametrize(("build_answer", "reason"), OVERSIZED.values(), ids=OVERSIZED)
async def test_an_answer_too_large_to_be_read_leaves_a_create_unknown_and_a_read_to_be_repeated(
    build_answer: Callable[[], Response], reason: str
) -> None:
    kie = ScriptedKie(build_answer())
    tracemalloc.start()
    async with client_for(kie) as client:
        with pytest.raises(UnknownOutcome, match=reason):
            await client.create_task(JOBS.create, BODY)
        with pytest.raises(ApiError, match=reason) as status:
            await client.read_status(JOBS.status, "task")
        with retry_at_once(), pytest.raises(ApiError, match=reason):
            await client.read_discovery("/api/v1/models")
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert status.value.retryable
    assert len(kie.requests) == 1 + 1 + READ_ATTEMPTS
    assert held < 60_000_000


async def test_an_answer_of_the_largest_size_is_read() -> None:
    body = json.dumps({"code": 200, "data": {"taskId": "1", "padding": ""}})
    padded = body.replace('""', f'"{"x" * (16_000_000 - len(body))}"')
    async with client_for(ScriptedKie(Response(padded))) as kie:
        assert await kie.create_task(JOBS.create, BODY) == "1"


async def test_the_answer_to_an_upload_has_a_megabyte_at_most() -> None:
    async with client_for(ScriptedKie(envelope(200, "x" * 1_000_000))) as kie:
        with pytest.raises(ApiError, match="larger than 1 MB"):
            await files.upload_base64(kie, b"content", "a.png", "image/png")


@pytest.mark.parametrize(
    "answer", ["[" * 200_000, '{"code": 1e999}', '{"code": "?"}', '{"code": null}', "[1]", "\ufeff"]
)
async def test_an_answer_that_makes_no_sense_leaves_a_create_unknown(answer: str) -> None:
    async with client_for(ScriptedKie(PlainTextResponse(answer))) as kie:
        with pytest.raises(UnknownOutcome) as raised:
            await kie.create_task(JOBS.create, BODY)
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize("charset", ["utf-16", "base64", "rot13", "undefined", "idna", "latin-1"])
async def test_an_error_page_is_read_whatever_charset_it_names(charset: str) -> None:
    page = Response(b"<html>502 \xff bad", 502, {"content-type": f"text/html; charset={charset}"})
    async with client_for(ScriptedKie(page)) as kie:
        with pytest.raises(UnknownOutcome, match="502"):
            await kie.create_task(JOBS.create, BODY)
        with pytest.raises(ApiError, match="502"):
            await kie.read_status(JOBS.status, "task")


async def test_a_refused_connection_costs_nothing_and_may_be_tried_again() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    async with KieClient(KEY, base_url=url) as kie:
        with pytest.raises(ApiError, match="could not be reached") as raised:
            await kie.create_task(JOBS.create, BODY)
    assert type(raised.value) is ApiError
    assert (raised.value.retryable, raised.value.billed, raised.value.code) == (True, False, None)


async def test_a_connection_that_takes_too_long_costs_nothing() -> None:
    told = ScriptedKie(httpx2.ConnectTimeout("too long"))
    async with client_for(told) as kie:
        with pytest.raises(ApiError, match="in time") as raised:
            await kie.create_task(JOBS.create, BODY)
    assert (type(raised.value), raised.value.billed) == (ApiError, False)


@pytest.mark.parametrize("how", ["429", "code:429"])
async def test_a_create_that_kie_refused_for_its_rate_is_sent_again(
    how: str, sandbox: Sandbox, kie: KieClient, clock: JumpingClock
) -> None:
    start = clock.now
    sandbox.inject_fault("create", how, 3)
    assert await kie.create_task(JOBS.create, BODY) == sandbox.accepted[0].id
    assert len(sandbox.accepted) == 1
    assert clock.now - start == 15


async def test_without_a_clock_of_its_own_a_client_goes_by_the_machines() -> None:
    start = time.monotonic()
    async with client_for(ScriptedKie(envelope(429, retry_after="0.02"), JSONResponse(ACCEPTED))) as kie:
        assert kie.clock.time() == pytest.approx(time.time(), abs=60)
        await kie.create_task(JOBS.create, BODY)
    assert 0.01 < time.monotonic() - start < 4


@pytest.mark.parametrize("http", [200, 429])
async def test_a_refused_create_waits_as_long_as_kie_asks(http: int, clock: JumpingClock) -> None:
    start = clock.now
    told = ScriptedKie(
        envelope(429, http=http, retry_after="7"), envelope(429, http=http, retry_after="0.5"), JSONResponse(ACCEPTED)
    )
    async with client_for(told, clock) as kie:
        assert await kie.create_task(JOBS.create, BODY) == "k1"
    assert clock.now - start == 7.5


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("86400", 60),
        ("inf", 60),
        ("-5", 0),
        ("nan", 0),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
async def test_kie_may_ask_for_a_minute_at_most(asked: str, seconds: float | None) -> None:
    async with client_for(ScriptedKie(envelope(429, retry_after=asked))) as kie:
        with pytest.raises(RateLimited) as raised:
            await files.upload_from_url(kie, "https://files.example/a.png", "a.png")
    assert raised.value.retry_after == seconds


async def test_twenty_creates_go_at_once_and_the_next_waits_for_room(
    sandbox: Sandbox, kie: KieClient, clock: JumpingClock
) -> None:
    start = clock.now
    for _ in range(20):
        await kie.create_task(JOBS.create, BODY)
    assert clock.now == start
    await kie.create_task(JOBS.create, BODY)
    assert clock.now == start + 10
    assert len(sandbox.accepted) == 21


class WaitingLimiter:
    """A create limiter that gives these answers, and remembers what it was asked with."""

    def __init__(self, *waits: float) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.refused: list[Any] = []
        self._waits = deque(waits)

    async def acquire(self, account: str, task: Any) -> float:
        self.calls.append((account, task))
        return self._waits.popleft()

    async def note_refusal(self, task: Any) -> None:
        self.refused.append(task)


def limited(app: ASGIApp, limiter: WaitingLimiter, clock: JumpingClock) -> KieClient:
    return KieClient(KEY, transport=httpx2.ASGITransport(app=app), clock=clock, create_limiter=limiter)


async def test_a_create_waits_for_a_slot_and_holds_no_other(clock: JumpingClock) -> None:
    start, limiter, task = clock.now, WaitingLimiter(3, 2, 0), object()
    told = ScriptedKie(JSONResponse(ACCEPTED))
    async with limited(told, limiter, clock) as kie:
        await kie.create_task(JOBS.create, BODY, task)
        assert limiter.calls == [(kie.account, task)] * 3
    assert clock.now - start == 5
    assert len(told.requests) == 1


async def test_each_attempt_of_a_create_takes_a_slot_of_its_own(clock: JumpingClock) -> None:
    limiter = WaitingLimiter(0, 0)
    async with limited(ScriptedKie(envelope(429), JSONResponse(ACCEPTED)), limiter, clock) as kie:
        await kie.create_task(JOBS.create, BODY)
    assert (len(limiter.calls), len(limiter.refused)) == (2, 1)


async def test_a_create_given_up_while_it_waits_for_a_slot_is_not_sent(clock: JumpingClock) -> None:
    told = ScriptedKie(JSONResponse(ACCEPTED))
    async with limited(told, WaitingLimiter(60, 60), clock) as kie, anyio.create_task_group() as group:
        group.start_soon(kie.create_task, JOBS.create, BODY)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert told.requests == []


@pytest.mark.parametrize("name", ["taskId", "task_id"])
@pytest.mark.parametrize("id_", ["k1", 71])
async def test_a_create_returns_kies_id(name: str, id_: str | int) -> None:
    async with client_for(ScriptedKie(envelope(200, data={name: id_, "recordId": "r1"}))) as kie:
        assert await kie.create_task(JOBS.create, BODY) == str(id_)


@pytest.mark.parametrize("code", [0, 201, 202, "200", None])
async def test_a_create_returns_kies_id_whichever_word_for_success_comes_with_it(code: object) -> None:
    async with client_for(ScriptedKie(envelope(code, "ok", {"taskId": "k1"}))) as kie:
        assert await kie.create_task(JOBS.create, BODY) == "k1"


@pytest.mark.parametrize("code", [402, 408, 429, 451, 500, 501, 600])
async def test_an_id_that_kie_gives_with_an_error_is_told_and_the_create_not_sent_again(code: int) -> None:
    answers = ScriptedKie(envelope(code, "busy", {"taskId": "k1"}))
    async with client_for(answers) as kie:
        with pytest.raises(UnknownOutcome, match=f"KIE answered {code} with the task id k1: busy") as raised:
            await kie.create_task(JOBS.create, BODY)
    assert raised.value.billed is None
    assert len(answers.requests) == 1


async def test_a_create_of_what_exists_already_is_the_task_that_exists() -> None:
    async with client_for(ScriptedKie(envelope(409, "WAV exists", {"taskId": "k1"}))) as kie:
        assert await kie.create_task("/api/v1/wav/generate", {}) == "k1"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (envelope(402, http=200), 402),
        (envelope(402, http=500), 402),
        (envelope("402", http=500), 402),
        (JSONResponse({"message": "no"}, 402), 402),
        (JSONResponse({"code": None}, 402), 402),
        (PlainTextResponse("no", 402), 402),
        (Response(status_code=402), 402),
    ],
)
async def test_the_bodys_code_goes_before_the_http_status(answer: Response, code: int) -> None:
    async with client_for(ScriptedKie(answer)) as kie:
        with pytest.raises(InsufficientCredits) as raised:
            await kie.create_task(JOBS.create, BODY)
    assert raised.value.code == code


async def test_a_create_accepted_under_a_failing_http_status_is_accepted() -> None:
    async with client_for(ScriptedKie(JSONResponse(ACCEPTED, 500))) as kie:
        assert await kie.create_task(JOBS.create, BODY) == "k1"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The Model name is not supported", NotOffered),
        ("There is no such model: x/y", NotOffered),
        ("The model sora-2 is no longer available", NotOffered),
        ("model does not exist", NotOffered),
        ("duration is too long", ApiError),
        ("aspect_ratio 4:3 is not supported by this model", ApiError),
        ("this model does not support a last frame", ApiError),
    ],
)
async def test_a_refusal_of_the_model_is_told_from_a_refusal_of_the_arguments(
    message: str, kind: type[ApiError]
) -> None:
    async with client_for(ScriptedKie(envelope(422, message))) as kie:
        with pytest.raises(ApiError) as raised:
            await kie.create_task(JOBS.create, BODY)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    "answer", [PlainTextResponse(KEY), PlainTextResponse(KEY, 401), envelope(500, "x" * 490 + KEY)]
)
async def test_the_key_is_shown_nowhere(answer: Response, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = envelope(500, f"Who is {KEY}?")
    told = ScriptedKie(answer, echo, echo)
    errors: list[KieMcpError] = []
    async with client_for(told) as kie:
        for _ in range(2):
            with pytest.raises(ApiError) as raised:
                await kie.create_task(JOBS.create, BODY)
            errors.append(raised.value)
        with retry_at_once(), pytest.raises(ApiError) as raised:
            await kie.read_balance()
        errors.append(raised.value)
        shown = [repr(kie), repr(kie.http), caplog.text, *(str(request.url) for request in told.requests)]
    for error in errors:
        shown += [str(error), repr(error), str(error.as_dict()), "".join(traceback.format_exception(error))]
    assert not [text for text in shown if KEY[:8] in text]
    assert "Who is [key]?" in str(errors[-1])


async def test_every_request_carries_the_key_and_says_who_asks() -> None:
    told = ScriptedKie(JSONResponse(ACCEPTED), envelope(200, data=5), envelope(200))
    async with client_for(told) as kie:
        await kie.create_task(JOBS.create, BODY)
        await kie.read_balance()
        await kie.read_status(JOBS.status, "k1")
    for request in told.requests:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["user-agent"].startswith("kie-mcp/")
        assert request.url.hostname == "api.kie.ai"
    assert told.requests[2].url.query == "taskId=k1"


async def test_half_an_emoji_in_kies_words_can_be_written_down() -> None:
    async with client_for(ScriptedKie(PlainTextResponse('{"code": 400, "msg": "no \\ud83d"}'))) as kie:
        with pytest.raises(ApiError) as raised:
            await kie.create_task(JOBS.create, BODY)
    assert str(raised.value).encode().startswith(b'KIE says 400: "no')


async def test_long_words_of_kie_are_cut() -> None:
    async with client_for(ScriptedKie(envelope(400, "no\n" * 100_000))) as kie:
        with pytest.raises(ApiError) as raised:
            await kie.create_task(JOBS.create, BODY)
    assert len(str(raised.value)) < 600


async def test_errors_are_told_apart_by_identity() -> None:
    """Two calls can fail alike; whoever collects errors in a set wants both."""
    assert len({AuthError("no"), AuthError("no")}) == 2
