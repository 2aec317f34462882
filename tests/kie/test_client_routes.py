"""Creates whose own answer tells of the task, at once or when it is asked again."""

import json
from typing import Any

import httpx2
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from support.fake_kie import Told, at, says

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
    answer = says(200, data={"successFlag": 1, "result": "slow", "resultUrl": "https://f.example/1.mp4"})
    told = Told(answer)
    async with at(told) as kie:
        given = await (kie.ask_again(route, BODY) if again else kie.ask(route, BODY))
    assert given["data"]["result"] == "slow"
    (asked,) = told.asked
    assert (asked.method, asked.url.path) == (method, route.create)
    if method == "GET":
        assert (dict(asked.query_params), await asked.body()) == ({"taskId": "5f0c", "index": "0"}, b"")
    else:
        assert (asked.url.query, json.loads(await asked.body())) == ("", BODY)


# As KIE's pages show them.
ACCEPTED: list[tuple[str, Response, str]] = [
    ("veo-1080p", says(200, data={"resultUrl": "https://f.example/1.mp4"}), "succeeded"),
    ("veo-1080p", says(400, "1080P is processing. It should be ready in 1-2 minutes"), "running"),
    ("veo-1080p", says(400, "1080P is processing", http=400), "running"),
    ("veo-4k", says(200, data=NO_URLS), "running"),
    ("veo-4k", says(422, "4k is processing, wait 5-10 minutes", NO_URLS), "running"),
    ("veo-4k", says(422, "4k is processing"), "running"),
    ("veo-4k", says(422, "The video has been generated successfully", URLS), "succeeded"),
    ("veo-4k", says(422, "The video has been generated successfully", URLS, http=422), "succeeded"),
    ("veo-4k", says(200, data=URLS), "succeeded"),
    ("suno-style", says(200, data={"successFlag": "1", "result": "slow"}), "succeeded"),
    ("suno-style", says(200, data={"successFlag": "2", "result": "", "errorMessage": "no"}), "failed"),
    ("suno-voice-check", says(200, data={"isAvailable": False}), "failed"),
    ("suno-persona", says(200, data={"personaId": "p1"}), "succeeded"),
]


@pytest.mark.parametrize(("way", "answer", "state"), ACCEPTED)
async def test_an_answer_that_tells_of_the_task_is_given(way: str, answer: Response, state: str) -> None:
    route = PRODUCTS[way]
    async with at(Told(answer)) as kie:
        given = await kie.ask(route, BODY)
    assert given == json.loads(bytes(answer.body))
    assert status.read(route.shape, given).state == state


@pytest.mark.parametrize("way", ["veo-1080p", "veo-4k", "suno-style", "omni-audio"])
@pytest.mark.parametrize(
    "answer",
    [
        says(500, "Server Error"),
        says(502),
        says(408),
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
    told = Told(answer)
    async with at(told) as kie:
        with pytest.raises(UnknownOutcome) as raised:
            await kie.ask(PRODUCTS[way], BODY)
    assert len(told.asked) == 1
    assert raised.value.billed is None


@pytest.mark.parametrize("data", [None, {}, {"successFlag": "0"}, {"successFlag": "0", "result": "slow"}])
async def test_what_should_be_there_at_once_and_is_not_is_unknown(data: Any) -> None:
    async with at(Told(says(200, data=data))) as kie:
        with pytest.raises(UnknownOutcome, match="200 without a result"):
            await kie.ask(PRODUCTS["suno-style"], BODY)


@pytest.mark.parametrize("way", ["veo-1080p", "veo-4k", "suno-style", "omni-audio"])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says(404), NotOffered),
        (says(405, http=405), NotOffered),
        (says(422, "taskId is required"), ApiError),
        (says(422, "There is no such model"), NotOffered),
        (says(451), ApiError),
        (says(455), ApiError),
        (says(505), ApiError),
        (says(501, "no"), ApiError),
        (httpx2.ConnectError("refused"), ApiError),
    ],
)
async def test_a_refusal_is_one_and_costs_nothing(way: str, answer: Response | Exception, kind: type[ApiError]) -> None:
    told = Told(answer)
    async with at(told) as kie:
        with pytest.raises(ApiError) as raised:
            await kie.ask(PRODUCTS[way], BODY)
    assert (type(raised.value), raised.value.billed) == (kind, False)
    assert len(told.asked) == 1


@pytest.mark.parametrize("answer", [says(500), says(429), says(402), httpx2.ReadError("broken")])
async def test_asking_again_is_one_attempt(answer: Response | Exception) -> None:
    told = Told(answer)
    async with at(told) as kie:
        with pytest.raises(ApiError):
            await kie.ask_again(PRODUCTS["veo-4k"], BODY)
    assert len(told.asked) == 1
