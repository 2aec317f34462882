"""What KIE's discovery API says, asked for as seldom as can be."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from support.clock import JumpingClock
from support.fake_kie import ScriptedKie, client_for, envelope, retry_at_once
from support.paths import FACTS

from kie_mcp.errors import ApiError, RateLimited
from kie_mcp.kie.client import READ_ATTEMPTS, KieClient
from kie_mcp.kie.discovery import (
    CACHE_SECONDS,
    FAILURE_SECONDS,
    REQUEST_INTERVAL,
    SUCCESS_RATE_CACHE_SECONDS,
    Discovery,
    mean_recent_rate,
)
from kie_mcp.kie.snapshot import OfferedModel
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.faults import FAULT_NAMES

pytestmark = pytest.mark.anyio

SLASHED = "kling-2.6/image-to-video"
NOW = 1_800_000_000.0
AT_ONCE = ("garbage", "xml", "truncated")
"""What the client does not ask again for."""
DOCUMENTED = FACTS / "live-catalog.json"


class Watched(httpx2.AsyncBaseTransport):
    """A way to the sandbox that writes down what was asked, and when."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, clock: JumpingClock) -> None:
        self.inner, self.clock = inner, clock
        self.asked: list[str] = []
        self.at: list[float] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.raw_path.decode())
        self.at.append(self.clock.now)
        return await self.inner.handle_async_request(request)


@pytest.fixture
def watched(transport: httpx2.ASGITransport, clock: JumpingClock) -> Watched:
    return Watched(transport, clock)


@pytest.fixture
async def asked(watched: Watched, clock: JumpingClock) -> Any:
    async with KieClient("sandbox", transport=watched, clock=clock) as client:
        yield client


@pytest.fixture
def live(asked: KieClient, clock: JumpingClock, tmp_path: Path) -> Discovery:
    return Discovery(asked, tmp_path / "live", clock=clock)


async def test_the_list_tells_what_each_model_does_and_costs(live: Discovery, sandbox: Sandbox) -> None:
    sandbox.discovery.prices[SLASHED] = "5 s:  55 credits\n10 s: 110 credits"
    models = await live.read_models()
    assert models[SLASHED] == OfferedModel(
        id=SLASHED,
        title="Kling 2.6 Image To Video",
        provider="Kling",
        modes=("image-to-video",),
        price="5 s:  55 credits\n10 s: 110 credits",
    )


