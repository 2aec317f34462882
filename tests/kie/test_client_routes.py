"""Creates whose own answer tells of the task, at once or when it is asked again."""

import json
from typing import Any

import httpx2
import pytest
from anyio.lowlevel import checkpoint
from starlette.responses import JSONResponse, PlainTextResponse, Response
from support.fake_kie import ScriptedKie, client_for, envelope

from kie_mcp.errors import ApiError, NotOffered, UnknownOutcome
from kie_mcp.kie import status
from kie_mcp.kie.routes import PRODUCTS

pytestmark = pytest.mark.anyio

BODY = {"taskId": "5f0c", "index": 0}
URLS = {"taskId": "5f0c", "resultUrls": ["https://f.example/4k.mp4"], "imageUrls": []}
NO_URLS = {"taskId": "5f0c", "resultUrls": None, "imageUrls": None}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("way", "method"), [("veo-1080p", "GET"), ("veo-4k", "POST"), ("suno-style", "POST")])
async def test_the_body_goes_where_the_method_has_room(way: str, method: str, *, again: bool) -> None:
    route = PRODUCTS[way]
    answer = envelope(200, data={"successFlag": 1, "result": "slow", "resultUrl": "https://f.example/1.mp4"})
    told = ScriptedKie(answer)
    async with client_for(told) as kie:
        given = await (kie.repeat_create(route, BODY, checkpoint) if again else kie.create_and_read(route, BODY))
    assert given["data"]["result"] == "slow"
    (asked,) = told.requests
    assert (asked.method, asked.url.path) == (method, route.create)
    if method == "GET":
        assert (dict(asked.query_params), await asked.body()) == ({"taskId": "5f0c", "index": "0"}, b"")
    else:
        assert (asked.url.query, json.loads(await asked.body())) == ("", BODY)


# As KIE's pages show them.
ACCEPTED: list[tuple[str, Response, str]] = [
    ("veo-1080p", envelope(200, data={"resultUrl": "https://f.example/1.mp4"}), "succeeded"),
    ("veo-1080p", envelope(400, "1080P is processing. It should be ready in 1-2 minutes"), "running"),
    ("veo-1080p", envelope(400, "1080P is processing", http=400), "running"),
    ("veo-4k", envelope(200, data=NO_URLS), "running"),
    ("veo-4k", envelope(422, "4k is processing, wait 5-10 minutes", NO_URLS), "running"),
    ("veo-4k", envelope(422, "4k is processing"), "running"),
    ("veo-4k", envelope(422, "The video has been generated successfully", URLS), "succeeded"),
    ("veo-4k", envelope(422, "The video has been generated successfully", URLS, http=422), "succeeded"),
    ("veo-4k", envelope(200, data=URLS), "succeeded"),
    ("suno-style", envelope(200, data={"successFlag": "1", "result": "slow"}), "succeeded"),
    ("suno-style", envelope(200, data={"successFlag": "2", "result": "", "errorMessage": "no"}), "failed"),
    ("suno-voice-check", envelope(200, data={"isAvailable": False}), "failed"),
    ("suno-persona", envelope(200, data={"personaId": "p1"}), "succeeded"),
]


@pytest.mark.parametrize(("way", "answer", "state"), ACCEPTED)
async def test_an_answer_that_tells_of_the_task_is_given(way: str, answer: Response, state: str) -> None:
    route = PRODUCTS[way]
    async with client_for(ScriptedKie(answer)) as kie:
        given = await kie.create_and_read(route, BODY)
    assert given == json.loads(bytes(answer.body))
    assert status.parse_status(route.shape, given).state == state


@pytest.mark.parametrize("way", ["veo-1080p", "veo-4k", "suno-style", "omni-audio"])
@pytest.mark.parametrize(
    "answer",
    [
        envelope(500, "Server Error"),
        envelope(502),
        envelope(408),
        JSONResponse({"error": "who knows"}, 500),
        PlainTextResponse("<html>"),
        PlainTextResponse("[1]"),
        PlainTextResponse(""),
        httpx2.ReadError("broken"),
        httpx2.ReadTimeout("too long"),
    ],
)
async def test_an_answer_that_tells_nothing_leaves_it_unknown_and_is_not_asked_for_again(
    way: str, answer: Response | Exception
) -> None:
    told = ScriptedKie(answer)
    async with client_for(told) as kie:
        with pytest.raises(UnknownOutcome) as raised:
            await kie.create_and_read(PRODUCTS[way], BODY)
    assert len(told.requests) == 1
    assert raised.value.billed is None


@pytest.mark.parametrize("data", [None, {}, {"successFlag": "0"}, {"successFlag": "0", "result": "slow"}])
async def test_what_should_be_there_at_once_and_is_not_is_unknown(data: Any) -> None:
    async with client_for(ScriptedKie(envelope(200, data=data))) as kie:
        with pytest.raises(UnknownOutcome, match="200 without a result"):
            await kie.create_and_read(PRODUCTS["suno-style"], BODY)


@pytest.mark.parametrize("way", ["veo-1080p", "veo-4k", "suno-style", "omni-audio"])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (envelope(404), NotOffered),
        (envelope(405, http=405), NotOffered),
        (envelope(422, "taskId is required"), ApiError),
        (envelope(422, "There is no such model"), NotOffered),
        (envelope(451), ApiError),
        (envelope(455), ApiError),
        (envelope(505), ApiError),
        (envelope(501, "no"), ApiError),
        (httpx2.ConnectError("refused"), ApiError),
    ],
)
async def test_a_refusal_is_one_and_costs_nothing(way: str, answer: Response | Exception, kind: type[ApiError]) -> None:
    told = ScriptedKie(answer)
    async with client_for(told) as kie:
        with pytest.raises(ApiError) as raised:
            await kie.create_and_read(PRODUCTS[way], BODY)
    assert (type(raised.value), raised.value.billed) == (kind, False)
    assert len(told.requests) == 1


@pytest.mark.parametrize("answer", [envelope(500), envelope(429), envelope(402), httpx2.ReadError("broken")])
async def test_asking_again_is_one_attempt(answer: Response | Exception) -> None:
    told = ScriptedKie(answer)
    async with client_for(told) as kie:
        with pytest.raises(ApiError):
            await kie.repeat_create(PRODUCTS["veo-4k"], BODY, checkpoint)
    assert len(told.requests) == 1
