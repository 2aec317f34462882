from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import anyio
import httpx2
import pytest
import stamina
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock
from support.fake_kie import ScriptedKie, client_for, envelope, retry_at_once

from kie_mcp.errors import ApiError, NotOffered, RateLimited
from kie_mcp.kie import files
from kie_mcp.kie.client import READ_ATTEMPTS, KieClient
from kie_mcp.kie.rate_limit import SLOW_READS, STATUS_READS
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio


SONG = "/api/v1/generate/record-info"


class Heard:
    """A KIE that notes when it is asked what."""

    def __init__(self, clock: JumpingClock) -> None:
        self.times: dict[str, list[float]] = {}
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.times.setdefault(scope["path"], []).append(self._clock.now)
        await envelope(200, data={"state": "waiting"})(scope, receive, send)


async def test_reads_of_songs_keep_to_their_own_limit_behind_hundreds_of_others(clock: JumpingClock) -> None:
    heard = Heard(clock)
    async with client_for(heard, clock) as kie, anyio.create_task_group() as group:
        for path, reads in ((JOBS.status, 100), (SONG, 30), (JOBS.status, 100), (SONG, 10)):
            for number in range(reads):
                group.start_soon(kie.read_status, path, f"k{number}")
    songs, all_ = heard.times[SONG], sorted(chain.from_iterable(heard.times.values()))
    assert (len(songs), len(all_)) == (40, 240)
    # A moment more than a second holds no rounding.
    assert min(later - earlier for earlier, later in zip(songs, songs[SLOW_READS:], strict=False)) > 0.999
    assert min(later - earlier for earlier, later in zip(all_, all_[STATUS_READS:], strict=False)) > 0.999
    # Nor does either kind wait for the other: songs need 13 s alone, and all of it 23.
    assert songs[-1] - all_[0] < 20
    assert all_[-1] - all_[0] < 26


async def test_three_failures_in_a_row_cost_a_read_little(sandbox: Sandbox, kie: KieClient) -> None:
    sandbox.inject_fault("credit", 500)
    sandbox.inject_fault("credit", "code:455")
    sandbox.inject_fault("credit", "reset-before")
    with noted_waits() as waits:
        assert await kie.read_balance() == 1000
    assert len(waits) == 3
    assert sum(waits) < 4


@contextmanager
def noted_waits() -> Iterator[list[float]]:
    """Yield a list, to which the seconds before each repetition of a read are added."""
    waits: list[float] = []

    def note(details: stamina.instrumentation.RetryDetails) -> None:
        waits.append(details.wait_for)

    stamina.instrumentation.set_on_retry_hooks([note])
    try:
        yield waits
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)


async def test_a_read_waits_as_long_as_kie_asks() -> None:
    with noted_waits() as waits:
        async with client_for(
            ScriptedKie(envelope(429, retry_after="0.01"), envelope(503, retry_after="0.02"), envelope(200, data=5))
        ) as kie:
            assert await kie.read_balance() == 5
    assert waits == pytest.approx([0.01, 0.02])


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        *[(code, READ_ATTEMPTS) for code in (408, 429, 455, 500, 502, 503, 504, 520)],
        *[(code, 1) for code in (400, 401, 402, 403, 404, 405, 422, 433, 451, 501, 505)],
        (httpx2.ConnectError("refused"), READ_ATTEMPTS),
        (httpx2.ReadTimeout("too long"), READ_ATTEMPTS),
    ],
)
async def test_a_read_is_repeated_when_that_may_help(answer: int | Exception, times: int) -> None:
    told = ScriptedKie(envelope(answer) if isinstance(answer, int) else answer)
    async with client_for(told) as kie:
        with retry_at_once(), pytest.raises(ApiError) as raised:
            await kie.read_balance()
    assert len(told.requests) == times
    assert raised.value.retryable is (times > 1)
    assert raised.value.billed is False


