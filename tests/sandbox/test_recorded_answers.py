"""The sandbox's status answers have every field of KIE's own, and each field has the same type."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.paths import FACTS
from support.sandbox_caller import Kie

from kie_mcp.sandbox.offers import OFFERS, Offer

pytestmark = pytest.mark.anyio

ENDPOINTS: list[dict[str, Any]] = json.loads((FACTS / "status_shapes.json").read_text("utf-8"))["endpoints"]
ALL_OFFERS = [offer for offers in OFFERS.values() for offer in offers if not offer.route_id.startswith("service")]
OFFER_IDS = {"jobs": "grok-imagine/text-to-image", "jobs:ai-music-api audio (unified Suno)": "ai-music-api/generate"}
OFFER_PATHS = {"sync: omni audio / character": "/api/v1/omni/character/create"}
NO_TASKS = {"credits"}
"""What answers without any task."""
GIVEN_BY_REQUEST = {"generateParam.imageUrl", "generateParam.expandPrompt"}
"""Fields that repeat what was asked for."""
NOT_KNOWN = {("sync: style boost", "creditsRemaining"), ("gpt4o-image", "createTime"), ("gpt4o-image", "completeTime")}
"""Fields in which the sandbox differs: a balance that the record of a task does not have, and two pages of KIE's that
write times in two ways."""
EXAMPLES = [
    pytest.param(endpoint, outcome, id=f"{endpoint['family']}-{outcome}")
    for endpoint in ENDPOINTS
    for outcome in ("success", "failed")
    if endpoint["family"] not in NO_TASKS
    # What answers at once, or with the file, refuses a task that fails: there is no record of it.
    and (outcome == "success" or endpoint["method"] == "GET")
]


def find_offer(endpoint: dict[str, Any]) -> Offer:
    """The first model whose task this endpoint tells of."""
    family, path = endpoint["family"], OFFER_PATHS.get(endpoint["family"], endpoint["path"])
    return next(
        offer
        for offer in ALL_OFFERS
        if path in (offer.route.status, offer.route.create) and offer.id == OFFER_IDS.get(family, offer.id)
    )


def field_types(value: object, name: str = "") -> Iterator[tuple[str, type]]:
    """Each field, by its path, with the type of its value; whole and other numbers are one type."""
    match value:
        case dict():
            for key, each in value.items():
                yield from field_types(each, f"{name}.{key}".lstrip("."))
        case list():
            yield name, list
            for each in value[:1]:
                yield from field_types(each, f"{name}[]")
        case bool() | str() | None:
            yield name, type(value)
        case _:
            yield name, float


@pytest.mark.parametrize(("endpoint", "outcome"), EXAMPLES)
async def test_an_answer_has_the_fields_of_kies_own(endpoint: dict[str, Any], outcome: str) -> None:
    kie = Kie(legacy=True)
    if outcome == "failed":
        kie.sandbox.inject_fault("create", "fail")
    ask = await kie.begin(find_offer(endpoint))
    kie.wait()
    got = await ask()
    example = endpoint[f"example_{outcome}_response"]
    ours, kies = dict(field_types(got["data"] or {})), dict(field_types(example["data"] or {}))
    unlike = {field for family, field in NOT_KNOWN if family == endpoint["family"]}
    missing = kies.keys() - ours.keys() - GIVEN_BY_REQUEST - unlike
    assert got.keys() == example.keys()
    assert missing == set()
    for field in (kies.keys() & ours.keys()) - unlike:
        if type(None) not in (kies[field], ours[field]):
            assert ours[field] == kies[field], field


@pytest.mark.parametrize(("fault", "seconds", "flag"), [("", 0, 0), ("", 2, 1), ("fail", 2, 3)])
async def test_a_job_tells_its_state_and_result_in_two_ways(fault: str, seconds: float, flag: int) -> None:
    kie = Kie()
    if fault:
        kie.sandbox.inject_fault("create", fault)
    task = await kie.picture()
    kie.wait(seconds)
    record = await kie.record(task)
    assert record["successFlag"] == flag
    assert record["response"] == (json.loads(record["resultJson"]) if record["resultJson"] else None)


async def test_a_song_without_words_of_its_own_is_called_by_its_model() -> None:
    kie = Kie()
    body = {"model": "V5_5", "audioId": "a1", "defaultParamFlag": False, "callBackUrl": "https://a.example"}
    task = (await kie.post("/api/v1/generate/extend", body))["data"]["taskId"]
    kie.wait()
    (track, _) = (await kie.get("/api/v1/generate/record-info", taskId=task))["data"]["response"]["sunoData"]
    assert track["title"] == "ai-music-api/extend"