async def test_what_a_model_makes_is_that_of_the_list_or_unknown(
    live: Discovery, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("discovery", 500, READ_ATTEMPTS)
    with retry_at_once():
        assert await live.find_kind(SLASHED) is None
    clock.now += FAILURE_SECONDS
    assert await live.find_kind(SLASHED) == "video"
    assert await live.find_kind("studio/heron-9") is None


async def test_all_three_reads_share_one_request_a_second(live: Discovery, watched: Watched) -> None:
    async with anyio.create_task_group() as group:
        for read in (live.read_schema, live.read_success_rate):
            for id_ in (SLASHED, "z-image"):
                group.start_soon(read, id_)
        group.start_soon(live.read_models)
    gaps = [later - earlier for earlier, later in zip(watched.at, watched.at[1:], strict=False)]
    assert len(watched.at) == 5
    assert min(gaps) >= REQUEST_INTERVAL - 0.001
    assert max(gaps) < 2 * REQUEST_INTERVAL


async def test_the_slash_of_an_id_is_sent_as_it_is(live: Discovery, watched: Watched) -> None:
    assert await live.read_schema(SLASHED)
    assert await live.read_success_rate(SLASHED) == 1
    assert watched.asked == [f"/api/v1/models/{SLASHED}/{of}" for of in ("schema", "success-rate")]


async def test_whoever_asks_for_the_same_at_the_same_time_shares_one_request(live: Discovery, watched: Watched) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(live.read_models)
    assert len(watched.asked) == 1


async def test_an_answer_is_kept_for_a_day_and_a_success_rate_for_ten_minutes(
    live: Discovery, watched: Watched, clock: JumpingClock
) -> None:
    async def requests(seconds: float) -> int:
        clock.now += seconds
        before = len(watched.asked)
        await live.read_models()
        await live.read_success_rate(SLASHED)
        return len(watched.asked) - before

    assert await requests(0) == 2
    assert await requests(SUCCESS_RATE_CACHE_SECONDS - 60) == 0
    assert await requests(61) == 1
    assert await requests(CACHE_SECONDS) == 2


async def test_what_is_kept_survives_a_restart(
    live: Discovery, asked: KieClient, watched: Watched, clock: JumpingClock, tmp_path: Path
) -> None:
    before = await live.read_models()
    assert await Discovery(asked, tmp_path / "live", clock=clock).read_models() == before
    assert len(watched.asked) == 1


@pytest.mark.parametrize("how", ["reset-before", "garbage", "truncated", "503", "code:429", "code:500"])
async def test_an_old_answer_is_better_than_none(
    live: Discovery, sandbox: Sandbox, clock: JumpingClock, how: str
) -> None:
    before = await live.read_models()
    clock.now += CACHE_SECONDS + 1
    sandbox.discovery.removed.add(SLASHED)
    with retry_at_once():
        sandbox.inject_fault("discovery", how, 1 if how in AT_ONCE else READ_ATTEMPTS)
        assert await live.read_models() == before
        clock.now += FAILURE_SECONDS
        assert SLASHED not in await live.read_models()


async def test_with_nothing_kept_the_error_is_the_answer(live: Discovery, sandbox: Sandbox) -> None:
    sandbox.inject_fault("discovery", "code:429", READ_ATTEMPTS)
    with retry_at_once(), pytest.raises(RateLimited):
        await live.read_models()


async def test_a_refusal_is_not_answered_with_what_is_kept(
    live: Discovery, sandbox: Sandbox, clock: JumpingClock
) -> None:
    await live.read_models()
    clock.now += CACHE_SECONDS + 1
    sandbox.inject_fault("discovery", "401")
    with pytest.raises(ApiError):
        await live.read_models()


async def test_a_rate_limit_in_the_body_is_asked_again(live: Discovery, sandbox: Sandbox, watched: Watched) -> None:
    sandbox.inject_fault("discovery", "code:429")
    with retry_at_once():
        assert await live.read_models()
    assert len(watched.asked) == 2


@pytest.mark.parametrize(
    "kept",
    ["", "{", "[]", '{"at": 1800000000.0}', '{"at": "x", "data": {}}', '{"at": 1900000000, "data": {}}', "\x00\xff"],
)
async def test_a_broken_cache_is_no_cache(live: Discovery, tmp_path: Path, watched: Watched, kept: str) -> None:
    before = await live.read_models()
    (place,) = (tmp_path / "live").iterdir()
    place.write_text(kept, encoding="latin-1")
    assert await live.read_models() == before
    assert len(watched.asked) == 2
    assert json.loads(place.read_text())["path"] == "/api/v1/models"


async def test_a_cache_that_cannot_be_written_costs_time_only(
    live: Discovery, tmp_path: Path, watched: Watched
) -> None:
    (tmp_path / "live").write_text("a file where the folder should be")
    assert await live.read_models() == await live.read_models()
    assert len(watched.asked) == 2


async def test_a_model_without_a_schema_has_none(live: Discovery, sandbox: Sandbox) -> None:
    sandbox.discovery.add_model("vendor/odd", None)
    assert await live.read_schema("vendor/odd") is None


async def test_a_model_that_is_not_there_is_an_error(live: Discovery) -> None:
    with pytest.raises(ApiError):
        await live.read_schema("nobody/nothing")


async def answering(data: Any, clock: JumpingClock, folder: Path) -> list[Any]:
    """What is read when KIE answers everything with the same data; no models if this is no list of models."""
    async with client_for(ScriptedKie(envelope(200, "success", data)), clock) as client:
        live = Discovery(client, folder, clock=clock)
        try:
            models = await live.read_models()
        except ApiError:
            models = {}
        return [models, *[await read("x") for read in (live.read_schema, live.read_success_rate)]]


@pytest.mark.parametrize("data", [{}, {"models": None, "openapi": None, "points": None}, {"models": [1, {}]}], ids=str)
async def test_an_answer_of_another_shape_tells_nothing(data: Any, clock: JumpingClock, tmp_path: Path) -> None:
    assert await answering(data, clock, tmp_path) == [{}, None, None]


@pytest.mark.parametrize("odd", [{}, {"models": None}, {"models": []}, {"models": [1, {}]}], ids=str)
async def test_a_list_without_models_is_no_answer_and_replaces_no_good_one(
    odd: Any, clock: JumpingClock, tmp_path: Path
) -> None:
    good = {"models": [{"model": "studio/heron-9"}]}
    kie = ScriptedKie(*(envelope(200, "success", data) for data in (odd, good, odd)))
    async with client_for(kie, clock) as client:
        live = Discovery(client, tmp_path, clock=clock)
        with pytest.raises(ApiError, match="nothing about its models"):
            await live.read_models()
        assert [*await live.read_models()] == ["studio/heron-9"]
        clock.now += CACHE_SECONDS + 1
        assert [*await live.read_models()] == ["studio/heron-9"]
        assert len(kie.requests) == 3
        assert [*await live.recall_models()] == ["studio/heron-9"]


async def test_a_failure_is_remembered_for_a_minute_and_shared_by_all_that_wait(
    live: Discovery, sandbox: Sandbox, watched: Watched, clock: JumpingClock
) -> None:
    sandbox.inject_fault("discovery", "503", READ_ATTEMPTS)

    async def ask() -> None:
        with pytest.raises(ApiError):
            await live.read_models()

    with retry_at_once():
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        await ask()
    assert len(watched.asked) == READ_ATTEMPTS
    clock.now += FAILURE_SECONDS
    assert SLASHED in await live.read_models()


@pytest.mark.parametrize("data", [None, [], "none"], ids=str)
async def test_an_answer_without_data_is_none_and_is_not_kept(data: Any, clock: JumpingClock, tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="nothing"):
        await answering(data, clock, tmp_path / "live")
    assert not (tmp_path / "live").exists()


async def test_a_row_may_lack_all_but_its_id(clock: JumpingClock, tmp_path: Path) -> None:
    models, *_ = await answering({"models": [{"model": "x", "taskType": None}]}, clock, tmp_path)
    assert models == {"x": OfferedModel(id="x", title="", provider="", modes=(), price="")}


@pytest.mark.parametrize(
    ("points", "rate"),
    [
        ([], None),
        (["x", {}, {"end": NOW}, {"end": NOW, "successRate": None}], None),
        ([{"end": NOW, "successRate": 40.0, "errorRate": 60.0}, {"end": NOW, "successRate": 60, "errorRate": 40}], 0.5),
        ([{"end": NOW, "successRate": 0.4, "errorRate": 0.6}], 0.4),
        ([{"end": NOW, "successRate": 1, "errorRate": 99}], 0.01),
        ([{"end": NOW, "successRate": 0, "errorRate": 100}], 0),
        ([{"end": NOW, "successRate": 1}], 1),
        ([{"end": NOW, "successRate": 0, "errorRate": 0}], None),
        ([{"end": NOW - 3601, "successRate": 9}], None),
        ([{"end": NOW * 1000, "successRate": 90, "errorRate": 10}], 0.9),
        ([{"end": "2027-01-15T08:00:00Z", "successRate": 90, "errorRate": 10}], 0.9),
        ([{"end": "2027-01-15T08:00:00", "successRate": 90, "errorRate": 10}], 0.9),
        ([{"end": "2027-01-15T06:00:00Z", "successRate": 90}], None),
        ([{"end": "soon", "successRate": 90}, {"successRate": 90}], None),
        ([{"end": NOW, "successRate": 10**400}, {"end": NOW, "successRate": 40, "errorRate": "none"}], 0.4),
        ([{"end": "0001-01-01T00:00:00+14:00", "successRate": 90}, {"end": 10**400, "successRate": 90}], None),
    ],
)
def test_the_rate_is_the_last_hours_whatever_its_scale(points: list[Any], rate: float | None) -> None:
    assert mean_recent_rate(points, NOW) == (rate if rate is None else pytest.approx(rate))


async def test_the_documented_answers_are_read(clock: JumpingClock, tmp_path: Path) -> None:
    known = json.loads(DOCUMENTED.read_text(encoding="utf-8"))
    shapes = {name: shape["data"] for name, shape in known["shapes"].items()}
    models, *_ = await answering(shapes["models"], clock, tmp_path / "1")
    _, schema, *_ = await answering(shapes["schema"], clock, tmp_path / "2")
    clock.now = 1_767_226_900
    *_, rate = await answering(shapes["success_rate"], clock, tmp_path / "3")
    assert models["vendor/example-video"].modes == ("text-to-video", "image-to-video")
    assert models["example-image"].price == ""
    assert sorted(schema["required"]) == ["aspect_ratio", "duration", "prompt"]
    assert {"input_urls", "generate_audio"} <= schema["properties"].keys()
    assert models["vendor/example-video"].price == "720p: 10 credits/s ($0.05)\n1080p: 20 credits/s ($0.10)"
    assert rate == pytest.approx(0.995)


def test_discovery_takes_every_fault() -> None:
    sandbox = Sandbox()
    for how in FAULT_NAMES:
        sandbox.inject_fault("discovery", how)