@pytest.mark.parametrize("code", [401, 402, 403, 429, 433, 455, 500, 502, 504, 505, 520])
async def test_a_status_answer_that_is_not_about_the_task_is_an_error(code: int) -> None:
    async with client_for(ScriptedKie(envelope(code))) as kie:
        with retry_at_once(), pytest.raises(ApiError) as raised:
            await kie.read_status(JOBS.status, "k1")
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("answer", "given"),
    [
        (envelope(422, "recordInfo is null"), {"code": 422, "msg": "recordInfo is null", "data": None}),
        (envelope(500, "no", {"state": "fail"}), {"code": 500, "msg": "no", "data": {"state": "fail"}}),
        (envelope(404, http=404), {"code": 404, "msg": "", "data": None}),
        (PlainTextResponse("<html>"), "<html>"),
        (PlainTextResponse("[" * 200_000), "[" * 200_000),
        (Response(b" \n"), None),
    ],
)
async def test_any_other_status_answer_is_passed_on_as_it_is(answer: Response, given: Any) -> None:
    async with client_for(ScriptedKie(answer)) as kie:
        assert await kie.read_status(JOBS.status, "k1") == given


@pytest.mark.parametrize(
    ("data", "credits_left"),
    [(100, 100), (60.62, 60.62), ("60.62", 60.62), (0, 0), ({"credits": 5.5}, 5.5), ({"id": 7, "balance": 1}, 1)],
)
async def test_the_balance_comes_plain_or_wrapped(data: Any, credits_left: float) -> None:
    async with client_for(ScriptedKie(envelope(200, data=data))) as kie:
        assert await kie.read_balance() == credits_left


@pytest.mark.parametrize("data", [None, {}, [], "plenty", True, {"credits": None}, "nan", "inf", "-Infinity", 1e300])
async def test_no_balance_in_the_answer_is_an_error(data: Any) -> None:
    async with client_for(ScriptedKie(envelope(200, data=data))) as kie:
        with retry_at_once(), pytest.raises(ApiError, match="without a balance"):
            await kie.read_balance()


async def test_a_file_of_kies_has_a_link_that_browsers_save(kie: KieClient) -> None:
    uploaded = await files.upload_base64(kie, b"x", "a.png", "image/png")
    assert (await kie.request_download_url(uploaded.url)).startswith(f"{uploaded.url}?")
    with pytest.raises(ApiError) as raised:
        await kie.request_download_url("https://elsewhere.example/a.png")
    assert raised.value.code == 422


@pytest.mark.parametrize("data", [None, "", {}, 7])
async def test_no_link_in_the_answer_is_an_error(data: Any) -> None:
    async with client_for(ScriptedKie(envelope(200, data=data))) as kie:
        with pytest.raises(ApiError, match="without a link"):
            await kie.request_download_url("https://tempfile.aiquickdraw.com/a.png")


async def test_discovery_gives_what_lies_in_the_envelope(sandbox: Sandbox, kie: KieClient, clock: JumpingClock) -> None:
    listed = await kie.read_discovery("/api/v1/models")
    assert listed["total"] == len(listed["models"])
    clock.now += 2
    told = await kie.read_discovery("/api/v1/models/google/nano-banana/price")
    assert told["model"] == "google/nano-banana"
    clock.now += 2
    with pytest.raises(NotOffered):
        await kie.read_discovery("/api/v1/models/google/nano-banana-9/price")
    assert not sandbox.accepted


@pytest.mark.parametrize(
    "trouble", [envelope(429), envelope(429, http=429), envelope(503), httpx2.ConnectError("refused")]
)
async def test_discovery_is_asked_again_after_more_than_a_second(trouble: Response | Exception) -> None:
    waits: list[float] = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: waits.append(details.wait_for)])
    told = ScriptedKie(trouble, envelope(200, data={"total": 0}))
    try:
        async with client_for(told) as kie:
            assert await kie.read_discovery("/api/v1/models") == {"total": 0}
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    assert len(waits) == 1
    assert waits[0] >= 1.1


async def test_discovery_that_stays_busy_is_rate_limited() -> None:
    async with client_for(ScriptedKie(envelope(429))) as kie:
        with retry_at_once(), pytest.raises(RateLimited):
            await kie.read_discovery("/api/v1/models")
